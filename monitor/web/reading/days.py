"""What was made on each day and how it went, line by line or site by site: windows added up in the database.

The HTTP API's `/v1/windows/sums` adds up finer spans and more figures (see `monitor.rollup`); this is what a person
looks over in the morning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from contracts.frame import Decision
from monitor.rollup import lines_of
from monitor.rules.action import Phase
from monitor.store.telemetry_tables import AgentRow, WindowRow
from monitor.web.reading.fleet import CameraKey

DAYS = (7, 31)
_REMEMBERED = timedelta(days=max(DAYS))
By = Literal["line", "site"]
_GRAVEST_FIRST = (
    Phase.HARMFUL,
    Phase.RETRAIN,
    Phase.SHADOW,
    Phase.PRODUCT,
    Phase.LABELS,
    Phase.SENSOR,
    Phase.DIAGNOSE,
    Phase.DRIFT,
    Phase.PRIOR,
    Phase.HARMLESS,
    Phase.OK,
    Phase.LEARNING,
)
_CALM = ("OK", "SUSPECT", "LEARNING")
"""States without a drift. SUSPECT is passed through by chance a few times a day: it counts as OK."""


@dataclass
class Day:
    """What windows of one day add up to. `states`: windows in each state."""

    images: int = 0
    dropped: int = 0
    decisions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Decision, 0))
    states: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, other: Day) -> None:
        """And those of another camera."""
        self.images += other.images
        self.dropped += other.dropped
        for name, count in other.decisions.items():
            self.decisions[name] += count
        for state, windows in other.states.items():
            self.states[state] += windows

    @property
    def shares(self) -> dict[str, float]:
        """Share of each decision, 0..1."""
        total = sum(self.decisions.values())
        return {name: count / total if total else 0.0 for name, count in self.decisions.items()}

    @property
    def state(self) -> str:
        """The gravest state of the day."""
        states = {"OK" if state == "SUSPECT" else state for state in self.states}
        return next((phase.value for phase in _GRAVEST_FIRST if phase.value in states), min(states, default="OK"))

    @property
    def drifting(self) -> float:
        """Share of the windows that were seen while a drift was open, 0..1."""
        windows = sum(self.states.values())
        return 1.0 - sum(self.states.get(state, 0) for state in _CALM) / windows if windows else 0.0

    @property
    def badness(self) -> tuple[int, float, float]:
        """The larger, the more it is worth a look: state, how long, and how much was rejected."""
        place = next((n for n, phase in enumerate(_GRAVEST_FIRST) if phase.value == self.state), len(_GRAVEST_FIRST))
        return -place, self.drifting, self.shares["NG"]


Sums = Mapping[CameraKey, Day]


@dataclass(frozen=True)
class Row:
    """One line or site on one day; `worst`: the camera that is most worth a look, of `cameras`."""

    day: date
    about: str
    total: Day
    worst: CameraKey
    of_worst: Day
    cameras: int


class Days:
    """Days (UTC) as lines or sites, newest first. A day is added up once and again when windows of it have come or
    gone: an outage's come late. Thread-safe: what two threads add up at once is the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, date], tuple[int, Sums]] = {}

    def read(self, session: Session, *, by: By, most: int, now: datetime) -> list[Row]:
        """The last `most` days with windows, by name within a day."""
        together: dict[tuple[date, str], dict[CameraKey, Day]] = defaultdict(dict)
        lines = lines_of(session)
        today = now.astimezone(UTC).date()
        for site in session.scalars(select(AgentRow.site).distinct()).all():
            for day in (today - timedelta(days=n) for n in range(most)):
                for camera, found in self._sums(session, site, day).items():
                    line = lines.get((site, camera.agent, camera.camera), "line-1")
                    about = site if by == "site" else f"{site} / {line}"
                    together[day, about][camera] = found
        self._known = {key: sums for key, sums in self._known.items() if today - key[1] < _REMEMBERED}
        keys = sorted(together, key=lambda key: (-key[0].toordinal(), key[1]))
        return [_row(day, about, together[day, about]) for day, about in keys]

    def _sums(self, session: Session, site: str, day: date) -> Sums:
        on_day = _on(site, day)
        windows = session.scalar(select(func.count()).select_from(WindowRow).where(*on_day)) or 0
        known = self._known.get((site, day))
        if known is None or known[0] != windows:
            known = self._known[site, day] = windows, _added_up(session, site, on_day)
        return known[1]


def _row(day: date, about: str, cameras: Sums) -> Row:
    worst = max(sorted(cameras, key=lambda camera: camera.path), key=lambda camera: cameras[camera].badness)
    return Row(day, about, _added(cameras.values()), worst, cameras[worst], len(cameras))


def _added(cameras: Iterable[Day]) -> Day:
    total = Day()
    for camera in cameras:
        total.add(camera)
    return total


def _on(site: str, day: date) -> tuple[ColumnElement[bool], ...]:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return (
        WindowRow.site == site,
        WindowRow.ended_at >= midnight,
        WindowRow.ended_at < midnight + timedelta(days=1),
    )


def _added_up(session: Session, site: str, on_day: Sequence[ColumnElement[bool]]) -> Sums:
    """What the windows of a site on a day come to, by camera."""
    counts = [func.sum(func.coalesce(WindowRow.decisions[name.value].as_integer(), 0)) for name in Decision]
    place = (WindowRow.agent, WindowRow.camera, WindowRow.product, WindowRow.state)
    images = (func.count(), func.sum(WindowRow.images), func.sum(WindowRow.dropped_images))
    found: dict[CameraKey, Day] = defaultdict(Day)
    for row in session.execute(select(*place, *images, *counts).where(*on_day).group_by(*place)):
        agent, camera, product, state, windows, seen, dropped, *decisions = row
        made = dict(zip(Decision, decisions, strict=True))
        found[CameraKey(site, agent, camera, product)].add(Day(seen, dropped, made, {state: windows}))
    return found
