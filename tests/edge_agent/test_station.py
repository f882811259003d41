"""The station: sources in, verdicts on record; cameras that do not see; a disk that is full."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from PIL import Image, ImageFilter

from contracts.frame import Decision
from contracts.telemetry import Event, EventKind
from edge_agent.agent import Agent
from edge_agent.focus import FocusBook
from edge_agent.settings import InspectionSettings
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.simulators.captures import ListSource
from tests.simulators.small_bundle import picture

BLACK = np.zeros((48, 48, 3), np.uint8)


def pictures(count: int, first: int = 0) -> list[np.ndarray]:
    return [picture(100, first + n) for n in range(count)]


def events(agent: Agent) -> list[Event]:
    messages = agent.core.outbox.waiting(after=0, limit=1000)
    return [message.envelope.body for message in messages if isinstance(message.envelope.body, Event)]


def decisions(agent: Agent) -> list[Decision]:
    return [entry.verdict.decision for entry in agent.core.record.entries(limit=1000)][::-1]


def test_everything_a_source_yields_is_on_record(make_agent: MakeAgent) -> None:
    source = ListSource(pictures(25))
    agent = make_agent(source)
    assert source.finished.wait(30)
    assert [entry.verdict.frame.sequence for entry in agent.core.record.entries(limit=99)] == list(range(24, -1, -1))


def test_several_sources_are_inspected_side_by_side(make_agent: MakeAgent) -> None:
    sources = [ListSource(pictures(30), camera=camera) for camera in ("cam-a", "cam-b", "cam-c")]
    agent = make_agent(*sources)
    for source in sources:
        assert source.finished.wait(30)
    assert agent.core.record.last_sequences() == {"cam-a": 29, "cam-b": 29, "cam-c": 29}


def test_a_black_camera_is_reported_at_once_and_gets_no_verdicts(make_agent: MakeAgent) -> None:
    rng = np.random.default_rng(0)
    dark = [rng.integers(0, 3, (48, 48, 3)).astype(np.uint8) for _ in range(8)]
    source = ListSource([*pictures(3), *dark, *pictures(7, 50)])
    agent = make_agent(source)
    assert source.finished.wait(30)
    camera = [event for event in events(agent) if event.camera == "cam-a"]
    assert [(event.event, event.details["fault"]) for event in camera] == [
        (EventKind.CAMERA_FAULT, "black"),
        (EventKind.CAMERA_RECOVERED, "black"),
    ]
    found = decisions(agent)
    assert found[:3] == [Decision.OK] * 3
    assert found[7:11] == [Decision.NO_VERDICT] * 4
    assert found[-1] is Decision.OK


def test_verdicts_of_a_faulty_camera_can_be_trusted_on_request(make_agent: MakeAgent) -> None:
    source = ListSource([BLACK] * 12)
    agent = make_agent(source, inspection=InspectionSettings(on_camera_fault="model"))
    assert source.finished.wait(30)
    assert decisions(agent) == [Decision.OK] * 12
    assert EventKind.CAMERA_FAULT in [event.event for event in events(agent)]


def test_a_camera_out_of_focus_gets_no_verdicts_even_after_a_restart_that_it_did_not_see(make_agent: MakeAgent) -> None:
    rng = np.random.default_rng(0)
    plates = [np.kron(rng.integers(60, 200, (16, 16, 3)), np.ones((6, 6, 1))).astype(np.uint8) for _ in range(115)]
    soft = [np.asarray(Image.fromarray(plate).filter(ImageFilter.GaussianBlur(3))) for plate in plates[:7]]
    for images in (plates, soft):
        source = ListSource(images)
        agent = make_agent(source)
        assert source.finished.wait(30)
        assert (decisions(agent)[-1] is Decision.NO_VERDICT) is (images is soft)
        assert agent.core.station.faults == ({"cam-a": "out-of-focus"} if images is soft else {})
        agent.close()
    rest = ListSource(soft)
    unwatched = make_agent(rest, inspection=InspectionSettings(watch_focus=False))
    assert rest.finished.wait(30)
    assert not unwatched.core.station.faults
    assert not FocusBook(unwatched.core.store, "cam-a")


def test_a_silent_camera_is_reported_where_that_is_asked_for(make_agent: MakeAgent) -> None:
    source = ListSource(pictures(2))
    agent = make_agent(source, inspection=InspectionSettings(silent_after_seconds=0.2))
    wait_for(lambda: [event.reason for event in events(agent)] == ["dead"])


def test_a_source_that_breaks_ends_the_agent(make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    agent = make_agent(ListSource([None]))  # type: ignore[list-item]
    wait_for(lambda: agent.failure is not None)


def test_the_hot_path_touches_no_network(make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make_agent()

    def forbidden(*_: object) -> None:
        raise AssertionError("the hot path opened a connection")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket.socket, "send", forbidden)
    for capture in ListSource(pictures(30)).captures():
        if capture is None:
            break
        agent.core.station.inspect(capture, "test")
    agent.core.station.commits.now()
    assert len(decisions(agent)) == 30
