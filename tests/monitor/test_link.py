"""The link over a real broker: away, back, killed; nothing lost, nothing doubled."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from sqlalchemy import func, select

from monitor.ingest import Ingest
from monitor.link import Link
from monitor.store import Store
from monitor.store.telemetry_tables import MessageRow
from tests.monitor.telemetry import envelope, window
from tests.simulators.mosquitto import Mosquitto
from tests.simulators.outbox import Outbox, until

ROOT = Path(__file__).parents[2]


def message(sequence: int) -> str:
    return envelope(sequence, window(sequence)).model_dump_json()


def test_telemetry_sent_while_the_broker_was_away_arrives_after_it_is_back(mosquitto: Mosquitto, store: Store) -> None:
    link = Link(Ingest(store, sites=["mono"]), host="127.0.0.1", port=mosquitto.port)
    link.start()
    agent = Outbox(mosquitto.port, message)
    for outage in range(2):
        agent.produced += 20
        until(lambda: agent.acknowledged == agent.produced, step=agent.send)
        mosquitto.kill()
        until(lambda: not link.connected.is_set())
        assert not link.publish_order("mono", "agent-1", "{}"), f"outage {outage}"
        mosquitto.start()
    agent.produced += 20
    until(lambda: agent.acknowledged == 60, step=agent.send)
    agent.close()
    link.stop()
    with store.read() as session:
        assert session.scalar(select(func.count()).select_from(MessageRow)) == 60


def test_link_waits_for_a_broker_that_is_not_there_yet(mosquitto: Mosquitto, store: Store) -> None:
    mosquitto.kill()
    committed = threading.Event()
    link = Link(Ingest(store, sites=["mono"]), host="127.0.0.1", port=mosquitto.port, on_commit=committed.set)
    link.start()
    mosquitto.start()
    agent = Outbox(mosquitto.port, message)
    agent.produced = 1
    until(lambda: agent.acknowledged == 1, step=agent.send)
    assert committed.is_set()
    agent.close()
    link.stop()


def test_kill_of_the_monitor_at_any_time_loses_and_doubles_nothing(mosquitto: Mosquitto, tmp_path: Path) -> None:
    database = tmp_path / "killed" / "monitor.db"
    agent = Outbox(mosquitto.port, message)
    chance = random.Random(4)
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.monitor.ingest_process", str(database), str(mosquitto.port)], cwd=ROOT
        )
        before = agent.acknowledged
        agent.produced += 200
        until(lambda before=before: agent.acknowledged > before, step=agent.send)  # type: ignore[misc]
        until_killed = chance.random() * 0.3
        end = time.monotonic() + until_killed
        until(lambda end=end: time.monotonic() >= end, step=agent.send)  # type: ignore[misc]
        process.kill()
        process.wait()
    store = Store(database)
    link = Link(Ingest(store, sites=["mono"]), host="127.0.0.1", port=mosquitto.port)
    link.start()
    until(lambda: agent.acknowledged == agent.produced, step=agent.send)
    agent.close()
    link.stop()
    with store.read() as session:
        sequences = list(session.scalars(select(MessageRow.sequence).order_by(MessageRow.sequence)))
    store.close()
    assert sequences == list(range(1, agent.produced + 1))
