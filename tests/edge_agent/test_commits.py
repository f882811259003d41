"""Commits: together where that costs nobody anything, at once where somebody has waited for long."""

from __future__ import annotations

import threading

import pytest

from edge_agent.commits import Commits
from edge_agent.ledger import Ledger
from tests.edge_agent.conftest import MakeAgent


class Asked:
    """The commits of an agent, of which none reaches the disk: `made` counts them, `waits` says whether there is
    something to commit, `late` whether somebody has waited for long."""

    def __init__(self, commits: Commits, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commits, self.made, self.waits, self.late = commits, threading.Semaphore(0), True, False
        self.threads: list[str] = []
        monkeypatch.setattr(Ledger, "holds_something", property(lambda ledger: self.waits))
        monkeypatch.setattr(Ledger, "holds_late", property(lambda ledger: self.late))
        monkeypatch.setattr(commits, "now", self._now)

    def _now(self) -> None:
        self.waits = False
        self.threads.append(threading.current_thread().name)
        self.made.release()


@pytest.fixture
def asked(make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch) -> Asked:
    commits = make_agent().core.station.commits
    with commits._wanted:  # nothing is committed meanwhile
        found = Asked(commits, monkeypatch)
    return found


def test_what_is_asked_for_meanwhile_goes_into_one_commit_and_nothing_waits_for_ever(asked: Asked) -> None:
    with asked.commits._wanted:  # nothing is committed while five are asked for
        for gather in (True, True, True, True, False):
            asked.commits.soon(gather=gather)
    assert asked.made.acquire(timeout=30)
    assert not asked.made.acquire(timeout=0.1), "there is nothing to commit"
    asked.waits = True
    asked.commits.soon(gather=True)
    assert asked.made.acquire(timeout=30), "alone, it is committed as well"
    asked.waits = True  # as of an image that came just then
    assert asked.made.acquire(timeout=30), "a little later it looks by itself"
    assert asked.threads == ["commits"] * 3


def test_what_is_owed_is_gathered_for_unless_somebody_has_waited_for_long(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.commits._GATHER_SECONDS", 60.0)
    asked.commits.settle()
    assert not asked.made.acquire(timeout=0.1), "nothing is owed"
    asked.commits.owe()
    asked.commits.settle()
    assert not asked.made.acquire(timeout=0.1), "it waits for what is under way"
    asked.late = True
    asked.commits.owe()
    asked.commits.settle()
    assert asked.made.acquire(timeout=30)
