"""An agent that lost a part of itself ends, and says what ended it."""

from __future__ import annotations

import threading

import pytest

from edge_agent.threads import Threads


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


def fail() -> None:
    raise ZeroDivisionError
