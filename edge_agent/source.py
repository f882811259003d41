"""Where images come from. A source makes `Capture`s; the agent inspects them and says when each is on record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.errors import LinesideError
from contracts.frame import Frame, Verdict


def _ignore_verdict(_: Verdict) -> None:
    """Nobody waits for the verdict."""


def _ignore_error(_: LinesideError) -> None:
    """Nobody waits for the verdict."""


@dataclass(frozen=True)
class Capture:
    """One image and what is known about it.

    `image` is [h, w, 3] uint8 RGB, or an encoded file as the camera sent it. `reference` is the source's own name of
    the image, unique for ever (a file with its time and size): with it a source can ask after a restart whether the
    image is on record already. `recorded` is called once, after the verdict is committed to disk. Where it cannot be
    written, the agent tries again, except for a capture that somebody is `waiting` for: that one is `refused`, once.
    `sensor`: it comes straight from a camera even though somebody waits for it, so that equal images are a fault.
    `since` is the trigger's moment in monotonic seconds, from which the deadline counts: wall clocks jump.
    `product_code`: what came with this very image says which product it shows, by name or code. `unjudged`: why it gets
    no verdict, whatever it shows.
    """

    frame: Frame
    image: NDArray[np.uint8] | bytes
    reference: str | None = None
    waiting: bool = False
    sensor: bool = False
    since: float = field(default_factory=time.monotonic)
    product_code: str | None = None
    unjudged: str | None = None
    recorded: Callable[[Verdict], None] = _ignore_verdict
    refused: Callable[[LinesideError], None] = _ignore_error


class Source(Protocol):
    """One or more cameras. `captures` runs in a thread of its own until `close` is called from another one.

    It may yield None to say "nothing at the moment": the agent then commits what it has at once. A source that cannot
    repeat an image numbers its frames so that a lost one leaves a gap, which telemetry reports.
    """

    @property
    def name(self) -> str: ...

    def captures(self) -> Iterator[Capture | None]: ...

    def close(self) -> None: ...
