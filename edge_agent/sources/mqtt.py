"""Images that come as MQTT messages: the topic says of which camera and part, the payload is the image file.

An image that cannot be taken (too large, too many at once) draws a number of its camera, so that it is missed, and is
answered with NO_VERDICT where answers are wanted. Nothing is kept for later: who sends an image needs its verdict now.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import TypeAdapter, ValidationError

from contracts.errors import LinkError
from contracts.frame import Clock, Decision, Frame, Verdict
from contracts.names import Identifier, Name
from edge_agent.broker import Address
from edge_agent.census import Census
from edge_agent.source import Capture
from edge_agent.sources.camera import Place
from edge_agent.sources.device import Device, Picture
from edge_agent.sources.supervisor import Supervisor
from edge_agent.sources.topics import Template
from edge_agent.trouble import Trouble

_KEEPALIVE_SECONDS = 20
_BEAT_SECONDS = 0.5
_MOST_REPLIES = 1000  # waiting in the client
_NAME: TypeAdapter[str] = TypeAdapter(Name)
_PART_ID: TypeAdapter[str] = TypeAdapter(Identifier)
_log = logging.getLogger(__name__)


class BrokerLink:
    """One connection to the broker, as a device: `grab` raises LinkError when it is gone. Raises LinkError where there
    is no connection or no right to listen."""

    def __init__(
        self, address: Address, topic_filter: str, on_message: Callable[[mqtt.MQTTMessage], None], *, seconds: float
    ) -> None:
        self._gone = threading.Event()
        self._told = threading.Event()  # whether we may listen, or not
        self._why = "it does not answer"
        self._filter = topic_filter
        # Opened again by the supervisor, with its back-off: not by paho.
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311, clean_session=True, reconnect_on_failure=False
        )
        address.introduce(self._client)
        self._client.connect_timeout = seconds
        self._client.max_queued_messages_set(_MOST_REPLIES)
        self._client.on_connect = self._when_connected
        self._client.on_subscribe = self._when_subscribed
        self._client.on_disconnect = self._when_disconnected
        self._client.on_message = lambda _client, _data, message: on_message(message)
        self._connect(address, seconds)

    def grab(self) -> bool:
        """Nothing to grab: messages come by themselves. Raises LinkError when the connection is gone."""
        if self._gone.wait(_BEAT_SECONDS):
            raise LinkError(self._why)
        return False

    def retrieve(self) -> Picture:
        """Never called: there is never a frame."""
        raise LinkError("a broker has no frames")

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: str) -> bool:
        """Hand a message to the client; False where it cannot leave now."""
        return bool(self._client.publish(topic, payload, qos=1).rc == mqtt.MQTT_ERR_SUCCESS)

    def _connect(self, address: Address, seconds: float) -> None:
        try:
            self._client.connect(address.host, address.port, keepalive=_KEEPALIVE_SECONDS)
        except OSError as error:
            raise LinkError(f"no connection ({error.strerror or type(error).__name__})") from error
        self._client.loop_start()
        if not self._told.wait(seconds) or self._gone.is_set():
            self.close()
            raise LinkError(self._why)

    def _when_connected(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._why = f"it refuses this agent ({reason})"
            return
        client.subscribe(self._filter, qos=1)

    def _when_subscribed(self, _client: mqtt.Client, _data: Any, _id: int, reasons: Any, _properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._why = f"it refuses the topic {self._filter}"
            self._gone.set()
        self._told.set()

    def _when_disconnected(self, _client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self._told.is_set() and not self._gone.is_set():
            self._why = f"the connection is gone ({reason})"
        self._gone.set()
        self._told.set()


@dataclass(frozen=True)
class Limits:
    """What is taken."""

    max_bytes: int
    queue: int
    most_pairs: int


class MqttSource:
    """Images of one topic. Give its supervisor `open` and `wake`, then the supervisor to `watch`."""

    def __init__(
        self,
        address: Address,
        topic: Template,
        replies: Template | None,
        *,
        default: Place,
        limits: Limits,
        next_sequence: Callable[[str], int],
        count_refused: Callable[[], None],
        silent_seconds: float,
    ) -> None:
        self.name = f"mqtt {address.host}:{address.port}"
        self._address, self._topic, self._replies, self._default = address, topic, replies, default
        self._limits, self._next_sequence, self._count_refused = limits, next_sequence, count_refused
        self._silent_seconds = silent_seconds
        self._census = Census(limits.most_pairs)
        self._queue: queue.Queue[Capture | None] = queue.Queue(maxsize=limits.queue)
        self._closed = threading.Event()
        self._link: BrokerLink | None = None
        self._supervisor: Supervisor | None = None
        self._losing = False
        self.cameras: set[str] = set()
        """From which images have come."""
        self.sent_bytes = self.received_bytes = 0
        """Of replies and of images, since the start."""

    def watch(self, supervisor: Supervisor) -> None:
        """Read what this one keeps going."""
        self._supervisor = supervisor

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong with the connection, in plain words, or None."""
        return None if self._supervisor is None else self._supervisor.trouble

    def open(self) -> Device:
        """Connect. Raises LinkError."""
        self._link = BrokerLink(self._address, self._topic.filter, self.arrived, seconds=self._silent_seconds)
        return self._link

    def close(self) -> None:
        """Take no more images."""
        self._closed.set()
        with contextlib.suppress(queue.Full):  # then nobody waits for more
            self._queue.put_nowait(None)

    def captures(self) -> Iterator[Capture | None]:
        """Images in order; None whenever there is none for now."""
        if self._supervisor is None:
            raise RuntimeError("a broker is watched before it is read")
        try:
            while not self._closed.is_set():
                wait = self._supervisor.step()
                try:
                    capture = self._queue.get_nowait()
                except queue.Empty:
                    yield None
                    try:
                        capture = self._queue.get(timeout=max(0.01, min(wait, _BEAT_SECONDS)))
                    except queue.Empty:
                        continue
                yield capture
        finally:
            self._supervisor.close()

    def arrived(self, message: mqtt.MQTTMessage) -> None:
        """One message (in the client's thread)."""
        self.received_bytes += len(message.payload)
        values = self._values(message.topic)
        if values is None:
            return
        if message.retain:
            _log.warning("%s: an old image that the broker had kept for %s is not inspected", self.name, message.topic)
            return
        frame = self._frame(values)
        names = {"camera": frame.camera, "product": frame.product, "part_id": frame.part_id}
        reply = None if self._replies is None else self._replies.fill(names)
        if len(message.payload) > self._limits.max_bytes:
            self._refuse(frame, reply, f"the image is larger than {self._limits.max_bytes} bytes; send a smaller one")
            return
        capture = Capture(
            frame=frame,
            image=bytes(message.payload),
            waiting=True,
            product_code=frame.product if "{product}" in self._topic.text else None,
            recorded=lambda verdict: self._answer(reply, verdict),
            refused=lambda error: self._refuse(frame, reply, str(error)),
        )
        try:
            self._queue.put_nowait(capture)
            self._losing = False
        except queue.Full:
            self._refuse(frame, reply, "images arrive faster than they can be inspected; send them more slowly")

    def _values(self, topic: str) -> dict[str, str] | None:
        """Camera, product and, where it says so, part id of a topic; None where they cannot be used."""
        found = self._topic.read(topic)
        if found is None:
            return None
        values = {"camera": self._default.camera, "product": self._default.product, **found}
        try:
            _NAME.validate_python(values["camera"])
            _NAME.validate_python(values["product"])
            if "part_id" in values:
                _PART_ID.validate_python(values["part_id"])
        except ValidationError:
            self._ignore(
                topic, "camera and product are 1 to 64 of a-z 0-9 -, a part id 1 to 128 of A-Z a-z 0-9 _ . : -"
            )
            return None
        if not self._census.admit(values["camera"], values["product"]):
            self._ignore(topic, "more pairs of camera and product than most_pairs")
            return None
        return values

    def _frame(self, values: Mapping[str, str]) -> Frame:
        camera = values["camera"]
        sequence = self._next_sequence(camera)
        self.cameras.add(camera)
        return Frame(
            part_id=values.get("part_id") or f"{camera}-{sequence}",
            sequence=sequence,
            product=values["product"],
            camera=camera,
            view=self._default.view,
            line=self._default.line,
            triggered_at=datetime.now(UTC),
            clock=Clock.FREE_RUNNING,
        )

    def _ignore(self, topic: str, why: str) -> None:
        self._count_refused()
        if not self._losing:
            _log.warning("%s: an image on %r is not inspected: %s", self.name, topic[:200], why)
        self._losing = True

    def _refuse(self, frame: Frame, reply: str | None, why: str) -> None:
        """Its number stays unused, so that it is missed; who waits is told that there is no verdict."""
        self._ignore(f"camera {frame.camera}, part {frame.part_id}", why)
        self._answer(reply, Verdict(frame=frame, decision=Decision.NO_VERDICT, reason=why[:500]))

    def _answer(self, reply: str | None, verdict: Verdict) -> None:
        link, text = self._link, verdict.model_dump_json()
        if reply is None:
            return
        if link is None or not link.publish(reply, text):
            _log.warning("%s: the verdict on part %s could not be sent", self.name, verdict.frame.part_id)
        else:
            self.sent_bytes += len(text)
