"""A PLC by OPC UA: its Trigger gets the next image of a camera, and the verdict on it comes back as a handshake.

The rules are in `handshake` and `triggers`; here they meet the network. Everything below `_main` runs in one thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from asyncua import ua
from asyncua.ua.uaerrors import UaError
from pydantic import TypeAdapter, ValidationError

from contracts.answer import Answer, SafeAction
from contracts.errors import LinkError
from contracts.names import Identifier
from edge_agent.outputs.handshake import Code, Cycle, Levels, answered, failed, passed, readiness, written
from edge_agent.outputs.opcua_server import Door, Node, PlcServer
from edge_agent.outputs.output import Pulse
from edge_agent.outputs.triggers import Order, Triggers

SAFE_ACTIONS = {SafeAction.STOP: 1, SafeAction.DIVERT: 2, SafeAction.MANUAL: 3}
_LARGEST_ID = 2**32 - 1
_LONGEST_PART_ID = 200  # more than a record holds, so that what is cut off stays unusable
_START_SECONDS = 60.0
_CALL_SECONDS = 5.0
_PART_ID: TypeAdapter[str] = TypeAdapter(Identifier)

_BOOLEAN, _UINT32, _INT32 = ua.VariantType.Boolean, ua.VariantType.UInt32, ua.VariantType.Int32
_DOUBLE, _STRING = ua.VariantType.Double, ua.VariantType.String
NODES = {
    "Trigger": Node(_BOOLEAN, False, written_by_plc=True),
    "TriggerId": Node(_UINT32, 0, written_by_plc=True),
    "PartId": Node(_STRING, "", written_by_plc=True),
    "Product": Node(_STRING, "", written_by_plc=True),
    "Acknowledge": Node(_BOOLEAN, False, written_by_plc=True),
    "Ready": Node(_BOOLEAN, False),
    "Busy": Node(_BOOLEAN, False),
    "ResultReady": Node(_BOOLEAN, False),
    "Result": Node(_INT32, int(Code.NONE)),
    "ResultPartId": Node(_STRING, ""),
    "ResultTriggerId": Node(_UINT32, 0),
    "Reason": Node(_STRING, ""),
    "AgeOfResult": Node(_DOUBLE, -1.0),
    "Heartbeat": Node(_UINT32, 0),
    "HeartbeatSeconds": Node(_DOUBLE, 0.0),
    "DeadlineSeconds": Node(_DOUBLE, 0.0),
    "SafeAction": Node(_INT32, 0),
}
"""docs/plc.md says what each is for."""


class OpcUa:
    """The handshake with one PLC about one camera."""

    def __init__(
        self,
        name: str,
        camera: str,
        door: Door,
        triggers: Triggers,
        *,
        deadline_seconds: float,
        camera_latency_seconds: float,
        heartbeat_seconds: float,
        safe_action: SafeAction,
        makes: Callable[[str, str], None] = lambda camera, code: None,
    ) -> None:
        """`makes` is called with the camera and the product that the PLC names before it, when it names another."""
        self.name, self._makes = name, makes
        self._camera, self._triggers = camera, triggers
        self._deadline_seconds, self._latency_seconds = deadline_seconds, camera_latency_seconds
        self._door = door
        self._nodes = dict(NODES)
        for node, value in (
            ("HeartbeatSeconds", heartbeat_seconds),
            ("DeadlineSeconds", deadline_seconds),
            ("SafeAction", SAFE_ACTIONS[safe_action]),
        ):
            self._nodes[node] = replace(NODES[node], first=value)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._started: Future[None] = Future()
        self._forget()

    def open(self) -> None:
        """Serve. Raises LinkError where the address is taken or a certificate cannot be read."""
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # it logs what any stranger sends
        if self._thread is None or not self._thread.is_alive():
            self._start()
        try:
            self._started.result(_START_SECONDS)
        except (OSError, ValueError, TimeoutError, UaError) as error:
            if self._thread is not None and self._started.done():
                self._thread.join(_CALL_SECONDS)  # it has failed and is ending; the next attempt is a new one
            address, reason = f"{self._door.host}:{self._door.port}", str(error) or type(error).__name__
            raise LinkError(f"the OPC UA server at {address} cannot start: {reason}") from error

    def deliver(self, answer: Answer) -> None:
        """Raises LinkError where the server does not answer."""
        if answer.camera == self._camera:
            self._call(self._answer(answer))

    def beat(self, pulse: Pulse) -> bool:
        """Count on, and say whether parts can be judged."""
        self._call(self._beat(pulse))
        return True

    def close(self) -> None:
        """Take Ready away, then close all connections."""
        self._triggers.close(self._camera)
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread.is_alive():
            loop.call_soon_threadsafe(self._stop.set)
            thread.join(_CALL_SECONDS)

    def _start(self) -> None:
        self._triggers.close(self._camera)
        self._forget()
        self._started = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main()), name=f"opcua {self.name}", daemon=True
        )
        self._thread.start()

    def _forget(self) -> None:
        self._cycle = Cycle()
        self._shown: dict[str, Any] = {}  # what the nodes hold
        self._order: Order | None = None
        self._result_at: float | None = None  # monotonic
        self._expiries: set[asyncio.Task[None]] = set()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        if self._loop is None or self._thread is None or not self._thread.is_alive():
            work.close()
            self.open()
            raise LinkError(f"the OPC UA server of output {self.name} had ended and was started again")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            future.result(_CALL_SECONDS)
        except TimeoutError as error:
            raise LinkError(f"the OPC UA server of output {self.name} hangs") from error

    async def _main(self) -> None:
        self._loop, self._stop, self._showing = asyncio.get_running_loop(), asyncio.Event(), asyncio.Lock()
        self._server = PlcServer(self.name, self._door, self._nodes, self._when_written)
        try:
            await self._server.start()
        except (OSError, ValueError, UaError) as error:
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        await self._stop.wait()
        self._cycle = readiness(self._cycle, "the agent is stopping")
        await self._show()
        await self._server.stop()

    async def _when_written(self, values: Mapping[str, Any]) -> None:
        """The PLC has written something."""
        levels = _levels(self._cycle.levels, values)
        before, now = self._cycle, time.monotonic()
        if levels.product and levels.product != before.levels.product:
            self._makes(self._camera, levels.product)
        cycle = written(before, levels, now=now, deadline=self._deadline_seconds)
        begins = cycle.busy and not before.busy
        if begins and not _usable(levels.part_id):
            cycle = failed(replace(cycle, part_id=""), "PartId cannot be used: 1 to 128 of A-Z a-z 0-9 _ . : -")
        if begins and cycle.busy:
            self._begin(cycle, now)
        self._cycle = cycle
        await self._show()

    def _begin(self, cycle: Cycle, now: float) -> None:
        """Wait for the image of this trigger, and no longer than its deadline."""
        self._order = order = Order(self._camera, now + self._latency_seconds, now, cycle.part_id, cycle.levels.product)
        self._triggers.open(order)
        expiry = asyncio.create_task(self._expire(order))
        self._expiries.add(expiry)
        expiry.add_done_callback(self._expiries.discard)

    async def _expire(self, order: Order) -> None:
        await asyncio.sleep(self._deadline_seconds + 0.001)
        if order is self._order:
            self._cycle = passed(self._cycle, time.monotonic())
            await self._show()

    async def _answer(self, answer: Answer) -> None:
        order = self._triggers.answers(answer.camera, answer.sequence)
        if order is not None and order is self._order:
            cycle = passed(self._cycle, time.monotonic())
            self._cycle = answered(cycle, answer.decision, part_id=answer.part_id, reason=answer.reason)
            await self._show()

    async def _beat(self, pulse: Pulse) -> None:
        self._cycle = readiness(self._cycle, pulse.unready)
        await self._show()
        age = -1.0 if self._result_at is None else time.monotonic() - self._result_at
        await self._server.write("AgeOfResult", age)
        await self._server.write("Heartbeat", pulse.count & _LARGEST_ID)

    async def _show(self) -> None:
        """Bring the nodes up to the cycle: a result is complete before ResultReady rises, and gone after it fell."""
        async with self._showing:
            cycle = self._cycle
            if not cycle.busy and self._order is not None:
                self._order = None
                self._triggers.close(self._camera)
            result = {
                "Result": int(cycle.code),
                "ResultPartId": cycle.part_id if cycle.result_ready else "",
                "ResultTriggerId": cycle.trigger_id if cycle.result_ready else 0,
                "Reason": cycle.reason[:500] if cycle.result_ready else "",
            }
            if any(self._shown.get(name) != value for name, value in result.items()):
                await self._set("ResultReady", False)
                self._result_at = time.monotonic() if cycle.result_ready else None
                await self._set("AgeOfResult", 0.0 if cycle.result_ready else -1.0)
                for name, value in result.items():
                    await self._set(name, value)
            await self._set("ResultReady", cycle.result_ready)
            await self._set("Busy", cycle.busy)
            await self._set("Ready", cycle.ready)

    async def _set(self, name: str, value: Any) -> None:
        if name == "AgeOfResult" or self._shown.get(name) != value:
            await self._server.write(name, value)
            self._shown[name] = value


def _levels(before: Levels, values: Mapping[str, Any]) -> Levels:
    """What the PLC has written so far; a value that is none is the lowest."""
    return Levels(
        trigger=bool(values.get("Trigger", before.trigger)),
        acknowledge=bool(values.get("Acknowledge", before.acknowledge)),
        trigger_id=int(values.get("TriggerId", before.trigger_id) or 0),
        part_id=str(values.get("PartId", before.part_id) or "")[:_LONGEST_PART_ID],
        product=str(values.get("Product", before.product) or "")[:_LONGEST_PART_ID].strip(),
    )


def _usable(part_id: str) -> bool:
    """Empty, or an id that a record can hold."""
    try:
        return not part_id or bool(_PART_ID.validate_python(part_id))
    except ValidationError:
        return False
