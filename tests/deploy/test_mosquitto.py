"""The broker configuration of plants, tried on a real Mosquitto: who may speak where, and who not at all."""

from __future__ import annotations

import os
import queue
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.simulators.mosquitto import Mosquitto
from tests.simulators.port import free_port, wait_until_it_listens

MOSQUITTO = Path(__file__).resolve().parents[2] / "deploy" / "mosquitto"
PLACE = "/etc/mosquitto/lineside"
PASSWORDS = {"mono/station-1": "one", "mono/station-2": "two", "poly/station-1": "three", "monitor": "four"}
SECONDS = 5.0


@dataclass(frozen=True)
class Door:
    """A running broker: its TLS port for stations, its loopback port for the monitor, and the certificate to trust."""

    tls_port: int
    plain_port: int
    certificate: Path


def configuration(folder: Path, file: str, ports: tuple[int, int]) -> str:
    """The checked-in file with this test's folder and ports, on loopback."""
    text = (MOSQUITTO / file).read_text(encoding="utf-8").replace(PLACE, str(folder))
    text = text.replace("listener 8883\n", f"listener {ports[0]} 127.0.0.1\n")
    text = text.replace("listener 1883 127.0.0.1\n", f"listener {ports[1]} 127.0.0.1\n")
    text = text.replace("listener 1883\n", f"listener {ports[1]} 127.0.0.1\n")
    return text + ("user root\n" if os.geteuid() == 0 else "")


def prepare(folder: Path, require_program: Callable[[str], str]) -> None:
    """Certificate, accounts and topic list."""
    make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", folder / "server.key", "-out", folder / "server.crt"]
    subprocess.run([require_program("openssl"), *make, *names, *files], check=True, capture_output=True)
    (folder / "passwords").write_text("".join(f"{user}:{word}\n" for user, word in PASSWORDS.items()))
    subprocess.run([require_program("mosquitto_passwd"), "-U", folder / "passwords"], check=True)
    (folder / "acl").write_bytes((MOSQUITTO / "acl").read_bytes())


@pytest.fixture(scope="module", params=["mosquitto.conf", "compose.conf"])
def door(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    require_program: Callable[[str], str],
) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("mosquitto")
    prepare(folder, require_program)
    ports = free_port(), free_port()
    broker = Mosquitto(
        require_program("mosquitto"), folder, port=ports[0], complete=configuration(folder, request.param, ports)
    )
    broker.start()
    if broker.process is not None:
        wait_until_it_listens(ports[1], broker.process)  # the second listener opens after the first
    yield Door(*ports, folder / "server.crt")
    broker.stop()


@dataclass(frozen=True)
class Guest:
    """A connected client and what arrived for it."""

    client: mqtt.Client
    arrived: queue.Queue[tuple[str, bytes]]

    def say(self, topic: str, payload: bytes = b"x") -> None:
        """Publish with QoS 1 and wait for the broker's answer (which says nothing about permission)."""
        self.client.publish(topic, payload, qos=1).wait_for_publish(SECONDS)

    def hears(self) -> tuple[str, bytes]:
        """The next message. Raises queue.Empty when none comes."""
        return self.arrived.get(timeout=SECONDS)


@contextmanager
def connected(door: Door, user: str | None, *listen: str, tls: bool = True, word: str | None = None) -> Iterator[Guest]:
    """Connect, subscribe to all of `listen`, and hang up at the end. Raises ConnectionRefusedError where not let in."""
    answers: queue.Queue[bool] = queue.Queue()
    guest = Guest(mqtt.Client(CallbackAPIVersion.VERSION2), queue.Queue())
    guest.client.on_connect = lambda client, data, flags, reason, more: answers.put(not reason.is_failure)
    guest.client.on_subscribe = lambda client, data, number, reasons, more: answers.put(True)
    guest.client.on_message = lambda client, data, message: guest.arrived.put((message.topic, message.payload))
    if user is not None:
        guest.client.username_pw_set(user, PASSWORDS[user] if word is None else word)
    if tls:
        guest.client.tls_set(ca_certs=str(door.certificate))
    guest.client.connect("127.0.0.1", door.tls_port if tls else door.plain_port)
    guest.client.loop_start()
    try:
        if not answers.get(timeout=SECONDS):
            raise ConnectionRefusedError(user)
        for topic in listen:
            guest.client.subscribe(topic, qos=1)
            answers.get(timeout=SECONDS)
        yield guest
    finally:
        guest.client.disconnect()
        guest.client.loop_stop()


@pytest.mark.parametrize("kind", ["telemetry", "event", "status"])
def test_monitor_hears_what_an_agent_says_under_its_own_topics(door: Door, kind: str) -> None:
    with connected(door, "monitor", f"lineside/v1/+/+/{kind}", tls=False) as monitor:
        with connected(door, "mono/station-1") as agent:
            agent.say(f"lineside/v1/mono/station-1/{kind}", b"mine")
            assert monitor.hears() == (f"lineside/v1/mono/station-1/{kind}", b"mine")


@pytest.mark.parametrize("kind", ["ack", "orders"])
def test_agent_hears_what_the_monitor_answers(door: Door, kind: str) -> None:
    with connected(door, "mono/station-1", f"lineside/v1/mono/station-1/{kind}") as agent:
        with connected(door, "monitor", tls=False) as monitor:
            monitor.say(f"lineside/v1/mono/station-1/{kind}", b"yours")
            assert agent.hears() == (f"lineside/v1/mono/station-1/{kind}", b"yours")


@pytest.mark.parametrize("place", ["mono/station-2", "poly/station-1", "mono/station-1/x", "station-1"])
def test_agent_cannot_speak_for_another(door: Door, place: str) -> None:
    with connected(door, "monitor", "lineside/v1/+/+/telemetry", tls=False) as monitor:
        with connected(door, "mono/station-1") as agent:
            agent.say(f"lineside/v1/{place}/telemetry", b"forged")
            agent.say("lineside/v1/mono/station-1/telemetry", b"mine")
            assert monitor.hears() == ("lineside/v1/mono/station-1/telemetry", b"mine")


def test_agent_cannot_give_orders_or_acknowledge(door: Door) -> None:
    own = [f"lineside/v1/mono/station-1/{kind}" for kind in ("orders", "ack")]
    with connected(door, "mono/station-1", *own) as agent:
        for topic in own:
            agent.say(topic, b"forged")
        with connected(door, "monitor", tls=False) as monitor:
            monitor.say(own[0], b"real")
            assert agent.hears() == (own[0], b"real")


def test_agent_cannot_listen_to_others(door: Door) -> None:
    with connected(door, "mono/station-2", "lineside/v1/#", "lineside/v1/mono/station-1/orders", "#") as curious:
        with connected(door, "monitor", tls=False) as monitor:
            monitor.say("lineside/v1/mono/station-1/orders", b"not for you")
            monitor.say("lineside/v1/mono/station-2/orders", b"for you")
            assert curious.hears() == ("lineside/v1/mono/station-2/orders", b"for you")


@pytest.mark.parametrize(("user", "word"), [(None, None), ("mono/station-1", "wrong"), ("monitor", "one")])
def test_without_the_right_password_nobody_comes_in(door: Door, user: str | None, word: str | None) -> None:
    for tls in (True, False):
        with pytest.raises(ConnectionRefusedError), connected(door, user, word=word, tls=tls):
            pass


def test_planted_broken_configuration_is_refused(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    prepare(tmp_path, require_program)
    ports = free_port(), free_port()
    broken = configuration(tmp_path, "mosquitto.conf", ports).replace("allow_anonymous", "allow_anybody")
    broker = Mosquitto(require_program("mosquitto"), tmp_path, port=ports[0], complete=broken)
    with pytest.raises(RuntimeError, match="ended with"):
        broker.start()
    assert "allow_anybody" in broker.log.read_text()


def test_both_configurations_differ_only_in_where_the_monitor_comes_from() -> None:
    def rules(file: str) -> list[str]:
        lines = (MOSQUITTO / file).read_text(encoding="utf-8").splitlines()
        return [line.replace("1883 127.0.0.1", "1883") for line in lines if line and not line.startswith("#")]

    assert rules("mosquitto.conf") == rules("compose.conf")
