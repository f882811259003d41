"""A disk that does not let it: what is done beside the line waits, and its thread goes on."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import BundleError, QuotaError
from contracts.telemetry import EventKind
from edge_agent import patience as module
from edge_agent.inspection import Inspector
from edge_agent.orders import Orders
from edge_agent.patience import patience
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.edge_agent.test_replay import events, order, station
from tests.simulators.small_bundle import write_small_bundle

FULL = (QuotaError("disk full"), sqlite3.OperationalError("disk I/O error"), OSError(28, "No space left on device"))


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_a_disk_that_is_full_is_waited_for(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def write() -> None:
        raise error

    stopping = threading.Event()
    stopping.set()
    with patience("a replay", stopping):
        write()
    assert "a replay must wait" in caplog.text


def test_other_errors_are_nothing_to_wait_for() -> None:
    with pytest.raises(BundleError), patience("a replay", threading.Event()):
        raise BundleError("damaged")


def test_a_replay_that_cannot_be_reported_is_played_again(
    make_agent: MakeAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)
    agent, failures = station(make_agent), iter(FULL)
    finish = Orders.finish

    def full(self: Orders, *arguments: Any, **more: Any) -> None:
        for error in failures:
            raise error
        finish(self, *arguments, **more)

    monkeypatch.setattr(Orders, "finish", full)
    same = write_small_bundle(tmp_path / "other", slope=5.0)
    agent.core.orders.receive(order(same.hash))
    agent.core.shadow.start(Inspector(same))
    wait_for(lambda: events(agent, EventKind.ORDER_DONE))
    assert len(events(agent, EventKind.REPLAY_FINISHED)) == 1
    assert agent.failure is None
