"""Views to parts. Values in, values out: no clock, no disk; the time is passed in as seconds of a steady clock.

A part opens with its first view and is decided when all are there or its time is up. What comes afterwards:

- a second picture of a view while the part is open: the worse of both counts;
- a view that was missing, soon after the decision (`within_seconds`): late. It is noted and changes nothing, for the
  line has acted; a part that lacked a view was never OK;
- any other view: the part is there once more, and a new round begins, with a verdict of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from contracts.frame import Decision
from contracts.part import PartVerdict
from edge_agent.parts.rule import decide, worst
from edge_agent.parts.settings import PartSettings


class Key(NamedTuple):
    """A part of a kind."""

    part: str
    part_id: str


@dataclass(frozen=True)
class View:
    """A verdict on record, as far as it matters here."""

    camera: str
    part_id: str
    product: str
    line: str
    decision: Decision


@dataclass(frozen=True)
class OpenPart:
    """A part some of whose views have come. `due`: when its time is up, in seconds of the clock."""

    key: Key
    product: str
    line: str
    products: frozenset[str]
    views: Mapping[str, Decision]
    due: float
    row: int | None = None
    """Its number in the record, once it has one."""


@dataclass(frozen=True)
class _Decided:
    """What was missing from a part that is decided, and until when that is late instead of new."""

    row: int
    missing: frozenset[str]
    until: float


@dataclass
class Joined:
    """What some views came to."""

    decided: list[tuple[OpenPart, PartVerdict]] = field(default_factory=list)
    late: list[tuple[int, View]] = field(default_factory=list)
    """Number of the part's verdict, and the view that came too late for it."""


class Joining:
    """Open parts of all kinds. `copy` gives a draft to work on, which takes the place once it is on record."""

    def __init__(self, parts: Sequence[PartSettings]) -> None:
        self._parts = {part.name: part for part in parts}
        self._of_camera = {camera: part for part in parts for camera in part.views}
        self.open: dict[Key, OpenPart] = {}
        self.decided: dict[Key, _Decided] = {}

    @property
    def cameras(self) -> tuple[str, ...]:
        """All that see a part."""
        return tuple(self._of_camera)

    def copy(self) -> Joining:
        """A draft."""
        draft = Joining(tuple(self._parts.values()))
        draft.open, draft.decided = dict(self.open), dict(self.decided)
        return draft

    def reopen(self, part: OpenPart, now: float) -> None:
        """Go on with a part that an earlier run left open; it gets its full time once more."""
        within = self._parts[part.key.part].within_seconds if part.key.part in self._parts else 0.0
        self.open[part.key] = replace(part, due=now + within)

    def take(self, view: View, now: float, joined: Joined) -> None:
        """Add one view."""
        settings = self._of_camera[view.camera]
        key = Key(settings.name, view.part_id)
        before = self.open.get(key)
        if before is None and self._is_late(key, view, now, joined):
            return
        if before is None:
            products = frozenset({view.product})
            views = {view.camera: view.decision}
            due = now + settings.within_seconds
            self.open[key] = OpenPart(key, view.product, view.line, products, views, due)
            return
        known = before.views.get(view.camera, view.decision)
        views = {**before.views, view.camera: worst([known, view.decision])}
        self.open[key] = replace(before, views=views, products=before.products | {view.product})

    def settle(self, now: float, moment: datetime, joined: Joined) -> None:
        """Decide what is complete or whose time is up; `moment` is what the verdict says it was."""
        for key, part in list(self.open.items()):
            settings = self._parts.get(key.part)
            complete = settings is not None and all(camera in part.views for camera in settings.views)
            if complete or now >= part.due:
                del self.open[key]
                joined.decided.append((part, self._verdict(part, settings, moment)))
        self.decided = {key: decided for key, decided in self.decided.items() if now < decided.until}

    def remember(self, part: OpenPart, verdict: PartVerdict, row: int, now: float) -> None:
        """A verdict is on record under that number: what it lacked may still come."""
        settings = self._parts.get(part.key.part)
        if settings is not None and verdict.missing:
            until = now + settings.within_seconds
            self.decided[part.key] = _Decided(row, frozenset(verdict.missing), until)

    def next_due(self) -> float | None:
        """When the next part's time is up."""
        return min((part.due for part in self.open.values()), default=None)

    def _is_late(self, key: Key, view: View, now: float, joined: Joined) -> bool:
        decided = self.decided.get(key)
        if decided is None or now >= decided.until or view.camera not in decided.missing:
            return False
        self.decided[key] = replace(decided, missing=decided.missing - {view.camera})
        joined.late.append((decided.row, view))
        return True

    def _verdict(self, part: OpenPart, settings: PartSettings | None, moment: datetime) -> PartVerdict:
        if settings is None:
            wanted, within = tuple(part.views), 0.0
            reason: str | None = f"the settings no longer know the part {part.key.part}"
            decision = worst([*part.views.values(), Decision.NO_VERDICT])
        else:
            wanted, within = settings.views, settings.within_seconds
            decision, reason = decide(part.views, wanted, part.products, within_seconds=within)
        return PartVerdict(
            part=part.key.part,
            part_id=part.key.part_id,
            product=part.product,
            line=part.line,
            decision=decision,
            views=dict(part.views),
            missing=tuple(camera for camera in wanted if camera not in part.views),
            decided_at=moment,
            reason=reason,
        )
