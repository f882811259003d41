"""Accuracy without labels: close in control, and wrong where a network is wrong with confidence."""

from pathlib import Path

import numpy as np
import pytest

from contracts.telemetry import CONFIDENCE_EDGES, Histogram
from drift.labelfree import ThresholdedConfidence, together


def histogram(confidences: np.ndarray) -> Histogram:
    counts, _ = np.histogram(confidences, CONFIDENCE_EDGES)
    return Histogram(edges=CONFIDENCE_EDGES, counts=tuple(int(count) for count in counts))


def test_the_estimate_in_control_is_the_known_accuracy() -> None:
    rng = np.random.default_rng(0)
    known = ThresholdedConfidence.of(histogram(rng.beta(8, 1, 5000)), accuracy=0.93)
    assert known.accuracy(histogram(rng.beta(8, 1, 5000))) == pytest.approx(0.93, abs=0.02)
    assert known.accuracy(histogram(rng.beta(4, 1, 5000))) < 0.88  # type: ignore[operator]


def test_a_network_that_is_wrong_with_confidence_fools_it() -> None:
    known = ThresholdedConfidence.of(histogram(np.random.default_rng(0).beta(8, 1, 5000)), accuracy=0.93)
    assert known.accuracy(histogram(np.full(100, 0.999))) == pytest.approx(1.0)


def test_nothing_is_estimated_from_nothing() -> None:
    empty = histogram(np.array([]))
    with pytest.raises(ValueError, match="no confidence"):
        ThresholdedConfidence.of(empty, accuracy=0.9)
    assert ThresholdedConfidence(0.5).accuracy(empty) is None
    assert together([]) is None


def test_histograms_add_up_and_other_bins_are_left_out() -> None:
    seen = histogram(np.array([0.1, 0.9]))
    assert together([seen, seen, Histogram(edges=(0.0, 1.0), counts=(7,))]) == histogram(np.array([0.1, 0.1, 0.9, 0.9]))


def test_no_rule_reads_it(root: Path) -> None:
    readers = [path for path in (root / "monitor").rglob("*.py") if "labelfree" in path.read_text(encoding="utf-8")]
    assert {path.relative_to(root).as_posix() for path in readers} == {
        "monitor/web/reading/labelfree.py",
        "monitor/web/reading/camera.py",
    }
