"""Somebody pauses the station: no part passes, nothing alarms, and it stays so until they say otherwise."""

from __future__ import annotations

import json
from typing import Any

from contracts.frame import Decision
from contracts.telemetry import Event, EventKind
from edge_agent.agent import Agent
from edge_agent.pause import Pause
from edge_agent.recent import Recent
from edge_agent.store import Store
from edge_agent.trend import MINUTES, Trend
from tests.edge_agent.conftest import MakeAgent
from tests.edge_agent.test_station import BLACK
from tests.edge_agent.test_web_inspect import ask, inspect
from tests.simulators.small_bundle import encoded


def pause(agent: Agent, paused: bool, **more: Any) -> tuple[int, Any]:
    body = json.dumps({"paused": paused, **more})
    return ask(agent, "POST", "/v1/pause", body, {"Content-Type": "application/json"})[:2]


def told(agent: Agent) -> list[Event]:
    messages = agent.core.outbox.waiting(after=0, limit=1000)
    return [message.envelope.body for message in messages if isinstance(message.envelope.body, Event)]


def test_a_paused_station_passes_no_part_and_calls_no_camera_faulty(make_agent: MakeAgent) -> None:
    agent = make_agent()
    assert inspect(agent)[0] == 200
    assert pause(agent, True, by="op-7")[1]["paused"] is True
    for _ in range(7):  # a hand before the lens
        status, answer = inspect(agent, encoded(BLACK))
        assert status == 422
        assert answer["error"] == "inspection was paused by op-7"
        assert answer["verdict"]["decision"] == "NO_VERDICT"
    assert agent.core.station.faults == {}
    assert "Inspection is paused" in ask(agent, "GET", "/?lang=en")[1]
    assert "lineside_agent_paused 1.0" in ask(agent, "GET", "/metrics")[1]
    assert pause(agent, False, by="op-7")[1] == {"paused": False, "since": None}
    assert inspect(agent)[0] == 200
    kinds = (EventKind.INSPECTION_PAUSED, EventKind.INSPECTION_RESUMED)
    assert [(event.event, event.reason) for event in told(agent) if event.event in kinds] == [
        (kinds[0], "by op-7"),
        (kinds[1], "by op-7"),
    ]


def test_a_pause_outlives_the_agent_and_is_reported_once(make_agent: MakeAgent) -> None:
    first = make_agent()
    for _ in range(2):
        assert pause(first, True)[0] == 200
    first.close()
    second = make_agent()
    assert inspect(second)[0] == 422
    assert [event.event for event in told(second)].count(EventKind.INSPECTION_PAUSED) == 1


def test_a_pause_that_cannot_be_read_holds(make_agent: MakeAgent, store: Store) -> None:
    agent = make_agent()
    store.remember("paused", "{")
    assert Pause(store, agent.core.outbox).reason == "inspection was paused by unknown"


def test_the_wish_is_checked(make_agent: MakeAgent) -> None:
    agent = make_agent()
    assert pause(agent, True, by="a name with spaces")[0] == 422
    assert pause(agent, True, unknown=1)[0] == 422
    assert agent.core.pause.now is None


def test_the_trend_holds_the_last_hour_minute_by_minute() -> None:
    now = [0.0]
    trend = Trend(lambda: now[0])
    for minute, decision in ((0, Decision.OK), (0, Decision.NG), (3, Decision.NG), (MINUTES + 2, Decision.OK)):
        now[0] = minute * 60.0 + 30.0
        trend.add(decision)
    minutes = trend.minutes()
    assert len(minutes) == MINUTES
    assert minutes[0] == {"NG": 1}, "the third minute is the oldest; the first is forgotten"
    assert minutes[-1] == {"OK": 1}
    assert sum(sum(minute.values()) for minute in minutes) == 2


def test_what_is_shown_is_counted(make_agent: MakeAgent) -> None:
    agent = make_agent()
    inspect(agent)
    assert agent.core.recent.trend.minutes()[-1] == {"NG": 1}
    assert Recent().trend.minutes() == [{}] * MINUTES
