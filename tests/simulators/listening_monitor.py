"""The monitor's side of MQTT for agents under test: hears everything, and acknowledges, or does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from contracts.orders import Order
from contracts.telemetry import Ack, Envelope, Event, EventKind, Status, Window, topic


class ListeningMonitor:
    """`messages[(boot, sequence)]` is what arrived first under that number, `repeats` counts what came again."""

    def __init__(self, port: int, *, site: str = "plant", agent: str = "agent-1", **login: str) -> None:
        self._site, self._agent = site, agent
        self._lock = threading.Lock()
        self._contiguous: dict[str, int] = {}
        self.acknowledges = True
        self.takes_late = True
        self.messages: dict[tuple[str, int], Envelope] = {}
        self.contradictions: list[tuple[str, int]] = []
        self.repeats = 0
        self.statuses: list[Status] = []
        self.cameras: dict[str, str] = {}
        self.connected = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        if login:
            self._client.username_pw_set(login["user"], login["password"])
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.on_connect = self._when_connected
        self._client.on_subscribe = lambda *_: self.connected.set()
        self._client.on_disconnect = lambda *_: self.connected.clear()
        self._client.on_message = self._when_message
        self._client.connect_async("127.0.0.1", port, keepalive=10)
        self._client.loop_start()

    def order(self, order: Order) -> None:
        """Send an order."""
        self.send("orders", order.model_dump_json())

    def send(self, kind: str, text: str | bytes) -> None:
        """Send anything to the agent."""
        self._client.publish(topic(self._site, self._agent, kind), text, qos=1).wait_for_publish(5.0)

    def windows(self) -> list[Window]:
        """All windows, each once."""
        return [body for body in self._bodies() if isinstance(body, Window)]

    def events(self, kind: EventKind | None = None) -> list[Event]:
        """All events, each once."""
        return [body for body in self._bodies() if isinstance(body, Event) and kind in (None, body.event)]

    def wait(self, reached: Callable[[ListeningMonitor], Any], seconds: float = 30.0) -> None:
        """Until `reached(self)` is true. Raises AssertionError after `seconds`."""
        deadline = time.monotonic() + seconds
        while not reached(self):
            assert time.monotonic() < deadline, f"not reached: {len(self.messages)} messages, {self.statuses[-1:]}"
            time.sleep(0.02)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def _bodies(self) -> list[Any]:
        with self._lock:
            return [envelope.body for envelope in self.messages.values()]

    def _when_connected(self, client: mqtt.Client, *_: Any) -> None:
        kinds = ("telemetry", "event", "status")
        client.subscribe([(topic(self._site, self._agent, kind), 1) for kind in kinds])

    def _when_message(self, client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/status"):
            self.statuses.append(Status.model_validate_json(message.payload))
            return
        envelope = Envelope.model_validate_json(message.payload)
        with self._lock:
            self._keep(envelope)
            contiguous = self._advance(envelope.boot)
        if self.acknowledges:
            ack = Ack(
                agent=self._agent,
                boot=envelope.boot,
                sequence=contiguous,
                cameras=self.cameras,
                takes_late=self.takes_late,
            )
            client.publish(topic(self._site, self._agent, "ack"), ack.model_dump_json(), qos=1)

    def _keep(self, envelope: Envelope) -> None:
        key = (envelope.boot, envelope.sequence)
        before = self.messages.setdefault(key, envelope)
        if before is not envelope:
            self.repeats += 1
            if before.body != envelope.body:
                self.contradictions.append(key)

    def _advance(self, boot: str) -> int:
        contiguous = self._contiguous.get(boot, 0)
        while (envelope := self.messages.get((boot, contiguous + 1))) is not None:
            body = envelope.body
            contiguous = (body.last_sequence if isinstance(body, Event) else None) or contiguous + 1
        self._contiguous[boot] = contiguous
        return contiguous
