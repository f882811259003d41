"""alibi-detect in its own environment, behind the interface of ours and under the same checks."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.errors import ConfigurationError
from drift.alibi.backend import OFFLINE, AlibiDetector
from drift.evaluate import PlantedLine
from tests.drift.test_detectors import check_gross_drift, check_quiet

Make = Callable[..., AlibiDetector]
SETTINGS: dict[str, dict[str, Any]] = {
    "KSDrift": {"p_val": 1e-4},
    "CVMDrift": {"p_val": 1e-4},
    "MMDDrift": {"p_val": 0.002, "n_permutations": 1000},
    "LSDDDrift": {"p_val": 0.002, "n_permutations": 1000},
    "MMDDriftOnline": {"ert": 5000.0, "window_size": 4, "n_bootstraps": 10_000, "verbose": False},
    "LSDDDriftOnline": {"ert": 5000.0, "window_size": 10, "n_bootstraps": 10_000, "verbose": False},
}


@pytest.fixture(scope="module")
def python(root: Path) -> Path:
    found = Path(os.environ.get("LINESIDE_ALIBI") or root / ".venv-alibi" / "bin" / "python")
    if not found.is_file():
        pytest.skip(f"no environment with alibi-detect at {found}: scripts/setup-alibi makes it")
    return found


@pytest.fixture
def make(python: Path) -> Iterator[Make]:
    with ExitStack() as held:
        yield lambda *given, **named: held.enter_context(AlibiDetector(*given, python=python, **named))


@pytest.mark.optional
@pytest.mark.parametrize("name", SETTINGS)
def test_alibi_passes_the_checks_of_our_own_detectors(make: Make, name: str) -> None:
    line = PlantedLine(np.random.default_rng(0))
    reference = line.means(200)
    detector = make(name, reference, window=20, settings=SETTINGS[name])
    assert int(detector.version.split(".")[1]) >= 12
    check_quiet(detector, line)
    detector.restart()
    check_gross_drift(detector, line, 10.0 * reference.std(axis=0), windows=40)


@pytest.mark.optional
def test_cvm_online_which_takes_long_to_calibrate_finds_a_gross_shift_of_two_entries(make: Make) -> None:
    rng = np.random.default_rng(0)
    settings = {"ert": 200.0, "window_sizes": [10], "n_bootstraps": 5000, "verbose": False}
    detector = make("CVMDriftOnline", rng.normal(size=(200, 2)), settings=settings)
    assert detector.update(rng.normal(10.0, size=(12, 2)))


@pytest.mark.optional
def test_offline_detectors_are_asked_once_a_window_and_start_anew(make: Make) -> None:
    rng = np.random.default_rng(0)
    detector = make(OFFLINE[0], rng.normal(size=(300, 3)), window=50, settings={"p_val": 1e-4})
    assert not detector.update(rng.normal(5.0, size=(49, 3)))
    detector.restart()
    assert not detector.update(rng.normal(5.0, size=(49, 3)))
    assert detector.update(rng.normal(5.0, size=(1, 3)))


@pytest.mark.optional
def test_settings_that_alibi_refuses_are_named(make: Make) -> None:
    with pytest.raises(ConfigurationError, match=r"refuses KSDrift: .*no_such_thing"):
        make("KSDrift", np.zeros((20, 2)), settings={"no_such_thing": 1})


@pytest.mark.optional
def test_a_process_that_ended_is_an_error(make: Make) -> None:
    detector = make("KSDrift", np.zeros((20, 2)))
    detector._process.kill()
    detector._process.wait()
    with pytest.raises(ConfigurationError, match="process ended"):
        detector.update(np.zeros(2))


def test_a_missing_environment_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"setup-alibi"):
        AlibiDetector("KSDrift", np.zeros((20, 2)), python=tmp_path / "python")


def test_a_detector_that_does_not_run_here_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no detector SpotTheDiffDrift; those that run here: KSDrift"):
        AlibiDetector("SpotTheDiffDrift", np.zeros((20, 2)), python=tmp_path)
