"""The agent's process: what it does with its own memory and with what libraries print."""

from __future__ import annotations

import gc
import signal
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.agent import run_agent
from runtime.bundle import Bundle
from tests.edge_agent.conftest import agent_settings


@pytest.fixture
def _own_signals() -> Iterator[None]:
    """An agent in the main thread takes Ctrl-C and SIGTERM; the tests get them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_own_signals")
def test_the_collector_leaves_alone_what_stays_and_image_libraries_are_quiet(
    tmp_path: Path, small_bundle: Bundle
) -> None:
    """A full collection over everything that was loaded would stop all threads for 60 ms."""
    stop, seen = threading.Event(), []

    def started(_: str) -> None:
        kept_alone, still_watched = gc.get_freeze_count(), len(gc.get_objects())
        seen.append((kept_alone > 10_000, still_watched < kept_alone / 10))
        with warnings.catch_warnings(record=True) as told:
            warnings.warn_explicit("damaged", UserWarning, "TiffImagePlugin.py", 1, module="PIL.TiffImagePlugin")
            warnings.warn_explicit("something else", UserWarning, "other.py", 1, module="other")
        seen.append((len(told),))
        stop.set()

    thresholds = gc.get_threshold()
    gc.unfreeze()  # what tests/conftest.py has set aside
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        run_agent(agent_settings(tmp_path, small_bundle), stop=stop, started=started)
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    assert seen == [(True, True), (1,)]
