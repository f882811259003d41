"""A shift of the mean vector is taken for what foretold it, and for nothing where nothing did."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from contracts.signatures import FAMILIES, Signature
from drift.explanation import MIX, NEITHER, explained
from tests.simulators.signatures import CLASSES, ENTRIES, along, planted_signatures

KNOWN = np.eye(ENTRIES) * 0.02**2
SIGNATURES = planted_signatures()
SPREAD = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.1, 0.1, 0.1, 0.1])
VARIED = np.eye(ENTRIES)[:6]
VARYING = planted_signatures(within=tuple((0.0,) * place + (SPREAD[place] ** 2,) for place in range(ENTRIES)))
"""Parts that vary much in six ways, and little in those in which the classes differ."""


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("strength", [0.4, 0.75, 1.2])
def test_a_fault_is_known_at_strengths_that_were_not_computed(family: str, strength: float) -> None:
    found = explained(along(family, strength), KNOWN, SIGNATURES)
    assert found.best == family
    assert found.lead > 5.0
    assert found.odds[NEITHER] == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_what_no_fault_and_no_mix_gives_is_neither(seed: int) -> None:
    elsewhere = np.random.default_rng(seed).normal(0, 0.8, ENTRIES)
    assert explained(elsewhere, KNOWN, SIGNATURES).best == NEITHER


def test_more_parts_of_one_class_are_another_mix() -> None:
    towards = np.array(CLASSES["bad"]) - np.array(CLASSES["good"])
    assert explained(0.25 * towards, KNOWN, SIGNATURES).best == MIX


@pytest.mark.parametrize("size", [0.5, 0.8, 1.2, 2.0])
@pytest.mark.parametrize("way", range(6))
def test_a_product_that_drifts_as_its_parts_always_varied_is_no_other_mix_and_no_fault(way: int, size: float) -> None:
    drifted = size * VARIED[way] @ np.diag(SPREAD) * (-1) ** way
    found = explained(drifted, KNOWN, VARYING)
    assert found.best == NEITHER or found.lead < 0.5, found.odds


@pytest.mark.parametrize("more", [0.15, 0.25, 0.35])
def test_another_mix_of_parts_that_vary_is_still_one(more: float) -> None:
    towards = np.array(CLASSES["bad"]) - np.array(CLASSES["good"])
    few = 0.07 * np.random.default_rng(1).normal(size=ENTRIES) * SPREAD  # the pictures of 48 more or less
    found = explained(more * towards + few, KNOWN, VARYING)
    assert found.best == MIX
    assert found.lead > 0.5


def test_a_covariance_of_few_digits_that_is_none_explains_as_well() -> None:
    within = tuple((1.001,) * place + (1.0,) for place in range(ENTRIES))
    assert np.linalg.eigvalsh(np.tril([[*row, *[0.0] * (ENTRIES - len(row))] for row in within]))[0] < 0.0
    assert explained(along("focus", 0.75), KNOWN, planted_signatures(within=within)).best == "focus"


def test_half_a_fault_and_half_something_else_is_not_that_fault() -> None:
    both = along("light", 0.75) + np.random.default_rng(3).normal(0, 0.8, ENTRIES)
    assert explained(both, KNOWN, SIGNATURES).odds["light"] < 0.0


def test_a_shift_within_what_windows_wander_anyway_is_explained_by_nothing_surely() -> None:
    wide = np.eye(ENTRIES) * 5.0**2
    assert explained(along("dirt", 0.5), wide, SIGNATURES).lead < 3.0


def test_families_of_later_are_passed_over_and_one_class_alone_is_no_mix() -> None:
    later = SIGNATURES.model_dump(mode="json")
    later["faults"] += [{"family": "vibration", "points": [[1.0] * ENTRIES]}]
    later["spreads"]["vibration"] = [0.1] * ENTRIES
    later |= {"classes": {"good": CLASSES["good"]}, "shares": {"good": 1.0}}
    odds = explained(along("focus", 0.75), KNOWN, type(SIGNATURES).model_validate(later)).odds
    assert set(odds) == {NEITHER, *FAMILIES}


def test_without_faults_and_with_one_class_there_is_nothing_to_choose() -> None:
    alone = planted_signatures(faults=(), classes={"good": CLASSES["good"]}, shares={"good": 1.0})
    found = explained(along("focus", 0.75), KNOWN, alone)
    assert (found.best, found.lead) == (NEITHER, 0.0)


def test_many_faults_take_little_memory() -> None:
    strengths = np.linspace(0.3, 1.0, 8)
    many = tuple(
        Signature(family=FAMILIES[0], points=tuple(tuple(along(FAMILIES[number % 4], each)) for each in strengths))
        for number in range(64)
    )
    signatures = planted_signatures(faults=many)
    tracemalloc.start()
    explained(along("focus", 0.75), KNOWN, signatures)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5_000_000


def test_signatures_of_another_vector_are_refused() -> None:
    with pytest.raises(ValueError, match=f"{ENTRIES} entries do not explain a shift of 3"):
        explained(np.zeros(3), np.eye(3), SIGNATURES)
