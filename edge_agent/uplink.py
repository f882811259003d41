"""The agent's side of MQTT: waiting messages out, acknowledgements and orders in.

The broker is trusted with nothing: a message stays in the outbox until the monitor acknowledges it, and is sent again
after every reconnect and whenever no acknowledgement comes for a while. The hot path never waits for this.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import ValidationError

from contracts.errors import QuotaError
from contracts.telemetry import Ack, Birth, Status, topic
from edge_agent.broker import Address
from edge_agent.courtesy import Courtesy
from edge_agent.lanes import IN_FLIGHT, Lanes
from edge_agent.outbox import Message, Outbox

LARGEST_PAYLOAD_BYTES = 64 * 1024
_KEEPALIVE_SECONDS = 20
_BEAT_SECONDS = 1.0
_ROUND_SECONDS = 0.05  # between two commits of a drain: those of verdicts come first
_TOGETHER = (
    8  # messages, after which the line has its turn: each takes the interpreter a dozen times, acknowledgements too
)
_TOPICS = {"birth": "telemetry", "window": "telemetry"}  # by kind; all else are events

_log = logging.getLogger(__name__)


class Uplink:
    """Owns the connection and the thread that sends. The broker may be away at any time, also at the start."""

    def __init__(
        self,
        outbox: Outbox,
        address: Address,
        *,
        site: str,
        agent: str,
        birth: Callable[[], Birth],
        on_order: Callable[[bytes], None],
        on_states: Callable[[Mapping[str, str]], None],
        resend_seconds: float,
        longest_wait_seconds: float,
        courtesy: Courtesy,
    ) -> None:
        self._courtesy = courtesy
        self._outbox, self._address, self._site, self._agent = outbox, address, site, agent
        self._birth, self._on_order, self._on_states = birth, on_order, on_states
        self._lanes = Lanes(outbox, resend_seconds=resend_seconds)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._fresh = threading.Event()  # a connection over which nothing was sent yet
        self._owes_birth = False
        self._lock = threading.Lock()
        self._acks: dict[str, int] = {}  # boot -> sequence that the monitor has committed, to be forgotten
        self._takes_late = False  # the monitor behind this connection
        self._worked_since = 0.0  # monotonic
        self._sender = threading.Thread(target=self._send_for_ever, name="uplink", daemon=True)
        self._client = self._make_client(longest_wait_seconds)
        self.connected = threading.Event()
        self.acknowledged_at: datetime | None = None
        """When the monitor last acknowledged something."""
        self.sent_bytes = self.received_bytes = 0
        """Of messages, since the start."""

    def start(self) -> None:
        """Begin to connect, in the background."""
        self._client.connect_async(self._address.host, self._address.port, keepalive=_KEEPALIVE_SECONDS)
        self._client.loop_start()
        self._sender.start()

    def close(self) -> None:
        """Say good-bye and leave. What was not acknowledged stays in the outbox."""
        self._stopping.set()
        self._wake.set()
        if not self._sender.is_alive():
            return
        self._sender.join(timeout=5.0)
        if self.connected.is_set():
            said = self._client.publish(self._topic("status"), self._status(online=False), qos=1, retain=True)
            if said.rc == mqtt.MQTT_ERR_SUCCESS:
                said.wait_for_publish(timeout=1.0)
        self._client.disconnect()
        self._client.loop_stop()

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    def _make_client(self, longest_wait_seconds: float) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="", protocol=mqtt.MQTTv311, clean_session=True)
        self._address.introduce(client)
        client.will_set(self._topic("status"), self._status(online=False), qos=1, retain=True)
        client.reconnect_delay_set(min_delay=1, max_delay=max(1, int(longest_wait_seconds)))
        client.max_queued_messages_set(4 * IN_FLIGHT)
        client.on_connect = self._when_connected
        client.on_disconnect = self._when_disconnected
        client.on_message = self._when_message
        return client

    def _when_connected(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        host, port = self._address.host, self._address.port
        if reason.is_failure:
            _log.error(
                "the broker at %s:%d refuses this agent: %s; check [broker] user and password", host, port, reason
            )
            return
        client.subscribe([(self._topic("ack"), 1), (self._topic("orders"), 1)])
        client.publish(self._topic("status"), self._status(online=True), qos=1, retain=True)
        self._fresh.set()
        self.connected.set()
        self._wake.set()
        _log.info("connected to the broker at %s:%d", host, port)

    def _when_disconnected(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self.connected.is_set() and not self._stopping.is_set():
            _log.warning("the broker at %s is away (%s); messages wait in the outbox", self._address.host, reason)
        self.connected.clear()
        client.will_set(self._topic("status"), self._status(online=False), qos=1, retain=True)

    def _when_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.received_bytes += len(message.payload)
        if len(message.payload) > LARGEST_PAYLOAD_BYTES:
            _log.warning("a message of %d bytes was ignored", len(message.payload))
        elif message.topic == self._topic("ack"):
            self._acknowledge(bytes(message.payload))
        elif message.topic == self._topic("orders"):
            self._on_order(bytes(message.payload))

    def _acknowledge(self, payload: bytes) -> None:
        """Noted here; the sender forgets the messages together with its next ones."""
        try:
            ack = Ack.model_validate_json(payload)
        except ValidationError as error:
            _log.warning("an acknowledgement cannot be read: %s", error.errors()[0]["msg"])
            return
        with self._lock:
            self._acks[ack.boot] = max(ack.sequence, self._acks.get(ack.boot, 0))
            self._takes_late = ack.takes_late
        self._wake.set()
        if ack.cameras:
            self._on_states(ack.cameras)

    def _send_for_ever(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(_BEAT_SECONDS)
            self._wake.clear()
            self._worked_since = time.monotonic()
            try:
                self._owes_birth |= self._lanes.divide()
                if self.connected.is_set():
                    self._begin_connection()
                    self._exchange()
            except (QuotaError, sqlite3.OperationalError) as error:
                _log.error("the outbox must wait: %s", error)
                self._stopping.wait(_BEAT_SECONDS)
            self._rest(least=_ROUND_SECONDS)

    def _rest(self, *, least: float = 0.0) -> None:
        worked = time.monotonic() - self._worked_since
        self._stopping.wait(max(least, self._courtesy.rest_seconds(worked)))
        self._worked_since = time.monotonic()

    def _begin_connection(self) -> None:
        """Everything that waits is sent over a new connection, and a birth after it."""
        if self._fresh.is_set():
            self._fresh.clear()
            self._owes_birth, self._takes_late = True, False
            self._lanes.begin()
        if self._owes_birth:
            self._outbox.announce(self._birth)
            self._owes_birth = False

    def _exchange(self) -> None:
        """Forget what is acknowledged, send what may be in flight beside the rest."""
        with self._lock:
            acks = dict(self._acks)
        if acks and self._takes_late:
            self._lanes.take_late()
        gone, messages = self._lanes.exchange(acks)
        with self._lock:
            self._acks = {boot: last for boot, last in self._acks.items() if acks.get(boot) != last}
        if gone:
            self.acknowledged_at = datetime.now(UTC)
        for number, message in enumerate(messages, start=1):
            self._publish(message)
            if number % _TOGETHER == 0:
                self._rest()
        if again := self._lanes.stalled():
            _log.warning("no acknowledgement for a while; sending %d messages again", again)
            self._wake.set()

    def _publish(self, message: Message) -> None:
        self.sent_bytes += len(message.text)
        self._client.publish(self._topic(_TOPICS.get(message.kind, "event")), message.text, qos=1)

    def _topic(self, kind: str) -> str:
        return topic(self._site, self._agent, kind)

    def _status(self, *, online: bool) -> str:
        status = Status(agent=self._agent, boot=self._outbox.started, online=online, at=datetime.now(UTC))
        return status.model_dump_json()
