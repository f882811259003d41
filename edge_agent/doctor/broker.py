"""MQTT brokers: reached, let in, and allowed to speak and to listen where this agent must.

MQTT 5 is asked for, because only there a broker says that a topic is forbidden; the agent itself speaks 3.1.1. What is
published is empty: a knock, which the monitor ignores.
"""

from __future__ import annotations

import queue
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from contracts.finding import Finding, fault, ok, warning
from contracts.telemetry import topic
from edge_agent.broker import Address
from edge_agent.settings import AgentSettings

_SECONDS = 5.0
_FAILURE = 0x80  # reason codes from here on
_SPOKEN = ("telemetry", "event", "status")
_HEARD = ("ack", "orders")
_WHO = "check user and password_file, and the broker's own list of users"
_WHERE = "check host, port, ca_file and the cable, and that the broker runs; verdicts go on meanwhile"
_ACL = "give the account SITE/AGENT its topics, see deploy/mosquitto/acl"


@dataclass(frozen=True)
class Knock:
    """A broker and the topics that are needed there."""

    name: str
    address: Address
    spoken: Sequence[str] = ()
    heard: Sequence[str] = ()


def broker(settings: AgentSettings) -> Iterator[Finding]:
    """The broker of telemetry."""
    if settings.broker is None:
        yield ok("broker", "none: telemetry waits in the outbox (`lineside agent telemetry export`)")
        return
    spoken = [topic(settings.site, settings.agent, kind) for kind in _SPOKEN]
    heard = [topic(settings.site, settings.agent, kind) for kind in _HEARD]
    yield from knock(Knock("broker", Address.of(settings.broker), spoken, heard))


def image_brokers(settings: AgentSettings) -> Iterator[Finding]:
    """The brokers that images come from."""
    for each in settings.image_brokers:
        yield from knock(Knock("images by MQTT", Address.of(each), heard=[each.images.filter]))


def knock(at: Knock) -> Iterator[Finding]:
    """In the newest version of MQTT that the broker speaks."""
    place = f"{at.address.host}:{at.address.port}"
    for version in (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311):
        with _visit(at.address, version) as visit:
            why = visit.arrive()
            if why is None:
                yield ok(at.name, f"{place} lets {at.address.user or 'anybody'} in")
                yield from _rights(visit, at, tells=version == MQTTProtocolVersion.MQTTv5)
                return
            if visit.known_here is False:
                yield fault(at.name, f"{place} refuses {at.address.user or 'whoever has no name'}: {why}", _WHO)
                return
    yield fault(at.name, f"{place}: {why}", _WHERE)


def _rights(visit: _Visit, at: Knock, *, tells: bool) -> Iterator[Finding]:
    refused = [name for name in at.heard if not visit.may_hear(name)]
    refused += [name for name in at.spoken if tells and not visit.may_speak(name)]
    if refused:
        yield fault(at.name, f"not allowed: {', '.join(refused)}", _ACL)
    elif at.spoken and not tells:
        yield warning(
            at.name,
            "the broker speaks MQTT 3.1.1 only, which does not tell what may be published",
            "see at the monitor whether reports of this station arrive",
        )
    else:
        yield ok(at.name, f"may use {', '.join([*at.spoken, *at.heard])}")


class _Visit:
    """One connection. `known_here` False: the broker answered, and does not want this user."""

    def __init__(self, client: mqtt.Client, address: Address) -> None:
        self._client, self._address = client, address
        self._answers: queue.Queue[Any] = queue.Queue()
        self.known_here: bool | None = None
        client.on_connect = lambda _c, _d, _f, reason, _p: self._answers.put(reason)
        client.on_subscribe = lambda _c, _d, _m, reasons, _p: self._answers.put(reasons[0])
        client.on_publish = lambda _c, _d, _m, reason, _p: self._answers.put(reason)

    def arrive(self) -> str | None:
        """Why there is no connection, or None."""
        try:
            self._client.connect(self._address.host, self._address.port, keepalive=20)
        except ssl.SSLError as error:
            return f"its certificate is not believed ({error.reason or error}); is ca_file the right one?"
        except (OSError, ValueError) as error:
            return str(error) or type(error).__name__
        self._client.loop_start()
        reason = self._answer()
        if reason is None:
            return f"it took the connection and said nothing for {_SECONDS:g} s"
        if not reason.is_failure:
            return None
        if str(reason) in ("Not authorized", "Bad user name or password"):
            self.known_here = False
        return str(reason)

    def may_hear(self, name: str) -> bool:
        """Whether a subscription is taken."""
        self._client.subscribe(name, qos=1)
        return self._allowed()

    def may_speak(self, name: str) -> bool:
        """Whether an empty message is taken."""
        self._client.publish(name, b"", qos=1, retain=False)
        return self._allowed()

    def _allowed(self) -> bool:
        reason = self._answer()
        return reason is not None and int(reason.value) < _FAILURE

    def _answer(self) -> Any:
        try:
            return self._answers.get(timeout=_SECONDS)
        except queue.Empty:
            return None


@contextmanager
def _visit(address: Address, version: MQTTProtocolVersion) -> Iterator[_Visit]:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="", protocol=version)
    address.introduce(client)
    try:
        yield _Visit(client, address)
    finally:
        client.disconnect()
        client.loop_stop()
