"""What befalls a planted model, what is made of its candidates, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Errors:
    """How often verdicts are wrong, within defects and within good parts."""

    escapes: float
    false_rejects: float


GOOD, DRIFTED = Errors(0.03, 0.02), Errors(0.3, 0.3)


@dataclass(frozen=True)
class Upset:
    """A change of what some cameras see: `shift` [m] for those in `cameras`, on in the minutes that `on` says; verdicts
    then err as `errors` says until a model has learned it."""

    cameras: tuple[int, ...]
    shift: Floats
    on: Callable[[NDArray[np.int64]], NDArray[np.bool_]]
    errors: Errors = DRIFTED


class Judge(Protocol):
    """What gate, shadow and people make of a candidate: None for a promotion, else why not."""

    def __call__(self) -> str | None: ...


@dataclass
class Tally:
    """What happened, with its minute."""

    orders: list[int] = field(default_factory=list)
    releases: list[int] = field(default_factory=list)
    learned: list[int] = field(default_factory=list)
    incidents: list[int] = field(default_factory=list)
    closed: Counter[str] = field(default_factory=Counter)
    tickets: int = 0
    withdrawals: int = 0
    asked: int = 0
    answers: int = 0
    windows: int = 0
