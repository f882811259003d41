"""The cameras of the line, as a process of its own: `python -m benchmarks.line.client LEDGER`, the cadence as JSON on
standard input.

Open loop: each trigger goes out when it is due, over a free connection or a new one, whether or not earlier answers
have come. LEDGER gets one line for each part once it was answered or given up:
`part_id camera due sent answered status decision`, times in seconds after the start.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import selectors
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple, cast
from urllib.parse import urlsplit

from benchmarks.line.cadence import Cadence

PATIENCE_SECONDS = 15.0
"""After that a part counts as one without an answer; the station's own deadline is 10 s."""
LATER = "later"
_IDLE_SECONDS = 3.0  # the station hangs up after 5


class Reply(NamedTuple):
    """Status, header and body of an answer, and when it was complete (monotonic seconds)."""

    status: int
    head: bytes
    body: bytes
    at: float


class Answering(asyncio.Protocol):
    """One connection: a request out, its answer back, one at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[Reply] | None = None
        self.transport: asyncio.Transport
        self.used_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It can be used from now on."""
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes) -> asyncio.Future[Reply]:
        """The answer once it has come. Raises ConnectionError where the station hangs up."""
        self._buffer, self._answer, self.used_at = b"", asyncio.get_running_loop().create_future(), time.monotonic()
        self.transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        """Part of an answer."""
        now = time.monotonic()
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if found and self._answer is not None and not self._answer.done() and len(body) >= _length(head):
            self._answer.set_result(Reply(int(head.split(b" ", 2)[1]), head, body, now))

    def connection_lost(self, error: Exception | None) -> None:
        """The station hung up."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the station hung up"))


class Line:
    """Sends what is due and writes down what comes back."""

    def __init__(self, cadence: Cadence, ledger: IO[str]) -> None:
        self._cadence, self._ledger = cadence, ledger
        self._bodies = [Path(name).read_bytes() for name in cadence.images]
        self._free: list[Answering] = []
        self._asking: set[asyncio.Task[None]] = set()
        self._began = 0.0

    async def run(self) -> None:
        """Until the last part is answered or given up."""
        self._began = time.monotonic() + 0.5
        for number, (due, camera, part_id) in enumerate(self._cadence.parts()):
            await asyncio.sleep(max(0.0, self._began + due - time.monotonic()))
            task = asyncio.create_task(self._part(due, camera, part_id, self._bodies[number % len(self._bodies)]))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        await asyncio.gather(*self._asking)

    async def _part(self, due: float, camera: str, part_id: str, body: bytes) -> None:
        sent, answered, status, decision = self._now(), -1.0, 0, "-"
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                connection = self._idle() or await self._connect()
                reply = await connection.ask(self._request(camera, part_id, body))
                status, answered, decision = reply.status, reply.at - self._began, _decision(reply, part_id)
                self._free.append(connection)
        self._ledger.write(f"{part_id} {camera} {due:.6f} {sent:.6f} {answered:.6f} {status} {decision}\n")

    def _idle(self) -> Answering | None:
        """A connection that waits and that the station will not close just now."""
        while self._free:
            connection = self._free.pop()
            if time.monotonic() - connection.used_at < _IDLE_SECONDS and not connection.transport.is_closing():
                return connection
            connection.transport.close()
        return None

    async def _connect(self) -> Answering:
        place = urlsplit(self._cadence.url)
        made = await asyncio.get_running_loop().create_connection(Answering, place.hostname or "", place.port or 80)
        return made[1]

    def _request(self, camera: str, part_id: str, body: bytes) -> bytes:
        place = urlsplit(self._cadence.url)
        head = (
            f"POST {place.path}?part_id={part_id}&camera={camera} HTTP/1.1\r\nHost: {place.netloc}\r\n"
            f"Content-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _now(self) -> float:
        return time.monotonic() - self._began


def _length(head: bytes) -> int:
    lines = (line.split(b":", 1) for line in head.split(b"\r\n")[1:])
    return next(int(line[1]) for line in lines if line[0].lower() == b"content-length")


def _decision(reply: Reply, part_id: str) -> str:
    """Of the verdict on that very part, whether it came with a reason for having none; `later` of a refusal that says
    when to come back; else `-`."""
    with suppress(ValueError):  # an answer of somebody else
        answer = json.loads(reply.body)
        verdict = answer.get("verdict", answer)
        if verdict.get("frame", {}).get("part_id") == part_id:
            return str(verdict["decision"])
    return LATER if b"\r\nretry-after:" in reply.head.lower() else "-"


def main(ledger: Path, cadence: Cadence) -> None:
    """Run the line. Its cameras would be other machines: it goes first where it may, and collects no garbage."""
    with suppress(PermissionError):
        os.nice(-5)
    gc.disable()
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())  # others round waiting times up to a millisecond
    with ledger.open("w", encoding="ascii") as file:
        loop.run_until_complete(Line(cadence, file).run())


if __name__ == "__main__":
    given = json.load(sys.stdin)
    main(Path(sys.argv[1]), Cadence(**{**given, "cameras": tuple(given["cameras"]), "images": tuple(given["images"])}))
