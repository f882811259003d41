"""A camera of a running agent: pictures in, faults told in telemetry and on the page, triggers over HTTP."""

from __future__ import annotations

import itertools
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from contracts.errors import ConfigurationError
from contracts.frame import Decision, Verdict
from contracts.settings import parse_settings
from contracts.telemetry import Event, EventKind
from edge_agent.agent import Agent
from edge_agent.parts.settings import PartSettings
from edge_agent.products.settings import ProductSettings
from edge_agent.settings import AgentSettings, BundleSettings
from edge_agent.sources import making
from edge_agent.sources.settings import CameraSettings
from runtime.bundle import Bundle
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.simulators.devices import FakeLibrary

Plug = Callable[..., FakeLibrary]


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plug]:
    """`plug("cam-a", "fails")` puts a fake library behind the camera of that name."""
    libraries: dict[str, FakeLibrary] = {}
    monkeypatch.setattr(making, "opener_of", lambda camera: libraries[camera.name].open)

    def put(name: str, mode: str = "delivers", **more: Any) -> FakeLibrary:
        libraries[name] = FakeLibrary(mode, **more)
        return libraries[name]

    yield put
    for library in libraries.values():
        library.release()


def camera(name: str = "cam-a", **changes: Any) -> CameraSettings:
    return CameraSettings(name=name, **{"address": "usb:0", "every_seconds": 0.0, "silent_seconds": 1.0, **changes})


def verdicts(agent: Agent, name: str = "cam-a") -> list[Verdict]:
    return [entry.verdict for entry in agent.core.record.entries(limit=1000, camera=name)][::-1]


def faults(agent: Agent, name: str = "cam-a") -> list[Event]:
    kinds = (EventKind.CAMERA_FAULT, EventKind.CAMERA_RECOVERED)
    messages = agent.core.outbox.waiting(after=0, limit=1000)
    events = [message.envelope.body for message in messages if isinstance(message.envelope.body, Event)]
    return [event for event in events if event.event in kinds and event.camera == name]


def trigger(agent: Agent, query: str) -> tuple[int, Any]:
    request = urllib.request.Request(f"{agent.url}/v1/trigger?{query}", method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_pictures_of_a_camera_are_inspected(plug: Plug, make_agent: MakeAgent) -> None:
    plug("cam-a")
    agent = make_agent(cameras=(camera(product="cap", line="line-7", view="side"),))
    wait_for(lambda: len(verdicts(agent)) >= 5)
    frame = verdicts(agent)[0].frame
    assert (frame.camera, frame.product, frame.line, frame.view) == ("cam-a", "cap", "line-7", "side")
    assert frame.part_id == f"cam-a-{frame.sequence}"
    assert verdicts(agent)[0].decision is Decision.OK


@pytest.mark.parametrize("mode", ["fails", "hangs", "nothing", "breaks"])
def test_a_camera_that_dies_is_told_everywhere_and_comes_back(plug: Plug, make_agent: MakeAgent, mode: str) -> None:
    library = plug("cam-a")
    agent = make_agent(cameras=(camera(),))
    wait_for(lambda: len(verdicts(agent)) >= 3)
    library.mode = mode
    wait_for(lambda: [event.event for event in faults(agent)] == [EventKind.CAMERA_FAULT])
    (told,) = faults(agent)
    assert told.reason == told.details["fault"] == "dead"
    assert told.details["why"].startswith("no frames: ")
    view = agent.view()
    assert [(shown.name, shown.fault) for shown in view.cameras] == [("cam-a", "dead")]
    (trouble,) = view.troubles
    assert trouble.startswith("camera cam-a (usb:0): ")
    assert "Check the USB cable" in trouble
    library.mode = "delivers"
    wait_for(lambda: [event.event for event in faults(agent)][1:] == [EventKind.CAMERA_RECOVERED])
    before = len(verdicts(agent))
    wait_for(lambda: len(verdicts(agent)) >= before + 3)
    assert agent.view().troubles == []
    assert agent.core.station.faults == {}
    assert agent.failure is None
    assert (
        agent.core.metrics.registry.get_sample_value("lineside_agent_camera_restarts_total", {"camera": "cam-a"}) == 1
    )


def test_a_camera_that_was_never_there_is_on_the_page(plug: Plug, make_agent: MakeAgent) -> None:
    plug("cam-a", refuse=1000)
    agent = make_agent(cameras=(camera(),))
    wait_for(lambda: [(shown.name, shown.fault) for shown in agent.view().cameras] == [("cam-a", "dead")])


def test_one_that_hangs_does_not_hold_up_another(plug: Plug, make_agent: MakeAgent) -> None:
    plug("cam-a", "hangs")
    plug("cam-b")
    agent = make_agent(cameras=(camera("cam-a"), camera("cam-b")))
    wait_for(lambda: faults(agent, "cam-a"))
    before = len(verdicts(agent, "cam-b"))
    wait_for(lambda: len(verdicts(agent, "cam-b")) >= before + 10)
    assert faults(agent, "cam-b") == []


def test_an_agent_stops_while_its_camera_hangs(plug: Plug, make_agent: MakeAgent) -> None:
    library = plug("cam-a", "hangs")
    agent = make_agent(cameras=(camera(silent_seconds=60.0),))
    wait_for(lambda: library.opened)
    agent.close()
    assert agent.failure is None


def test_frames_that_a_newer_one_replaced_are_reported_as_dropped(plug: Plug, make_agent: MakeAgent) -> None:
    library = plug("cam-a")
    agent = make_agent(cameras=(camera(),))
    wait_for(lambda: len(verdicts(agent)) >= 3)
    with agent.core.ledger._committing:  # the station stands still, as with a slow disk
        seen = library.frames
        wait_for(lambda: library.frames >= seen + 40)
    wait_for(lambda: verdicts(agent)[-1].frame.sequence > seen + 40)
    numbers = [verdict.frame.sequence for verdict in verdicts(agent)]
    gaps = [b - a - 1 for a, b in itertools.pairwise(numbers)]
    assert max(gaps) >= 20
    assert min(gaps) >= 0


def test_pictures_in_time_leave_no_gap(plug: Plug, make_agent: MakeAgent) -> None:
    plug("cam-a")
    agent = make_agent(cameras=(camera(every_seconds=0.1),))
    wait_for(lambda: len(verdicts(agent)) >= 4)
    assert [verdict.frame.sequence for verdict in verdicts(agent)][:4] == [0, 1, 2, 3]
    passed = agent.core.metrics.registry.get_sample_value(
        "lineside_agent_frames_passed_over_total", {"camera": "cam-a"}
    )
    assert passed is not None
    assert passed > 0


class TestTrigger:
    def test_answers_with_the_verdict_on_a_new_picture(self, plug: Plug, make_agent: MakeAgent) -> None:
        plug("cam-a", level=180)
        agent = make_agent(cameras=(camera(trigger="software"),))
        status, verdict = trigger(agent, "camera=cam-a&part_id=P-1")
        assert (status, verdict["decision"], verdict["frame"]["part_id"]) == (200, "NG", "P-1")
        status, verdict = trigger(agent, "camera=cam-a")
        assert (status, verdict["frame"]["part_id"], verdict["frame"]["sequence"]) == (200, "cam-a-1", 1)
        assert len(verdicts(agent)) == 2

    def test_the_only_one_need_not_be_named(self, plug: Plug, make_agent: MakeAgent) -> None:
        plug("cam-a")
        agent = make_agent(cameras=(camera(trigger="software"),))
        assert trigger(agent, "part_id=P-1")[0] == 200

    def test_many_at_once_get_an_answer_each(self, plug: Plug, make_agent: MakeAgent) -> None:
        plug("cam-a")
        agent = make_agent(cameras=(camera(trigger="software"),))
        answers: list[tuple[int, Any]] = []
        callers = [
            threading.Thread(target=lambda n=n: answers.append(trigger(agent, f"camera=cam-a&part_id=P-{n}")))
            for n in range(6)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert [status for status, _ in answers] == [200] * 6
        assert {answer["frame"]["part_id"] for _, answer in answers} == {f"P-{n}" for n in range(6)}

    def test_of_a_camera_that_is_away_is_refused_and_missed(self, plug: Plug, make_agent: MakeAgent) -> None:
        library = plug("cam-a")
        agent = make_agent(cameras=(camera(trigger="software"),))
        assert trigger(agent, "camera=cam-a&part_id=P-1")[0] == 200
        library.mode = "fails"
        wait_for(lambda: agent.view().troubles)
        status, refusal = trigger(agent, "camera=cam-a&part_id=P-2")
        assert status == 503
        assert "no more frames" in refusal["error"]
        assert "not inspected" in refusal["remedy"]
        library.mode = "delivers"
        wait_for(lambda: not agent.view().troubles)
        status, verdict = trigger(agent, "camera=cam-a&part_id=P-3")
        assert (status, verdict["frame"]["sequence"]) == (200, 2)
        assert [found.frame.part_id for found in verdicts(agent)] == ["P-1", "P-3"]

    def test_that_gets_no_frame_in_time_is_refused(self, plug: Plug, make_agent: MakeAgent) -> None:
        library = plug("cam-a")
        agent = make_agent(cameras=(camera(trigger="software"),))
        assert trigger(agent, "camera=cam-a")[0] == 200
        library.mode = "hangs"
        status, refusal = trigger(agent, "camera=cam-a&part_id=P-2")
        assert status == 503
        assert "camera cam-a" in refusal["error"]

    def test_a_products_code_that_comes_with_it_is_looked_up(self, plug: Plug, make_agent: MakeAgent) -> None:
        plug("cam-a")
        products = (ProductSettings(name="default"), ProductSettings(name="cap", codes=("4711/A",)))
        agent = make_agent(cameras=(camera(trigger="software"),), products=products)
        assert trigger(agent, "camera=cam-a&product_code=4711%2FA")[1]["frame"]["product"] == "cap"
        assert trigger(agent, "camera=cam-a")[1]["frame"]["product"] == "default"
        status, answer = trigger(agent, "camera=cam-a&product_code=0815")
        assert (status, answer["verdict"]["frame"]["product"]) == (422, "unknown")
        assert "product '0815' is not one of the [[products]]" in answer["error"]

    def test_of_a_camera_that_is_not_triggered_names_those_that_are(self, plug: Plug, make_agent: MakeAgent) -> None:
        plug("cam-a")
        plug("cam-b")
        agent = make_agent(cameras=(camera("cam-a"), camera("cam-b", trigger="software")))
        status, refusal = trigger(agent, "camera=cam-a")
        assert (status, "cam-b" in refusal["remedy"]) == (404, True)
        assert trigger(agent, "camera=CAM")[0] == 400

    def test_ten_equal_pictures_of_a_sensor_are_a_fault(self, plug: Plug, make_agent: MakeAgent) -> None:
        library = plug("cam-a")
        agent = make_agent(cameras=(camera(trigger="software"),))
        assert trigger(agent, "camera=cam-a")[0] == 200
        library.frozen = True
        answers = [trigger(agent, "camera=cam-a")[0] for _ in range(11)]
        assert answers[-1] == 422
        assert agent.core.station.faults == {"cam-a": "frozen"}


class TestTriggerOfAPart:
    """One call, every camera that sees it."""

    VIEWS = PartSettings(name="housing", views=("cam-a", "cam-b"), within_seconds=1.5)

    def start(self, make_agent: MakeAgent) -> Agent:
        both = (camera("cam-a", trigger="software"), camera("cam-b", trigger="software"))
        return make_agent(cameras=both, parts=(self.VIEWS,))

    def test_answers_with_the_worst_view(self, plug: Plug, make_agent: MakeAgent) -> None:
        plug("cam-a")
        bright = plug("cam-b", level=180)
        agent = self.start(make_agent)
        status, verdict = trigger(agent, "part=housing&part_id=P-1")
        assert (status, verdict["decision"]) == (200, "NG")
        assert verdict["views"] == {"cam-a": "OK", "cam-b": "NG"}
        bright.level = 80
        assert trigger(agent, "part=housing&part_id=P-2")[1]["decision"] == "OK"
        assert trigger(agent, "part=housing&part_id=P-1")[1]["decision"] == "OK"  # shown once more

    def test_with_one_camera_away_is_no_verdict_and_with_all_away_refused(
        self, plug: Plug, make_agent: MakeAgent
    ) -> None:
        first, second = plug("cam-a"), plug("cam-b")
        agent = self.start(make_agent)
        assert trigger(agent, "part=housing&part_id=P-1")[0] == 200
        second.mode = "fails"
        wait_for(lambda: agent.core.station.faults == {"cam-b": "dead"})
        status, answer = trigger(agent, "part=housing&part_id=P-2")
        assert (status, answer["verdict"]["decision"], answer["verdict"]["missing"]) == (422, "NO_VERDICT", ["cam-b"])
        first.mode = "fails"
        wait_for(lambda: len(agent.core.station.faults) == 2)
        assert trigger(agent, "part=housing&part_id=P-3")[0] == 503

    def test_needs_an_id_and_a_part_that_is_known(self, plug: Plug, make_agent: MakeAgent) -> None:
        plug("cam-a"), plug("cam-b")
        agent = self.start(make_agent)
        assert trigger(agent, "part=housing")[0] == 400
        assert trigger(agent, "part=other&part_id=P-1")[0] == 404

    def test_names_cameras_that_software_does_not_trigger(self, plug: Plug, make_agent: MakeAgent) -> None:
        plug("cam-a")
        agent = make_agent(cameras=(camera("cam-a", trigger="software"),), parts=(self.VIEWS,))
        status, refusal = trigger(agent, "part=housing&part_id=P-1")
        assert (status, refusal["error"]) == (404, "not triggered by software: cam-b")


def test_numbers_go_on_after_a_restart(plug: Plug, make_agent: MakeAgent) -> None:
    plug("cam-a")
    agent = make_agent(cameras=(camera(trigger="software"),))
    assert trigger(agent, "camera=cam-a")[1]["frame"]["sequence"] == 0
    agent.close()
    agent = make_agent(cameras=(camera(trigger="software"),))
    assert trigger(agent, "camera=cam-a")[1]["frame"]["sequence"] == 1


def settings(small_bundle: Bundle, *cameras: dict[str, Any]) -> AgentSettings:
    values = {"site": "plant", "agent": "a", "state_folder": "/tmp/none", "cameras": list(cameras)}
    values["bundle"] = BundleSettings(path=small_bundle.path, hash=small_bundle.hash)
    return parse_settings(values, AgentSettings, source="agent.toml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"address": "rtsp://viewer:hunter2@10.0.0.7/live"}, "set user and password_file instead"),
        ({"address": "rtsp://10.0.0.7/live", "user": "viewer"}, "belong together"),
        ({"address": "rtsp:///live"}, "names no host"),
        ({"address": "usb:0", "user": "viewer", "password": "hunter2"}, "for network cameras"),
        ({"address": "usb:first"}, "usb:NUMBER"),
        ({"address": "http://10.0.0.7/live"}, "http:// cannot be opened"),
        ({"address": "usb:0", "trigger": "line"}, "needs a GenICam camera"),
        ({"address": "genicam:1234"}, "producer"),
        ({"address": "usb:0", "width": 640}, "width and height belong together"),
    ],
)
def test_settings_that_do_not_fit_are_refused_without_repeating_them(
    small_bundle: Bundle, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(small_bundle, {"name": "cam-a", **values})
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value) + repr(caught.value.__cause__)


def test_two_cameras_of_one_name_are_refused(small_bundle: Bundle) -> None:
    with pytest.raises(ConfigurationError, match="two cameras are named cam-a"):
        settings(small_bundle, {"name": "cam-a", "address": "usb:0"}, {"name": "cam-a", "address": "usb:1"})
