"""Planted camera faults grow, stay the same, and change the size of a picture only where they may."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.signatures import FAMILIES
from runtime.faults import Growing, Pixels, growing

ALL = tuple(growing(resizing=True))


def picture(seed: int = 0) -> Pixels:
    """Hills and an edge, [60, 80, 3]."""
    y, x = np.mgrid[:60, :80]
    grey = 110 + 50 * np.sin(x / 9.0 + seed) * np.cos(y / 7.0) + 40.0 * (x > 50)
    return np.repeat(grey.astype(np.uint8)[:, :, np.newaxis], 3, axis=2)


def test_there_are_faults_of_every_family() -> None:
    assert {fault.family for fault in ALL} == set(FAMILIES)


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.family)
def test_a_fault_grows_and_is_the_same_on_every_picture(fault: Growing) -> None:
    before = picture()
    found = [spoil(before) for spoil in fault.spoils]
    assert all(each.dtype == np.uint8 and each.ndim == 3 and each.shape[2] == 3 for each in found)
    assert all(np.array_equal(each, spoil(before)) for each, spoil in zip(found, fault.spoils, strict=True))
    if all(each.shape == before.shape for each in found):
        harm = [np.abs(each.astype(int) - before.astype(int)).mean() for each in found]
        assert 0.0 < harm[0] < harm[-1]
    else:
        assert [each.shape[0] for each in found] == sorted((each.shape[0] for each in found), reverse=True)
    assert np.array_equal(before, picture()), "the picture itself was changed"


def test_where_areas_are_named_in_pixels_no_fault_changes_the_size() -> None:
    kept = tuple(growing(resizing=False))
    assert len(kept) < len(ALL)
    assert {fault.family for fault in kept} == set(FAMILIES)
    assert all(spoil(picture()).shape == picture().shape for fault in kept for spoil in fault.spoils)
