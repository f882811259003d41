"""alibi-detect's statistics in bulk against alibi-detect itself."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.drift.rivals import cvm, ks, median_width, mmd
from drift.alibi.backend import AlibiDetector

ROWS, ENTRIES = 80, 4


@pytest.fixture(scope="module")
def python(root: Path) -> Path:
    found = Path(os.environ.get("LINESIDE_ALIBI") or root / ".venv-alibi" / "bin" / "python")
    if not found.is_file():
        pytest.skip(f"no environment with alibi-detect at {found}: scripts/setup-alibi makes it")
    return found


def pool(rng: np.random.Generator) -> np.ndarray:
    """Some entries, the last an indicator: values that many rows share."""
    rows = rng.normal(size=(ROWS, ENTRIES)).astype(np.float32).astype(np.float64)
    rows[:, -1] = rows[:, -1] > 1.0
    return rows


@pytest.mark.optional
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("KSDrift", {"p_val": 1e-4}),
        ("CVMDriftOnline", {"ert": 5.0, "window_sizes": [12], "n_bootstraps": 400, "verbose": False}),
        ("MMDDriftOnline", {"ert": 100.0, "window_size": 12, "n_bootstraps": 200, "verbose": False}),
    ],
)
def test_statistics_in_bulk_are_those_of_alibi(python: Path, name: str, settings: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    rows, stream = pool(rng), rng.integers(ROWS, size=(1, 60))
    reference = np.concatenate([rows, rows])
    with AlibiDetector(name, reference, python=python, window=12, settings=settings) as detector:
        detector.update(rows[stream[0]] + 0.0)
        told = [each for each in detector.statistics if each is not None]
        kept = np.array(detector.kept or [])
    chart = {"KSDrift": ks(reference, 12), "CVMDriftOnline": cvm(reference, 12, 1)}.get(name) or mmd(
        reference, 12, kept
    )
    ours = chart.of(rows, stream)[0]
    assert ours == pytest.approx(told[-len(ours) :], abs=2e-4)
    assert np.ptp(ours) > 0.01


def test_the_width_of_the_kernel_is_the_median_distance() -> None:
    rows = np.array([[0.0], [1.0], [3.0]])
    assert median_width(rows) == pytest.approx(np.sqrt(0.5 * 4.0))  # squared distances 1, 4 and 9
