"""Inspection: from image to verdict with a real session, and what happens where there can be no verdict."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contracts.errors import BundleError
from contracts.frame import Decision
from edge_agent.inspection import Inspector
from edge_agent.recent import Recent
from edge_agent.source import Capture
from runtime.bundle import Bundle
from tests.simulators.captures import frame
from tests.simulators.small_bundle import encoded, picture, write_small_bundle


@pytest.fixture(scope="module")
def inspector(small_bundle: Bundle) -> Iterator[Inspector]:
    return Inspector(small_bundle)


def test_bright_pictures_are_defects_and_dark_ones_good(inspector: Inspector) -> None:
    bright, dark, between = (inspector.inspect(Capture(frame(0), picture(level))) for level in (180, 80, 128))
    assert [item.verdict.decision for item in (bright, dark, between)] == [Decision.NG, Decision.OK, Decision.REVIEW]
    assert bright.verdict.label == "scratch"
    assert sum(bright.verdict.scores.values()) == pytest.approx(1.0)
    assert bright.verdict.bundle_hash == inspector.bundle.hash


def test_an_encoded_image_and_its_pixels_get_the_same_verdict(inspector: Inspector) -> None:
    pixels = picture(120, 5)
    first = inspector.inspect(Capture(frame(0), pixels)).verdict
    second = inspector.inspect(Capture(frame(0), encoded(pixels))).verdict
    assert first.scores == second.scores


def test_every_verdict_comes_with_a_drift_vector(inspector: Inspector) -> None:
    found = inspector.inspect(Capture(frame(0), picture(100)))
    assert found.vector is not None
    assert len(found.vector) == len(inspector.vector_names)
    assert np.isfinite(found.vector).all()
    assert found.distance == found.vector[inspector.vector_names.index("mahalanobis")]


def test_an_image_that_is_decoded_with_fewer_pixels_keeps_its_size(inspector: Inspector) -> None:
    file = io.BytesIO()
    Image.new("L", (1200, 800), 90).save(file, "JPEG")
    found = inspector.inspect(Capture(frame(0), file.getvalue()))
    assert found.size == (1200, 800)
    assert found.pixels is not None
    assert found.pixels.shape[1] < 1200
    assert inspector.inspect(Capture(frame(1), picture(90))).size == picture(90).shape[1::-1]


def _png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an image"),
        (b"no image at all", "not an image"),
        (encoded(picture(100))[:200], "damaged"),
        (_png(1, 1), "shows nothing"),
        (_png(5000, 3), "shows nothing"),
        (_png(8000, 8000), "more than the 50000000 allowed"),
    ],
)
def test_an_image_that_cannot_be_read_gets_no_verdict_and_the_reason(
    inspector: Inspector, data: bytes, reason: str
) -> None:
    found = inspector.inspect(Capture(frame(0), data))
    assert found.verdict.decision is Decision.NO_VERDICT
    assert reason in (found.verdict.reason or "")
    assert found.verdict.scores == {}
    assert found.vector is None
    assert not found.model_failed


def test_a_verdict_can_be_withheld(inspector: Inspector) -> None:
    found = inspector.inspect(Capture(frame(0), picture(100)))
    withheld = inspector.withheld(found, "the camera is covered")
    assert (withheld.verdict.decision, withheld.verdict.reason) == (Decision.NO_VERDICT, "the camera is covered")
    assert withheld.verdict.scores == {}
    assert (withheld.vector, withheld.confidence, withheld.distance) == (None, None, None)
    assert withheld.verdict.latency_seconds == found.verdict.latency_seconds
    assert withheld.pixels is found.pixels


def test_a_region_of_interest_is_remembered_for_whoever_keeps_the_image(tmp_path: Path, small_bundle: Bundle) -> None:
    spec = small_bundle.manifest.preprocessing.model_copy(update={"region_of_interest": (2, 3, 30, 31)})
    bundle = write_small_bundle(tmp_path / "roi", preprocessing=spec.model_dump())
    seen = Inspector(bundle).inspect(Capture(frame(0), picture(100))).visible
    assert seen is not None
    assert (int(seen.sum()), seen[3, 2], seen[30, 29], seen[3, 1]) == (28 * 28, True, True, False)


def test_the_page_remembers_only_what_may_be_kept(tmp_path: Path, small_bundle: Bundle) -> None:
    spec = small_bundle.manifest.preprocessing.model_copy(update={"region_of_interest": (100, 100, 600, 600)})
    inspector = Inspector(write_small_bundle(tmp_path / "roi", preprocessing=spec.model_dump()))
    found = inspector.inspect(Capture(frame(0), picture(100, side=700)))
    recent = Recent()
    recent.add(found.verdict, found.pixels, found.visible)
    (glance,) = recent.newest(1)
    assert glance.picture is not None
    assert found.kept is not None
    assert np.array_equal(glance.picture, found.kept[::3, ::3])
    assert glance.picture[:33].max() == 0
    assert glance.picture[40:190, 40:190].min() > 0


def test_what_is_hidden_is_black_from_the_first_pixel_on(tmp_path: Path, small_bundle: Bundle) -> None:
    areas = {
        "schema_version": 2,
        "source_size": (48, 48),
        "hidden": (((0.0, 0.0), (20.0, 0.0), (20.0, 20.0), (0.0, 20.0)),),
    }
    spec = small_bundle.manifest.preprocessing.model_dump() | areas
    inspector = Inspector(write_small_bundle(tmp_path / "hiding", preprocessing=spec))
    one = inspector.inspect(Capture(frame(0), picture(100)))
    other = picture(100)
    other[:20, :20] = 255 - other[:20, :20]
    two = inspector.inspect(Capture(frame(0), other))
    assert one.shown is not None
    assert one.shown[:20, :20].max() == 0
    for found in (one, two):
        assert found.kept is not None
        assert found.kept[:20, :20].max() == 0
        assert np.array_equal(found.kept[21:], picture(100)[21:])
    assert one.vector is not None
    assert np.array_equal(one.vector, two.vector), "neither answer nor statistics know what was there"
    larger = inspector.inspect(Capture(frame(0), picture(100, side=96)))
    assert "resolution or crop has changed" in (larger.verdict.reason or "")
    assert larger.kept is None


def test_nothing_is_kept_of_an_image_that_the_region_does_not_fit(tmp_path: Path, small_bundle: Bundle) -> None:
    spec = small_bundle.manifest.preprocessing.model_copy(update={"region_of_interest": (2, 3, 3000, 31)})
    bundle = write_small_bundle(tmp_path / "roi", preprocessing=spec.model_dump())
    inspector = Inspector(bundle)
    refused = inspector.inspect(Capture(frame(0), picture(100)))
    assert "region of interest" in refused.verdict.reason
    assert refused.pixels is None
    assert refused.kept is None
    assert refused.shown is not None, "whether the camera sees may still be asked"
    stopped = inspector.withheld(refused, "the camera is covered")
    assert stopped.verdict.reason == "the camera is covered"
    assert stopped.kept is None


def test_a_drift_reference_of_another_bundle_is_refused(tmp_path: Path) -> None:
    bundle = write_small_bundle(
        tmp_path / "odd",
        drift_reference={"components": 1, "embedding_width": 8, "names": ["margin", "mahalanobis"]},
    )
    with pytest.raises(BundleError, match="drift reference"):
        Inspector(bundle)
