"""The MQTT output against a real Mosquitto: answers, heartbeat, last will, and a broker that goes away."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from contracts.answer import Answer, Heartbeat, SafeAction
from contracts.errors import LinkError
from contracts.frame import Decision
from edge_agent.broker import Address
from edge_agent.outputs.mqtt import Mqtt, heartbeat_maker
from edge_agent.outputs.output import Pulse
from tests.edge_agent.conftest import wait_for
from tests.simulators.answers import answer
from tests.simulators.mosquitto import Mosquitto
from tests.simulators.port import free_port


class Listener:
    """Another client, as a line would be."""

    def __init__(self, port: int) -> None:
        self.answers: list[Answer] = []
        self.beats: list[Heartbeat] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._take
        ready = threading.Event()
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe("press/#", qos=1)
        assert ready.wait(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic == "press/answer":
            self.answers.append(Answer.model_validate_json(message.payload))
        elif message.topic == "press/heartbeat":
            self.beats.append(Heartbeat.model_validate_json(message.payload))


@pytest.fixture
def listener(mosquitto: Mosquitto) -> Iterator[Listener]:
    listener = Listener(mosquitto.port)
    yield listener
    listener.close()


def output(port: int, *, timeout: float = 5.0, user: str | None = None) -> Mqtt:
    beats = heartbeat_maker("plant", "agent-1", every_seconds=1.0, safe_action=SafeAction.MANUAL)
    return Mqtt("press", "press", Address("127.0.0.1", port, user, "wrong"), heartbeat=beats, timeout_seconds=timeout)


def test_an_answer_is_delivered_when_the_broker_has_confirmed_it(mosquitto: Mosquitto, listener: Listener) -> None:
    press = output(mosquitto.port)
    press.open()
    press.deliver(answer(3, Decision.NG))
    wait_for(lambda: listener.answers)
    assert (listener.answers[0].part_id, listener.answers[0].decision) == ("cam-a-3", Decision.NG)
    press.close()


def test_the_heartbeat_is_retained_and_says_what_to_do_without_it(mosquitto: Mosquitto) -> None:
    press = output(mosquitto.port)
    press.open()
    press.beat(Pulse(7, None))
    press.deliver(answer())
    late = Listener(mosquitto.port)
    wait_for(lambda: late.beats)
    beat = late.beats[0]
    assert (beat.available, beat.count, beat.safe_action) == (True, 7, SafeAction.MANUAL)
    press.close()
    wait_for(lambda: not late.beats[-1].available)
    late.close()


def test_the_last_will_says_that_nobody_is_there(mosquitto: Mosquitto, listener: Listener) -> None:
    press = output(mosquitto.port)
    press.open()
    press.beat(Pulse(1, None))
    wait_for(lambda: listener.beats)
    assert press._client is not None
    press._client.socket().close()  # the process is gone, as far as the broker can tell
    wait_for(lambda: not listener.beats[-1].available)
    assert listener.beats[-1].unready == "the agent is gone"
    press._client.loop_stop()


def test_an_answer_that_was_not_confirmed_is_never_sent_later(mosquitto: Mosquitto) -> None:
    press = output(mosquitto.port, timeout=1.0)
    press.open()
    mosquitto.kill()
    with pytest.raises(LinkError):
        press.deliver(answer(1))
    with pytest.raises(LinkError, match="cannot be reached"):
        press.beat(Pulse(2, None))
    mosquitto.start()
    listener = Listener(mosquitto.port)
    press.deliver(answer(2))
    wait_for(lambda: listener.answers)
    assert [came.sequence for came in listener.answers] == [2]
    press.close()
    listener.close()


def test_a_broker_that_is_away_or_refuses_is_a_broken_link(mosquitto: Mosquitto) -> None:
    with pytest.raises(LinkError, match="cannot be reached"):
        output(free_port()).open()
    mosquitto.stop()
    mosquitto.configuration = "allow_anonymous false\n"
    mosquitto.start()
    with pytest.raises(LinkError, match="user and password_file"):
        output(mosquitto.port, user="nobody").open()
