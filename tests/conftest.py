"""What every test may ask for: the real images, real services, a small real bundle.

Where one of them is missing the test is skipped with the reason; with LINESIDE_REQUIRE=all it fails instead, so that
continuous integration cannot pass by testing nothing.
"""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from runtime.bundle import Bundle
from tests.simulators.mosquitto import Mosquitto
from tests.workers import turn

ROOT = Path(__file__).resolve().parents[1]

# The same examples in every run: a failure at a desk is the failure in CI.
hypothesis_settings.register_profile("lineside", derandomize=True, deadline=None, max_examples=50, database=None)
hypothesis_settings.load_profile("lineside")


gc.disable()  # while thousands of tests are found there is nothing to collect, and looking takes a third of that time


def pytest_collection_finish() -> None:
    """What was found stays: the collector leaves it alone, each look at it would take half a second."""
    gc.enable()
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Of two workers (pytest -n 2) one waits while the other has a test that is marked `alone`. Waiting is outside
    of the test and its timeout."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    with turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With LINESIDE_REQUIRE=all a skipped test is a failed one, unless it is marked `optional`."""
    report = yield
    if report.skipped and os.environ.get("LINESIDE_REQUIRE") == "all" and not item.get_closest_marker("optional"):
        report.outcome = "failed"
        report.longrepr = f"skipped although LINESIDE_REQUIRE=all: {report.longreprtext}"
    return report


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real images: LINESIDE_DATA, by default `shared/data` beside the checkout."""
    folder = Path(os.environ.get("LINESIDE_DATA") or ROOT.parent / "shared" / "data").resolve()
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder}: set LINESIDE_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def require_program() -> Callable[[str], str]:
    """`require_program("mosquitto")` is its path, or skips the test."""

    def find(name: str) -> str:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
        if path is None:
            pytest.skip(f"{name} is not installed: scripts/services does it where it may")
        return path

    return find


@pytest.fixture
def mosquitto(tmp_path: Path, require_program: Callable[[str], str]) -> Iterator[Mosquitto]:
    """A running Mosquitto of this test alone; `stop`, `kill` and `start` it as you like."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = Mosquitto(require_program("mosquitto"), folder)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A real bundle that takes a second to make: bright pictures are `scratch`, dark ones `good`. Do not change it."""
    from tests.simulators.small_bundle import write_small_bundle

    return write_small_bundle(tmp_path_factory.mktemp("bundle") / "small")
