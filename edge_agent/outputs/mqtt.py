"""Answers over MQTT, on a topic and with a broker of their own; a retained heartbeat and a last will beside them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from contracts.answer import Answer, Heartbeat
from contracts.errors import LinkError
from edge_agent.broker import Address
from edge_agent.outputs.output import Pulse

_KEEPALIVE_SECONDS = 10
_LOOK_SECONDS = 0.05
_log = logging.getLogger(__name__)


class Mqtt:
    """Publishes `{topic}/answer` (`answer-v1`, QoS 1) and `{topic}/heartbeat` (`heartbeat-v1`, retained).

    The last will is a heartbeat that is not available. One answer is under way at a time. A connection that did not
    confirm it is thrown away with everything in it, so that no old answer is sent behind our back by the library.
    """

    def __init__(
        self,
        name: str,
        topic: str,
        broker: Address,
        *,
        heartbeat: Callable[[Pulse | None], Heartbeat],
        timeout_seconds: float,
    ) -> None:
        self.name = name
        self._answers, self._beats = f"{topic}/answer", f"{topic}/heartbeat"
        self._broker, self._heartbeat = broker, heartbeat
        self._timeout_seconds = timeout_seconds
        self._connected = threading.Event()
        self._client: mqtt.Client | None = None
        self._refusals: list[str] = []
        self.sent_bytes = 0
        """Of answers and heartbeats, since the start."""

    def open(self) -> None:
        """Raises LinkError where the broker is not there or refuses us."""
        self._refusals.clear()
        self._connected.clear()
        client = self._make_client()
        try:
            client.connect(self._broker.host, self._broker.port, keepalive=_KEEPALIVE_SECONDS)
        except (OSError, ValueError) as error:
            raise LinkError(f"the broker {self._address} cannot be reached: {error}") from error
        self._client = client
        client.loop_start()
        if not self._connected.wait(self._timeout_seconds):
            reason = next(iter(self._refusals), f"it said nothing for {self._timeout_seconds:g} s")
            self._throw_away()
            raise LinkError(f"the broker {self._address} does not let this output in: {reason}")

    def deliver(self, answer: Answer) -> None:
        """Raises LinkError unless the broker confirms it in time."""
        client = self._there()
        said = client.publish(self._answers, self._counted(answer.model_dump_json()), qos=1)
        limit = time.monotonic() + self._timeout_seconds
        while said.rc == mqtt.MQTT_ERR_SUCCESS and self._connected.is_set() and time.monotonic() < limit:
            said.wait_for_publish(_LOOK_SECONDS)
            if said.is_published():
                return
        self._throw_away()
        raise LinkError(f"the broker {self._address} did not confirm an answer within {self._timeout_seconds:g} s")

    def beat(self, pulse: Pulse) -> bool:
        """Raises LinkError where the broker is away."""
        beat = self._counted(self._heartbeat(pulse).model_dump_json())
        self._there().publish(self._beats, beat, qos=0, retain=True)
        return True

    def close(self) -> None:
        """Say that nobody is here any more, and leave."""
        self._throw_away()

    def _counted(self, text: str) -> str:
        self.sent_bytes += len(text)
        return text

    @property
    def _address(self) -> str:
        return f"{self._broker.host}:{self._broker.port}"

    def _there(self) -> mqtt.Client:
        """The connected client; a lost one is replaced."""
        if self._client is not None and self._connected.is_set():
            return self._client
        self._throw_away()
        self.open()
        if self._client is None:
            raise LinkError(f"the broker {self._address} is away")
        return self._client

    def _throw_away(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        if self._connected.is_set():
            gone = client.publish(self._beats, self._gone(), qos=1, retain=True)
            if gone.rc == mqtt.MQTT_ERR_SUCCESS:
                gone.wait_for_publish(1.0)
        client.disconnect()
        client.loop_stop()
        self._connected.clear()

    def _gone(self) -> str:
        return self._heartbeat(None).model_dump_json()

    def _make_client(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id="",
            protocol=mqtt.MQTTv311,
            clean_session=True,
            reconnect_on_failure=False,
        )
        self._broker.introduce(client)
        client.will_set(self._beats, self._gone(), qos=1, retain=True)
        client.connect_timeout = self._timeout_seconds
        client.on_connect = self._when_connected
        client.on_disconnect = self._when_disconnected
        return client

    def _when_connected(self, _client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refusals.append(f"{reason}; check its user and password_file")
        else:
            self._connected.set()

    def _when_disconnected(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if client is self._client:
            self._connected.clear()


def heartbeat_maker(
    site: str, agent: str, *, every_seconds: float, safe_action: Any
) -> Callable[[Pulse | None], Heartbeat]:
    """What makes heartbeats of a pulse; None means that the agent is gone."""

    def make(pulse: Pulse | None) -> Heartbeat:
        return Heartbeat(
            site=site,
            agent=agent,
            available=pulse is not None,
            count=0 if pulse is None else pulse.count,
            every_seconds=every_seconds,
            safe_action=safe_action,
            unready="the agent is gone" if pulse is None else pulse.unready,
            at=datetime.now(UTC),
        )

    return make
