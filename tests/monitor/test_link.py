"""The link over a real broker: away, back, killed; nothing lost, nothing doubled."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import func, select

from contracts.telemetry import Ack, topic
from monitor.ingest import Ingest
from monitor.link import Link
from monitor.store import Store
from monitor.store.telemetry_tables import MessageRow
from tests.monitor.conftest import Broker
from tests.monitor.telemetry import envelope, window

ROOT = Path(__file__).parents[2]


class Outbox:
    """An agent reduced to its outbox: sends everything unacknowledged again and again."""

    def __init__(self, port: int) -> None:
        self.acknowledged = 0
        self.produced = 0
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, clean_session=True)
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.on_connect = lambda client, *_: client.subscribe(topic("mono", "agent-1", "ack"), qos=1)
        self._client.on_message = self._when_ack
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def _when_ack(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        ack = Ack.model_validate_json(message.payload)
        assert ack.sequence <= self.produced, "acknowledged what was never sent"
        self.acknowledged = max(self.acknowledged, ack.sequence)

    def send(self, *, at_most: int = 50) -> None:
        for sequence in range(self.acknowledged + 1, min(self.acknowledged + at_most, self.produced) + 1):
            text = envelope(sequence, window(sequence)).model_dump_json()
            self._client.publish(topic("mono", "agent-1", "telemetry"), text, qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def until(condition: Callable[[], bool], *, step: Callable[[], None] = lambda: None) -> None:
    """Wait for the condition, doing `step` meanwhile. The test's own time limit ends it."""
    while not condition():
        step()
        time.sleep(0.05)


def test_telemetry_sent_while_the_broker_was_away_arrives_after_it_is_back(broker: Broker, store: Store) -> None:
    link = Link(Ingest(store, sites=["mono"]), host="127.0.0.1", port=broker.port)
    link.start()
    agent = Outbox(broker.port)
    for outage in range(2):
        agent.produced += 20
        until(lambda: agent.acknowledged == agent.produced, step=agent.send)
        broker.kill()
        until(lambda: not link.connected.is_set())
        assert not link.publish_order("mono", "agent-1", "{}"), f"outage {outage}"
        broker.start()
    agent.produced += 20
    until(lambda: agent.acknowledged == 60, step=agent.send)
    agent.close()
    link.stop()
    with store.read() as session:
        assert session.scalar(select(func.count()).select_from(MessageRow)) == 60


def test_link_waits_for_a_broker_that_is_not_there_yet(broker: Broker, store: Store) -> None:
    broker.kill()
    committed = threading.Event()
    link = Link(Ingest(store, sites=["mono"]), host="127.0.0.1", port=broker.port, on_commit=committed.set)
    link.start()
    broker.start()
    agent = Outbox(broker.port)
    agent.produced = 1
    until(lambda: agent.acknowledged == 1, step=agent.send)
    assert committed.is_set()
    agent.close()
    link.stop()


def test_kill_of_the_monitor_at_any_time_loses_and_doubles_nothing(broker: Broker, tmp_path: Path) -> None:
    database = tmp_path / "killed" / "monitor.db"
    agent = Outbox(broker.port)
    chance = random.Random(4)
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.monitor.ingest_process", str(database), str(broker.port)], cwd=ROOT
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
    link = Link(Ingest(store, sites=["mono"]), host="127.0.0.1", port=broker.port)
    link.start()
    until(lambda: agent.acknowledged == agent.produced, step=agent.send)
    agent.close()
    link.stop()
    with store.read() as session:
        sequences = list(session.scalars(select(MessageRow.sequence).order_by(MessageRow.sequence)))
    store.close()
    assert sequences == list(range(1, agent.produced + 1))
