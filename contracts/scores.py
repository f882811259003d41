"""How a station's defect scores of some days lie: counts in bins, all that a preview of thresholds needs.

The bins' edges are the thresholds that a person may choose among, and those that decide now are among them, so that
what a preview counts is exact. Nothing here names a part.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from contracts.frame import Decision, Probability
from contracts.names import Label, Moment, Name, Sha256, Wire

_ENDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005)
EDGES: tuple[float, ...] = (
    0.0,
    *_ENDS,
    *(round(n / 100, 2) for n in range(1, 100)),
    *(round(1.0 - end, 4) for end in reversed(_ENDS)),
    1.0,
)
"""Thresholds to choose among: finer towards both ends, where sure answers crowd."""

MOST_EDGES, MOST_DAYS, MOST_LABELS = 200, 33, 64

_Count = Annotated[int, Field(ge=1, le=2**40)]
Counts = Annotated[dict[Annotated[int, Field(ge=0, lt=MOST_EDGES - 1)], _Count], Field(max_length=MOST_EDGES)]
"""Bin -> scores in it; bins without any are left out. Bin b holds the scores s with edges[b] <= s < edges[b + 1], the
last one 1.0 too."""


def bin_of(score: float, edges: Sequence[float] = EDGES) -> int:
    """The bin of a score 0..1.

    >>> bin_of(0.0), bin_of(0.00011), bin_of(0.5) == EDGES.index(0.5), bin_of(1.0) == len(EDGES) - 2
    (0, 1, True, True)
    """
    return min(max(bisect_right(edges, score) - 1, 0), len(edges) - 2)


class TruthCounts(Wire):
    """Scores of parts that turned out good, and of those that turned out defective."""

    good: Counts = {}
    defect: Counts = {}


class Scores(Wire):
    """Of one bundle and product on one agent. `days` (UTC) and `labels` (predicted class) each hold every score;
    `outcomes` those of parts that were found out about on the line: found by looking, so no random draw."""

    schema_version: Literal[1] = 1
    bundle_hash: Sha256
    product: Name
    since: Moment
    until: Moment
    edges: tuple[Probability, ...] = Field(default=EDGES, min_length=2, max_length=MOST_EDGES)
    days: dict[date, Counts] = Field(default={}, max_length=MOST_DAYS)
    labels: dict[Label, Counts] = Field(default={}, max_length=MOST_LABELS)
    outcomes: TruthCounts = TruthCounts()
    decisions: dict[Decision, Annotated[int, Field(ge=0, le=2**40)]] = Field(
        default={}, description="as they were told then, whatever thresholds decided"
    )

    @model_validator(mode="after")
    def _agree(self) -> Scores:
        if list(self.edges) != sorted(set(self.edges)) or (self.edges[0], self.edges[-1]) != (0.0, 1.0):
            raise ValueError("edges must rise from 0 to 1")
        parts = (*self.days.values(), *self.labels.values(), self.outcomes.good, self.outcomes.defect)
        if any(bin_ > len(self.edges) - 2 for counts in parts for bin_ in counts):
            raise ValueError("a bin lies beyond the edges")
        if self.images != sum(sum(counts.values()) for counts in self.labels.values()):
            raise ValueError("days and labels count differently many scores")
        if self.until < self.since:
            raise ValueError("until lies before since")
        return self

    @property
    def images(self) -> int:
        """How many scores there are."""
        return sum(sum(counts.values()) for counts in self.days.values())

    @property
    def all(self) -> dict[int, int]:
        """Bin -> scores in it, of all days."""
        return added(self.days.values())


def added(parts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Counts of several together.

    >>> added([{0: 1, 3: 2}, {3: 1}])
    {0: 1, 3: 3}
    """
    total: dict[int, int] = {}
    for counts in parts:
        for bin_, count in counts.items():
            total[bin_] = total.get(bin_, 0) + count
    return total
