"""The embedded broker: passwords, and nobody speaks under another's topics."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from contracts.errors import ConfigurationError
from lineside.broker import BrokerSettings, BrokerUser, run_broker
from lineside.process import Child, free_port, wait_for_port
from lineside.toml import write_toml


@pytest.fixture(scope="module")
def broker_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder, port = tmp_path_factory.mktemp("broker"), free_port()
    users = [{"name": "monitor", "password": "m"}, {"name": "agent-1", "password": "a", "site": "plant"}]
    config = write_toml(folder / "broker.toml", {"port": port, "users": users})
    command = [sys.executable, "-m", "lineside", "broker", "--config", str(config), "--folder", str(folder)]
    child = Child("broker", command, folder / "log")
    child.start()
    wait_for_port(port, child)
    yield port
    child.stop()


class Client:
    """A connected client that keeps what it hears."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.connected = threading.Event()
        self.code = -1
        self._got = threading.Condition()
        self._subscribed = threading.Event()
        self.mqtt = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.mqtt.username_pw_set(user, password)
        self.mqtt.on_connect = self._on_connect
        self.mqtt.on_message = self._on_message
        self.mqtt.on_subscribe = lambda *_: self._subscribed.set()
        self.mqtt.connect("127.0.0.1", port)
        self.mqtt.loop_start()
        self.connected.wait(10)

    def _on_connect(self, client: mqtt.Client, data: object, flags: object, code: mqtt.ReasonCode, _: object) -> None:
        self.code = code.value
        self.connected.set()

    def _on_message(self, client: mqtt.Client, data: object, message: mqtt.MQTTMessage) -> None:
        with self._got:
            self.heard.append((message.topic, message.payload))
            self._got.notify_all()

    def subscribe(self, topic: str) -> None:
        self.mqtt.subscribe(topic, qos=1)
        assert self._subscribed.wait(10)

    def wait_for(self, count: int) -> list[tuple[str, bytes]]:
        with self._got:
            self._got.wait_for(lambda: len(self.heard) >= count, timeout=10)
        return self.heard


def test_broker_refuses_a_wrong_password(broker_port: int) -> None:
    assert Client(broker_port, "agent-1", "wrong").code != 0


def test_an_agent_is_heard_under_its_own_topics_only(broker_port: int) -> None:
    monitor, agent = Client(broker_port, "monitor", "m"), Client(broker_port, "agent-1", "a")
    monitor.subscribe("lineside/v1/+/+/telemetry")
    agent.mqtt.publish("lineside/v1/plant/agent-2/telemetry", b"forged", qos=1)
    agent.mqtt.publish("lineside/v1/plant/agent-1/telemetry", b"own", qos=1)
    assert monitor.wait_for(1) == [("lineside/v1/plant/agent-1/telemetry", b"own")]


def test_broker_does_not_listen_beyond_loopback(tmp_path: Path) -> None:
    settings = BrokerSettings(host="192.0.2.1", users=(BrokerUser(name="a", password="b"),))
    with pytest.raises(ConfigurationError, match=r"loopback only.*Mosquitto"):
        run_broker(settings, tmp_path)


def test_an_unknown_key_is_an_error_that_names_it(tmp_path: Path) -> None:
    config = write_toml(tmp_path / "broker.toml", {"prt": 1, "users": [{"name": "a", "password": "b"}]})
    command = [sys.executable, "-m", "lineside", "broker", "--config", str(config), "--folder", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "'prt'" in ended.stderr
    assert "'port'" in ended.stderr
