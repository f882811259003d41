"""An agent that lost a part of itself ends, and says what ended it."""

from __future__ import annotations

import threading

import pytest

from edge_agent import commits, engines, pulse
from edge_agent.parts import parts
from edge_agent.parts.settings import PartSettings
from edge_agent.products import shelf
from edge_agent.products.settings import ProductSettings
from edge_agent.sources import push
from edge_agent.threads import Threads
from tests.edge_agent.conftest import MakeAgent


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_ends_a_thread_is_kept_and_stops_the_agent() -> None:
    stop = threading.Event()
    threads = Threads(stop)
    threads.run("part", fail)
    threads.join()
    assert stop.is_set()
    assert isinstance(threads.failure, ZeroDivisionError)


def test_a_thread_that_is_done_stops_nothing() -> None:
    stop = threading.Event()
    threads, seen = Threads(stop), list[int]()
    threads.run("part", seen.append, 3)
    threads.join()
    assert (seen, threads.failure, stop.is_set()) == ([3], None, False)


def test_what_waits_for_work_is_woken_when_the_agent_ends(
    monkeypatch: pytest.MonkeyPatch, make_agent: MakeAgent
) -> None:
    hours = 3 * 3600.0
    for module, name in (
        (engines, "_BEAT_SECONDS"), (parts, "_BEAT_SECONDS"), (shelf, "_BEAT_SECONDS"), (pulse, "_LOOK_SECONDS"),
        (push, "_PATIENCE_SECONDS"), (commits, "_RETRY_SECONDS"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, hours)
    housing = PartSettings(name="housing", views=("cam-a", "cam-b"))
    agent = make_agent(parts=(housing,), products=(ProductSettings(name="cap"),))
    agent.close()
    assert [thread.name for thread in agent.threads._started if thread.is_alive()] == []


def fail() -> None:
    raise ZeroDivisionError
