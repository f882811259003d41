"""Images by MQTT through a real Mosquitto: topics say of what, verdicts come back, the broker may go and come."""

from __future__ import annotations

import json
import os
import queue
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from contracts.errors import ConfigurationError
from contracts.frame import Decision, Verdict
from contracts.settings import parse_settings
from contracts.telemetry import Event, EventKind
from edge_agent.agent import Agent
from edge_agent.products.settings import ProductSettings
from edge_agent.settings import InspectionSettings
from edge_agent.sources.settings import ImageBrokerSettings
from edge_agent.sources.topics import Template
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.simulators.mosquitto import Mosquitto
from tests.simulators.port import free_port
from tests.simulators.small_bundle import encoded, picture

TOPIC, REPLIES = "plant/{camera}/image/{part_id}", "plant/{camera}/verdict/{part_id}"
DARK, BRIGHT = encoded(picture(80)), encoded(picture(180), "JPEG")


class Camera:
    """What sends images and reads the answers."""

    def __init__(self, port: int) -> None:
        self.answers: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self._client.on_message = lambda _c, _d, m: self.answers.put((m.topic, json.loads(m.payload)))
        self._client.on_connect = lambda client, *_: client.subscribe("plant/+/verdict/+", qos=1)
        ready = queue.Queue[int]()
        self._client.on_subscribe = lambda *_: ready.put(1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        ready.get(timeout=10)

    def send(self, topic: str, image: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, image, qos=1, retain=retain).wait_for_publish(10)

    def answer(self) -> tuple[str, str, str | None]:
        """Topic, decision and reason of the next verdict."""
        topic, verdict = self.answers.get(timeout=30)
        Verdict.model_validate(verdict)
        return topic, verdict["decision"], verdict["reason"]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def sender(mosquitto: Mosquitto) -> Iterator[Camera]:
    camera = Camera(mosquitto.port)
    yield camera
    camera.close()


def broker(mosquitto: Mosquitto, **changes: Any) -> ImageBrokerSettings:
    return ImageBrokerSettings(**{"port": mosquitto.port, "topic": TOPIC, "reply_topic": REPLIES, **changes})


def ready(agent: Agent) -> None:
    wait_for(lambda: agent._supervised[-1]._supervisor._attempt and agent._supervised[-1]._supervisor._attempt.opened)


def on_record(agent: Agent) -> dict[str, Decision]:
    return {e.verdict.frame.part_id: e.verdict.decision for e in agent.core.record.entries(limit=1000)}


def faults(agent: Agent) -> list[tuple[EventKind, str | None]]:
    messages = agent.core.outbox.waiting(after=0, limit=1000)
    events = [message.envelope.body for message in messages if isinstance(message.envelope.body, Event)]
    return [(e.event, e.camera) for e in events if e.event in (EventKind.CAMERA_FAULT, EventKind.CAMERA_RECOVERED)]


def test_images_get_verdicts_and_answers(mosquitto: Mosquitto, sender: Camera, make_agent: MakeAgent) -> None:
    agent = make_agent(image_brokers=(broker(mosquitto),))
    ready(agent)
    sender.send("plant/cam-1/image/P-17", DARK)
    assert sender.answer() == ("plant/cam-1/verdict/P-17", "OK", None)
    sender.send("plant/cam-2/image/P-17", BRIGHT)
    assert sender.answer() == ("plant/cam-2/verdict/P-17", "NG", None)
    assert agent.core.record.last_sequences() == {"cam-1": 0, "cam-2": 0}


def test_a_topic_without_places_takes_the_settings_names(
    mosquitto: Mosquitto, sender: Camera, make_agent: MakeAgent
) -> None:
    one = broker(mosquitto, topic="images", reply_topic=None, camera="cam-9", product="cap")
    agent = make_agent(image_brokers=(one,))
    ready(agent)
    sender.send("images", DARK)
    wait_for(lambda: on_record(agent) == {"cam-9-0": Decision.OK})
    assert agent.core.record.entries(limit=1)[0].verdict.frame.product == "cap"


def test_what_is_no_image_is_answered_with_no_verdict(
    mosquitto: Mosquitto, sender: Camera, make_agent: MakeAgent
) -> None:
    agent = make_agent(image_brokers=(broker(mosquitto),))
    ready(agent)
    sender.send("plant/cam-1/image/P-1", b"hello")
    assert sender.answer()[1] == "NO_VERDICT"
    sender.send("plant/cam-1/image/P-2", b"")
    assert sender.answer()[1] == "NO_VERDICT"


def test_a_large_message_is_refused_answered_and_missed(
    mosquitto: Mosquitto, sender: Camera, make_agent: MakeAgent
) -> None:
    limit = InspectionSettings(max_image_bytes=len(DARK))
    agent = make_agent(image_brokers=(broker(mosquitto),), inspection=limit)
    ready(agent)
    sender.send("plant/cam-1/image/P-1", DARK + b"\0")
    _, decision, reason = sender.answer()
    assert decision == "NO_VERDICT"
    assert "larger than" in (reason or "")
    sender.send("plant/cam-1/image/P-2", DARK)
    assert sender.answer()[1] == "OK"
    (entry,) = agent.core.record.entries(limit=9)
    assert entry.verdict.frame.sequence == 1


def test_more_than_the_queue_holds_are_answered_with_no_verdict(
    mosquitto: Mosquitto, sender: Camera, make_agent: MakeAgent
) -> None:
    agent = make_agent(image_brokers=(broker(mosquitto, queue=2),))
    ready(agent)
    agent.core.ledger.prompt = True
    with agent.core.ledger._committing:  # the station stands still at the first image
        for number in range(12):
            sender.send(f"plant/cam-1/image/P-{number}", DARK)
        refused = [sender.answer() for _ in range(5)]
    assert {decision for _, decision, _ in refused} == {"NO_VERDICT"}
    assert "faster" in (refused[0][2] or "")
    others = [sender.answer()[1] for _ in range(7)]
    assert others.count("OK") == len(on_record(agent)) >= 2


@pytest.mark.parametrize("topic", ["plant/Cam 1/image/P-1", "plant/cam-1/image/P 1", "plant/cam-1/image/" + "x" * 129])
def test_names_that_cannot_be_used_are_ignored(
    mosquitto: Mosquitto, sender: Camera, make_agent: MakeAgent, topic: str
) -> None:
    agent = make_agent(image_brokers=(broker(mosquitto),))
    ready(agent)
    sender.send(topic, DARK)
    sender.send("plant/cam-1/image/P-2", DARK)
    assert sender.answer()[0] == "plant/cam-1/verdict/P-2"
    assert set(on_record(agent)) == {"P-2"}
    assert agent.core.metrics.registry.get_sample_value("lineside_agent_refused_images_total") == 1


def test_cameras_that_topics_name_are_bounded(mosquitto: Mosquitto, sender: Camera, make_agent: MakeAgent) -> None:
    agent = make_agent(image_brokers=(broker(mosquitto, most_pairs=1),))
    ready(agent)
    for number in range(3):
        sender.send(f"plant/cam-{number}/image/P-{number}", DARK)
    assert sender.answer()[0] == "plant/cam-0/verdict/P-0"
    sender.send("plant/cam-0/image/P-9", DARK)
    assert sender.answer()[0] == "plant/cam-0/verdict/P-9"
    assert set(on_record(agent)) == {"P-0", "P-9"}


def test_an_old_image_that_the_broker_kept_is_not_inspected(
    mosquitto: Mosquitto, sender: Camera, make_agent: MakeAgent
) -> None:
    sender.send("plant/cam-1/image/P-old", DARK, retain=True)
    agent = make_agent(image_brokers=(broker(mosquitto),))
    ready(agent)
    sender.send("plant/cam-1/image/P-new", DARK)
    assert sender.answer()[0] == "plant/cam-1/verdict/P-new"
    assert set(on_record(agent)) == {"P-new"}


def test_the_broker_may_go_and_come_twice(mosquitto: Mosquitto, make_agent: MakeAgent) -> None:
    agent = make_agent(image_brokers=(broker(mosquitto),))
    ready(agent)
    for turn in range(2):
        sender = Camera(mosquitto.port)
        sender.send(f"plant/cam-1/image/P-{turn}", DARK)
        assert sender.answer()[1] == "OK"
        sender.close()
        mosquitto.kill()
        wait_for(lambda: agent.view().troubles)
        assert "Check that the broker runs" in agent.view().troubles[0]
        assert agent.core.station.faults == {"cam-1": "dead"}
        mosquitto.start()
        wait_for(lambda: not agent.view().troubles)
        assert agent.core.station.faults == {}
    kinds = [EventKind.CAMERA_FAULT, EventKind.CAMERA_RECOVERED] * 2
    wait_for(lambda: faults(agent) == [(kind, "cam-1") for kind in kinds])


def test_a_broker_that_was_never_there_does_not_stop_the_agent(mosquitto: Mosquitto, make_agent: MakeAgent) -> None:
    agent = make_agent(image_brokers=(broker(mosquitto, port=free_port()),))
    wait_for(lambda: agent.view().troubles)
    assert "no connection (Connection refused)" in agent.view().troubles[0]
    assert agent.failure is None


def guard(mosquitto: Mosquitto, require_program: Callable[[str], str], acl: str) -> None:
    """From now on the broker knows one account, with these rights."""
    passwords, rights = mosquitto.folder / "passwords", mosquitto.folder / "acl"
    subprocess.run([require_program("mosquitto_passwd"), "-b", "-c", passwords, "station", "right"], check=True)
    rights.write_text(f"user station\n{acl}\n")
    for file in (passwords, rights):
        file.chmod(0o644)
    lines = ["allow_anonymous false", f"password_file {passwords}", f"acl_file {rights}", "persistence false"]
    lines += ["user root"] if os.geteuid() == 0 else []
    mosquitto.configuration = "".join(f"{line}\n" for line in lines)
    mosquitto.stop()
    mosquitto.start()


def test_a_wrong_password_is_said(
    mosquitto: Mosquitto, require_program: Callable[[str], str], make_agent: MakeAgent
) -> None:
    guard(mosquitto, require_program, "topic read plant/#")
    agent = make_agent(image_brokers=(broker(mosquitto, user="station", password="wrong"),))
    wait_for(lambda: agent.view().troubles)
    assert "refuses this agent (Not authorized)" in agent.view().troubles[0]
    assert "wrong" not in agent.view().troubles[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"topic": "plant/#"}, "plain text or one of"),
        ({"topic": "plant/{cam}/x"}, "plain text or one of"),
        ({"topic": "plant/{camera}/{camera}"}, "names each place once"),
        ({"topic": "plant/{camera}/x", "reply_topic": "plant/{part_id}/x"}, "come back as an image"),
        ({"topic": "$SYS/x"}, "broker's own"),
        ({"topic": "x", "host": "10.0.0.5"}, "set user and password_file"),
    ],
)
def test_settings_that_do_not_fit_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_settings(values, ImageBrokerSettings, source="agent.toml")


def test_a_reply_is_of_the_part_its_topic_names() -> None:
    values = Template(TOPIC).read("plant/cam-1/image/P-1")
    assert values is not None
    assert Template(REPLIES).fill(values) == "plant/cam-1/verdict/P-1"


def test_a_level_of_the_topic_says_the_product_by_name_or_by_the_lines_code(
    mosquitto: Mosquitto, sender: Camera, make_agent: MakeAgent
) -> None:
    one = broker(mosquitto, topic="plant/{camera}/{product}/image/{part_id}")
    agent = make_agent(image_brokers=(one,), products=(ProductSettings(name="cap", codes=("4711",)),))
    ready(agent)
    for level, decision, product in (("cap", "OK", "cap"), ("4711", "OK", "cap"), ("99", "NO_VERDICT", "unknown")):
        sender.send(f"plant/cam-1/{level}/image/P-{level}", DARK)
        topic, decided, reason = sender.answer()
        assert (topic, decided) == (f"plant/cam-1/verdict/P-{level}", decision)
        assert (reason is None) == (decision == "OK")
        assert agent.core.record.entries(limit=1)[0].verdict.frame.product == product


def test_without_a_table_of_products_the_level_is_the_product(
    mosquitto: Mosquitto, sender: Camera, make_agent: MakeAgent
) -> None:
    agent = make_agent(image_brokers=(broker(mosquitto, topic="plant/{camera}/{product}/image/{part_id}"),))
    ready(agent)
    sender.send("plant/cam-1/nut-m8/image/P-1", DARK)
    assert sender.answer()[1] == "OK"
    assert agent.core.record.entries(limit=1)[0].verdict.frame.product == "nut-m8"
