"""An agent reduced to its outbox: sends everything that is not acknowledged again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from contracts.telemetry import Ack, topic


class Outbox:
    """`make(sequence)` is the text of that message. Raise `produced` to have more of them."""

    def __init__(self, port: int, make: Callable[[int], str], *, site: str = "mono", agent: str = "agent-1") -> None:
        self.acknowledged = 0
        self.produced = 0
        self.orders: list[str] = []
        self._make, self._site, self._agent = make, site, agent
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, clean_session=True)
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.on_connect = self._when_connected
        self._client.on_message = self._when_message
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def _when_connected(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe([(topic(self._site, self._agent, kind), 1) for kind in ("ack", "orders")])

    def _when_message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/orders"):
            self.orders.append(message.payload.decode())
            return
        ack = Ack.model_validate_json(message.payload)
        assert ack.sequence <= self.produced, "acknowledged what was never sent"
        self.acknowledged = max(self.acknowledged, ack.sequence)

    def send(self, *, at_most: int = 50) -> None:
        """Everything that waits, up to `at_most` messages."""
        for sequence in range(self.acknowledged + 1, min(self.acknowledged + at_most, self.produced) + 1):
            self._client.publish(topic(self._site, self._agent, "telemetry"), self._make(sequence), qos=1)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


def until(condition: Callable[[], bool], *, step: Callable[[], object] = lambda: None) -> None:
    """Wait for the condition, doing `step` meanwhile. The test's own time limit ends it."""
    while not condition():
        step()
        time.sleep(0.05)
