"""What an output is, and what it is handed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from contracts.answer import Answer
from contracts.errors import LinesideError


class Refused(LinesideError):
    """The other side will never take this answer: drop it, count it, go on with the next one."""


@dataclass(frozen=True)
class Pulse:
    """One beat. `count` stands still while an inspection hangs; `unready` says why parts cannot be judged now."""

    count: int
    unready: str | None


class Output(Protocol):
    """One way to the line. A `Lane` calls everything from one thread of its own: any of it may take its time.

    `open` and `deliver` raise LinkError where it has to be tried again, `deliver` Refused where that is no use.
    `beat` comes every `outputs.heartbeat_seconds`, says whether that proves that the other side is there (False where
    nobody listens for it), and may raise LinkError. `close` is called once after a successful
    `open`, and raises nothing.
    """

    @property
    def name(self) -> str: ...

    def open(self) -> None: ...

    def deliver(self, answer: Answer) -> None: ...

    def beat(self, pulse: Pulse) -> bool: ...

    def close(self) -> None: ...
