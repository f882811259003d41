"""The uplink over real brokers: the outage, the restart, the monitor that says nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.orders import Configure
from contracts.telemetry import Ack, Birth, Event, EventKind, Window
from edge_agent.agent import Agent
from edge_agent.broker import Address
from edge_agent.courtesy import Courtesy
from edge_agent.outbox import Outbox
from edge_agent.settings import BrokerSettings, WindowSettings
from edge_agent.source import Capture
from edge_agent.store import Store
from edge_agent.uplink import Uplink
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.simulators.captures import frame
from tests.simulators.embedded_broker import EmbeddedBroker
from tests.simulators.listening_monitor import ListeningMonitor
from tests.simulators.mosquitto import Mosquitto
from tests.simulators.small_bundle import picture

Broker = Mosquitto | EmbeddedBroker


@pytest.fixture(params=["mosquitto", "embedded"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """Each kind of broker that a user may have."""
    if request.param == "mosquitto":
        yield request.getfixturevalue("mosquitto")
        return
    broker = EmbeddedBroker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def monitor(broker: Broker) -> Iterator[ListeningMonitor]:
    login = {} if isinstance(broker, Mosquitto) else {"user": "monitor", "password": "monitor-secret"}
    monitor = ListeningMonitor(broker.port, **login)
    assert monitor.connected.wait(20)
    yield monitor
    monitor.close()


def linked(broker: Broker, **changes: Any) -> BrokerSettings:
    login: dict[str, Any] = {} if isinstance(broker, Mosquitto) else {"user": "agent-1", "password": "agent-secret"}
    values = {"port": broker.port, "resend_seconds": 1.0, "longest_wait_seconds": 1.0, **login, **changes}
    return BrokerSettings.model_validate(values)


def see(agent: Agent, numbers: range) -> None:
    """Images go by; every ten make a window."""
    for number in numbers:
        agent.core.station.inspect(Capture(frame(number), picture(80, number)), "test")
    agent.core.station.commits.now()


def first_frames(monitor: ListeningMonitor) -> list[int]:
    return sorted(window.first_frame for window in monitor.windows())


def test_windows_reach_the_monitor_and_leave_the_outbox(
    make_agent: MakeAgent, broker: Broker, monitor: ListeningMonitor
) -> None:
    agent = make_agent(broker=linked(broker))
    see(agent, range(100))
    monitor.wait(lambda m: len(m.windows()) == 10)
    wait_for(lambda: agent.core.outbox.size()[0] == 0)
    assert first_frames(monitor) == list(range(0, 100, 10))
    assert agent.view().connected
    assert agent.view().acknowledged_at is not None


def test_every_connection_begins_with_a_status_and_a_birth(
    make_agent: MakeAgent, broker: Broker, monitor: ListeningMonitor
) -> None:
    agent = make_agent(broker=linked(broker))
    see(agent, range(3))
    monitor.wait(lambda m: any(isinstance(e.body, Birth) for e in m.messages.values()))
    monitor.wait(lambda m: m.statuses and m.statuses[-1].online)
    (birth,) = [e.body for e in monitor.messages.values() if isinstance(e.body, Birth)]
    active = agent.core.station.active
    assert active is not None
    assert (birth.bundle_hash, birth.production) == (active.bundle.hash, True)
    agent.close()
    monitor.wait(lambda m: not m.statuses[-1].online)


def test_the_broker_goes_away_mid_publish_and_comes_back_twice(
    make_agent: MakeAgent, broker: Broker, monitor: ListeningMonitor
) -> None:
    agent = make_agent(broker=linked(broker))
    assert agent.uplink is not None
    seen = 0
    for _ in range(2):
        wait_for(agent.uplink.connected.is_set)
        see(agent, range(seen, seen + 200))
        broker.kill()
        see(agent, range(seen + 200, seen + 400))
        seen += 400
        broker.start()
    monitor.wait(lambda m: len(m.windows()) == 80, seconds=60)
    wait_for(lambda: agent.core.outbox.size()[0] == 0)
    assert first_frames(monitor) == list(range(0, 800, 10))
    assert monitor.contradictions == []


def test_what_the_monitor_does_not_acknowledge_is_sent_again(make_agent: MakeAgent, mosquitto: Mosquitto) -> None:
    monitor = ListeningMonitor(mosquitto.port)
    assert monitor.connected.wait(20)
    monitor.acknowledges = False
    agent = make_agent(broker=linked(mosquitto))
    see(agent, range(30))
    monitor.wait(lambda m: m.repeats >= 3)
    assert agent.core.outbox.size()[0] >= 3
    monitor.acknowledges = True
    wait_for(lambda: agent.core.outbox.size()[0] == 0)
    assert first_frames(monitor) == [0, 10, 20]
    monitor.close()


def test_what_the_broker_took_and_forgot_is_sent_again_at_once_over_a_new_connection(
    make_agent: MakeAgent, mosquitto: Mosquitto
) -> None:
    agent = make_agent(broker=linked(mosquitto, resend_seconds=3600))
    see(agent, range(30))
    wait_for(lambda: agent.core.store.rows("SELECT MIN(sent) AS sent FROM outbox")[0]["sent"] == 1)
    mosquitto.kill()  # nobody had subscribed: its acknowledgements meant nothing
    mosquitto.start()
    monitor = ListeningMonitor(mosquitto.port)
    assert monitor.connected.wait(20)
    for _ in range(8):  # until the monitor has subscribed before the agent is back
        mosquitto.kill()
        mosquitto.start()
        assert monitor.connected.wait(20)
        time.sleep(3.0)
        if len(monitor.windows()) == 3:
            break
    assert first_frames(monitor) == [0, 10, 20]
    monitor.close()


@pytest.mark.parametrize("takes_late", [True, False])
def test_a_long_backlog_is_delivered_in_portions_and_what_is_new_goes_beside_it(
    make_agent: MakeAgent, mosquitto: Mosquitto, takes_late: bool
) -> None:
    """To a monitor that takes it so; an older one gets everything in order."""
    before = make_agent(window=WindowSettings(images=1))
    see(before, range(500))
    before.close()
    mosquitto.kill()
    agent = make_agent(broker=linked(mosquitto), window=WindowSettings(images=1))
    agent.core.station.faults["cam-a"] = "black"
    mosquitto.start()
    monitor = ListeningMonitor(mosquitto.port)
    monitor.takes_late = takes_late
    monitor.wait(lambda m: len(m.windows()) == 500, seconds=60)
    wait_for(lambda: agent.core.outbox.size()[0] == 0)
    messages = list(monitor.messages.values())
    [(place, birth)] = [(place, each.body) for place, each in enumerate(messages) if isinstance(each.body, Birth)]
    assert (messages[place].boot, messages[place].late) == (agent.core.outbox.boot, False)
    assert {camera.fault for camera in birth.cameras} == {"black"}
    if takes_late:
        assert place < 250
        assert any(each.late for each in messages)
    else:
        assert place == 500
        assert not any(each.late for each in messages)
    monitor.close()


def test_an_agent_starts_and_inspects_while_the_broker_is_away(make_agent: MakeAgent, mosquitto: Mosquitto) -> None:
    mosquitto.kill()
    agent = make_agent(broker=linked(mosquitto))
    see(agent, range(20))
    assert not agent.view().connected
    assert agent.view().waiting_messages == 2
    mosquitto.start()
    monitor = ListeningMonitor(mosquitto.port)
    monitor.wait(lambda m: len(m.windows()) == 2)
    monitor.close()


def test_messages_of_an_earlier_run_are_delivered_after_a_restart(make_agent: MakeAgent, mosquitto: Mosquitto) -> None:
    agent = make_agent()
    see(agent, range(20))
    boot = agent.core.outbox.boot
    agent.close()
    monitor = ListeningMonitor(mosquitto.port)
    assert monitor.connected.wait(20)
    again = make_agent(broker=linked(mosquitto))
    monitor.wait(lambda m: len(m.windows()) == 2)
    wait_for(lambda: again.core.outbox.size()[0] == 0)
    assert {key[0] for key, envelope in monitor.messages.items() if isinstance(envelope.body, Window)} == {boot}
    monitor.close()


def test_an_order_is_carried_out_and_answered(make_agent: MakeAgent, broker: Broker, monitor: ListeningMonitor) -> None:
    agent = make_agent(broker=linked(broker))
    assert agent.uplink is not None
    wait_for(agent.uplink.connected.is_set)
    now = datetime.now(UTC)
    order = Configure(
        order_id="c-1", issued_at=now, expires_at=now + timedelta(hours=1), reason="audit", audit_fraction=0.25
    )

    def answered(m: ListeningMonitor) -> bool:
        if not m.events(EventKind.ORDER_DONE):
            m.order(order)
        return bool(m.events(EventKind.ORDER_DONE))

    monitor.wait(answered)
    assert agent.core.buffer.audit_fraction == 0.25
    agent.close()
    assert make_agent().core.buffer.audit_fraction == 0.25


def test_the_operators_page_shows_the_monitors_word_on_drift(make_agent: MakeAgent, mosquitto: Mosquitto) -> None:
    monitor = ListeningMonitor(mosquitto.port)
    monitor.cameras = {"cam-a": "DRIFT"}
    assert monitor.connected.wait(20)
    agent = make_agent(broker=linked(mosquitto))
    see(agent, range(10))
    wait_for(lambda: [(c.name, c.drift) for c in agent.view().cameras] == [("cam-a", "drift")])
    monitor.close()


def test_nonsense_on_the_agents_topics_is_ignored(make_agent: MakeAgent, mosquitto: Mosquitto) -> None:
    monitor = ListeningMonitor(mosquitto.port)
    assert monitor.connected.wait(20)
    agent = make_agent(broker=linked(mosquitto))
    assert agent.uplink is not None
    wait_for(agent.uplink.connected.is_set)
    foreign = Ack(agent="agent-1", boot="of-somebody-else", sequence=10**6)
    for kind in ("ack", "orders"):
        for payload in (b"", b"{", b"\xff\xfe", b"x" * 100_000, b"[" * 10_000, foreign.model_dump_json().encode()):
            monitor.send(kind, payload)
    see(agent, range(30))
    monitor.wait(lambda m: len(m.windows()) == 3)
    assert agent.failure is None
    monitor.close()


def test_a_wrong_password_is_reported_and_loses_nothing(
    make_agent: MakeAgent, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = EmbeddedBroker(tmp_path / "broker")
    broker.start()
    try:
        agent = make_agent(broker=linked(broker, password="wrong"))
        see(agent, range(20))
        wait_for(lambda: "refuses this agent" in caplog.text or "is away" in caplog.text, seconds=40)
        assert agent.core.outbox.size()[0] == 2
    finally:
        broker.kill()


def test_while_the_line_works_a_drain_rests_after_every_few_messages_and_counts_no_rest_as_work(store: Store) -> None:
    asked: list[float] = []

    class Noting(Courtesy):
        def rest_seconds(self, worked: float) -> float:
            asked.append(worked)
            return 0.2

    outbox = Outbox(store, agent="agent-1", max_bytes=10**9)
    for _ in range(20):
        outbox.add(Event(event=EventKind.CAMERA_FAULT, at=datetime.now(UTC)))
    uplink = Uplink(
        outbox,
        Address("127.0.0.1", 1),
        site="plant",
        agent="agent-1",
        birth=lambda: pytest.fail("there is no connection"),
        on_order=lambda payload: None,
        on_states=lambda states: None,
        resend_seconds=60.0,
        longest_wait_seconds=1.0,
        courtesy=Noting(lambda: 0.0),
    )
    uplink.connected.set()  # as far as the sender can tell
    uplink.start()
    wait_for(lambda: len(asked) >= 3)
    uplink.connected.clear()
    uplink.close()
    assert all(0.0 < worked < 0.2 for worked in asked[:3]), "after 8 and 16 messages, and after the round"
