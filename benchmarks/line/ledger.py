"""What the cameras were told, and whether the station's own record says the same."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from contracts.frame import Decision

_DECISIONS = {each.value for each in Decision}


@dataclass(frozen=True)
class Part:
    """One trigger; times in seconds after the start, `answered` -1 where no answer came."""

    part_id: str
    camera: str
    due: float
    sent: float
    answered: float
    status: int
    decision: str

    @property
    def has_verdict(self) -> bool:
        """OK, NG, REVIEW, or a clear NO_VERDICT with its reason."""
        return self.status in (200, 422) and self.decision in _DECISIONS

    @property
    def latency(self) -> float:
        """From the moment the trigger was due."""
        return self.answered - self.due


@dataclass(frozen=True)
class Balance:
    """Parts by what went wrong: `missed` were never inspected, `unanswered` got no verdict, `doubled` are on record
    more than once."""

    missed: int
    unanswered: int
    doubled: int
    without_verdict: int
    """Answered with NO_VERDICT: no model decided, and the reason was said."""


def read_ledger(path: Path) -> list[Part]:
    """All parts, in the order in which they were due."""
    rows = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    parts = [
        Part(p, camera, float(d), float(s), float(a), int(status), what) for p, camera, d, s, a, status, what in rows
    ]
    return sorted(parts, key=lambda part: part.due)


def recorded(state: Path) -> Counter[tuple[str, str]]:
    """(part id, camera) in the station's record, and how often."""
    with closing(sqlite3.connect(f"file:{state / 'agent.sqlite'}?mode=ro", uri=True)) as db:
        return Counter(db.execute("SELECT part_id, camera FROM verdicts").fetchall())


def balance(parts: Sequence[Part], on_record: Counter[tuple[str, str]], *, triggers: int) -> Balance:
    """What the ledger and the record say together. A trigger that the ledger lacks counts as missed and unanswered."""
    lacking = triggers - len(parts)
    times = [on_record[(part.part_id, part.camera)] for part in parts]
    return Balance(
        missed=lacking + sum(each == 0 for each in times),
        unanswered=lacking + sum(not part.has_verdict for part in parts),
        doubled=sum(each > 1 for each in times),
        without_verdict=sum(part.has_verdict and part.decision == Decision.NO_VERDICT.value for part in parts),
    )


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Of values in order, the smallest that at least `share` of them do not exceed; None where there are none.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5), quantile([1.0, 2.0], 0.999), quantile([], 0.5)
    (2.0, 2.0, None)
    """
    if not ordered:
        return None
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]
