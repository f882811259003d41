"""A PLC: an OPC UA client that triggers, waits no longer than it must, and knows what to do when nobody answers.

It reads as a PLC program reads, cyclically, and believes nothing but a result of its own trigger. `judge` never raises:
a lost connection is one more reason for the safe action.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from asyncua import Client, ua
from asyncua.ua.uaerrors import UaError

_CYCLE_SECONDS = 0.02
OK, NG, REVIEW, NO_VERDICT = 1, 2, 3, 4
_LOST = (OSError, TimeoutError, asyncio.CancelledError, UaError)
_TYPES = {
    "Trigger": ua.VariantType.Boolean,
    "Acknowledge": ua.VariantType.Boolean,
    "TriggerId": ua.VariantType.UInt32,
    "PartId": ua.VariantType.String,
    "Product": ua.VariantType.String,
}


@dataclass(frozen=True)
class Judgement:
    """What the PLC does with a part: "pass", "reject", or the safe action "stop", "divert", "manual"; and why."""

    action: str
    why: str
    result: int = 0
    part_id: str = ""
    reason: str = ""


class Plc:
    """Connect with `async with`."""

    def __init__(self, port: int, output: str = "plc", *, wait_seconds: float = 60.0, timeout: float = 20.0) -> None:
        self.client = Client(f"opc.tcp://127.0.0.1:{port}/lineside", timeout=timeout)
        self._output, self._wait_seconds = output, wait_seconds
        self._index = 0
        self._number = 0
        self.safe_action = "stop"
        """What it does before it knows better."""

    async def __aenter__(self) -> Plc:
        await self.client.connect()
        self._index = await self.client.get_namespace_index("urn:lineside:agent:outputs")
        self.safe_action = {1: "stop", 2: "divert", 3: "manual"}[await self.read("SafeAction")]
        await self.write(Acknowledge=True)  # whatever was under way is not ours
        await self.wait_for(ResultReady=False, Busy=False)
        await self.write(Trigger=False, Acknowledge=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await asyncio.wait_for(self.client.disconnect(), 5)
        except (OSError, TimeoutError, UaError):
            """The agent is gone already."""
        finally:
            self.client.disconnect_socket()
            await asyncio.sleep(0.05)  # for the transport to close

    def node(self, name: str) -> Any:
        """One of the output's variables."""
        return self.client.get_node(f"ns={self._index};s={self._output}.{name}")

    async def read(self, name: str) -> Any:
        """Its value."""
        return await self.node(name).read_value()

    async def write(self, **values: Any) -> None:
        """Several values in one request, in this order."""
        nodes = [self.node(name) for name in values]
        await self.client.write_values(nodes, [ua.Variant(value, _TYPES[name]) for name, value in values.items()])

    async def wait_for(self, seconds: float = 60.0, **wanted: Any) -> None:
        """Until all variables have these values. Raises AssertionError after `seconds`."""
        limit = time.monotonic() + seconds
        while True:
            found = {name: await self.read(name) for name in wanted}
            if found == wanted:
                return
            assert time.monotonic() < limit, f"wanted {wanted}, found {found}"
            await asyncio.sleep(_CYCLE_SECONDS)

    async def trigger(self, part_id: str = "") -> int:
        """Raise Trigger; returns its number."""
        self._number += 1
        await self.write(TriggerId=self._number, PartId=part_id, Trigger=True)
        return self._number

    async def acknowledge(self) -> None:
        """Finish the cycle."""
        await self.write(Acknowledge=True)
        await self.wait_for(ResultReady=False)
        await self.write(Trigger=False, Acknowledge=False)

    async def judge(self, part_id: str = "") -> Judgement:
        """One part: trigger, wait, decide, acknowledge."""
        try:
            if not await self.read("Ready"):
                return Judgement(self.safe_action, "not ready")
            return await self.decide(await self.trigger(part_id))
        except _LOST as error:
            return Judgement(self.safe_action, f"connection lost: {type(error).__name__}")

    async def decide(self, number: int) -> Judgement:
        """The rest of it, after the trigger of that number."""
        try:
            return await self._decide(number)
        except _LOST as error:
            return Judgement(self.safe_action, f"connection lost: {type(error).__name__}")

    async def _decide(self, number: int) -> Judgement:
        limit = time.monotonic() + self._wait_seconds
        while time.monotonic() < limit:
            if await self.read("ResultReady"):
                found = {
                    name: await self.read(name) for name in ("Result", "ResultTriggerId", "ResultPartId", "Reason")
                }
                await self.acknowledge()
                if found["ResultTriggerId"] != number:
                    return Judgement(self.safe_action, "the result of another trigger", found["Result"])
                action = {OK: "pass", NG: "reject"}.get(found["Result"], self.safe_action)
                return Judgement(action, "result", found["Result"], found["ResultPartId"], found["Reason"])
            await asyncio.sleep(_CYCLE_SECONDS)
        return Judgement(self.safe_action, "no result in time")
