"""The monitor's side of MQTT: arrivals into batches, batches into the store, acknowledgements and orders out.

The broker is trusted with nothing: its PUBACK is never taken for delivery, and what it forgets is sent again by the
agents until our acknowledgement reaches them. A queue that is full drops the arrival, for the same reason.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy.exc import OperationalError

from contracts.telemetry import Ack, topic
from monitor.ingest import Arrival, Ingest

SUBSCRIPTIONS = [(f"lineside/v1/+/+/{kind}", 1) for kind in ("telemetry", "event", "status")]
QUEUE_MESSAGES = 10_000
BATCH_MESSAGES = 500
KEEPALIVE_SECONDS = 20
RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Link:
    """Owns the connection to the broker and the thread that commits. `on_commit` is called after every batch.

    The broker may be away at any time, also at the start: the link keeps trying (1 to 10 seconds apart).
    """

    def __init__(
        self,
        ingest: Ingest,
        *,
        host: str,
        port: int,
        username: str | None = None,
        password: str | None = None,
        certificate_authority: str | None = None,
        on_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self._ingest = ingest
        self._host = host
        self._port = port
        self._on_commit = on_commit
        self._arrivals: queue.Queue[Arrival | None] = queue.Queue(QUEUE_MESSAGES)
        self._committer = threading.Thread(target=self._commit_for_ever, name="ingest")
        self._stopping = threading.Event()
        self.dropped = 0
        self.connected = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="", protocol=mqtt.MQTTv311, clean_session=True
        )
        if username is not None:
            self._client.username_pw_set(username, password)
        if certificate_authority is not None:
            self._client.tls_set(ca_certs=certificate_authority)
        self._client.reconnect_delay_set(min_delay=1, max_delay=10)
        self._client.on_connect = self._when_connected
        self._client.on_disconnect = self._when_disconnected
        self._client.on_message = self._when_message

    def start(self) -> None:
        """Begin to connect (in the background) and to commit."""
        self._committer.start()
        self._client.connect_async(self._host, self._port, keepalive=KEEPALIVE_SECONDS)
        self._client.loop_start()

    def stop(self) -> None:
        """Commit what arrived, then leave. Nothing is lost by a kill instead."""
        self._stopping.set()
        self._client.disconnect()
        self._client.loop_stop()
        self._arrivals.put(None)
        self._committer.join()

    def publish_order(self, site: str, agent: str, text: str) -> bool:
        """Hand an order to the broker; False where it is away (the order stays open and is sent again)."""
        if not self.connected.is_set():
            return False
        self._client.publish(topic(site, agent, "orders"), text, qos=1)
        return True

    def _when_connected(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.error("the broker at %s:%d refuses the monitor: %s", self._host, self._port, reason)
            return
        client.subscribe(SUBSCRIPTIONS)
        self.connected.set()
        _log.info("connected to the broker at %s:%d", self._host, self._port)

    def _when_disconnected(self, _client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.connected.clear()
        if not self._stopping.is_set():
            _log.warning("the broker at %s:%d is away (%s); trying again", self._host, self._port, reason)

    def _when_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            text = message.topic
        except UnicodeDecodeError:
            text = "?"
        try:
            self._arrivals.put_nowait(Arrival(text, bytes(message.payload), datetime.now(UTC)))
        except queue.Full:
            self.dropped += 1

    def _commit_for_ever(self) -> None:
        last = False
        while not last:
            batch, last = self._next_batch()
            while batch:
                try:
                    acknowledgements = self._ingest.commit(batch)
                except OperationalError as error:  # disk full, for example: nothing is acknowledged, agents keep all
                    _log.error("telemetry cannot be stored: %s; nothing is acknowledged, trying again", error)
                    if self._stopping.wait(RETRY_SECONDS):
                        break
                    continue
                self._send(acknowledgements)
                self._on_commit()
                batch = []

    def _next_batch(self) -> tuple[list[Arrival], bool]:
        """(up to BATCH_MESSAGES arrivals, whether they are the last)."""
        batch: list[Arrival] = []
        item = self._arrivals.get()
        while item is not None:
            batch.append(item)
            if len(batch) == BATCH_MESSAGES:
                return batch, False
            try:
                item = self._arrivals.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _send(self, acknowledgements: Sequence[tuple[str, Ack]]) -> None:
        for site, ack in acknowledgements:
            self._client.publish(topic(site, ack.agent, "ack"), ack.model_dump_json(), qos=1, retain=False)
