"""Windows added up: over ten minutes, an hour or a day, and over a camera, a line, a site or all of them.

Sums add up whatever they are summed over; that is why agents send sums. Counts, latencies and image statistics mean the
same under every model. The rest of the drift vector (components of an embedding, scores) belongs to one bundle and is
left out here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contracts.errors import OrderError
from drift.vector import group_of
from monitor.store.telemetry_tables import AgentRow, MessageRow, WindowRow

By = Literal["camera", "line", "site", "fleet"]
SPANS = {"10m": timedelta(minutes=10), "hour": timedelta(hours=1), "day": timedelta(days=1)}
MOST_WINDOWS = 50_000


@dataclass(frozen=True)
class Summed:
    """One window as it is added up. `statistics`: sum over its images of each image statistic."""

    site: str
    line: str
    camera: str
    ended_at: datetime
    images: int
    dropped_images: int
    decisions: Mapping[str, int]
    labels: Mapping[str, int]
    latency_seconds_sum: float
    statistics: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Totals:
    """What windows add up to. `about`: the camera, line or site; empty for all."""

    about: str
    started_at: datetime
    windows: int = 0
    images: int = 0
    dropped_images: int = 0
    decisions: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    latency_seconds_sum: float = 0.0
    measured_images: int = 0
    statistics: dict[str, float] = field(default_factory=dict)

    def add(self, window: Summed) -> None:
        """And one more window."""
        self.windows += 1
        self.images += window.images
        self.dropped_images += window.dropped_images
        self.latency_seconds_sum += window.latency_seconds_sum
        _add(self.decisions, window.decisions)
        _add(self.labels, window.labels)
        if window.statistics:
            self.measured_images += window.images
            _add(self.statistics, window.statistics)

    def plain(self) -> dict[str, Any]:
        """As JSON, with the means that the sums give; None without images."""
        return {
            "about": self.about,
            "started_at": self.started_at.isoformat(),
            "windows": self.windows,
            "images": self.images,
            "dropped_images": self.dropped_images,
            "decisions": self.decisions,
            "labels": self.labels,
            "latency_seconds": self.latency_seconds_sum / self.images if self.images else None,
            "statistics": {name: total / self.measured_images for name, total in self.statistics.items()},
        }


def _add(total: dict[str, Any], counts: Mapping[str, Any]) -> None:
    for name, count in counts.items():
        total[name] = total.get(name, 0) + count


def rolled_up(windows: Iterable[Summed], *, by: By, span: timedelta) -> list[Totals]:
    """Totals of each `by` and `span` (whole ones since midnight, UTC), by time and name. A window belongs to the span
    in which it ended."""
    found: dict[tuple[datetime, str], Totals] = {}
    for window in windows:
        midnight = window.ended_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        start = midnight + (window.ended_at - midnight) // span * span
        about = {
            "camera": f"{window.site}/{window.camera}",
            "line": f"{window.site}/{window.line}",
            "site": window.site,
            "fleet": "",
        }[by]
        found.setdefault((start, about), Totals(about, start)).add(window)
    return [found[key] for key in sorted(found)]


def windows_between(session: Session, since: datetime, until: datetime, *, site: str | None) -> list[Summed]:
    """Windows that ended in between. Raises OrderError for more than MOST_WINDOWS."""
    query = (
        select(WindowRow, MessageRow.body)
        .outerjoin(MessageRow, MessageRow.id == WindowRow.message_id)
        .where(WindowRow.ended_at >= since, WindowRow.ended_at < until)
        .order_by(WindowRow.ended_at)
    )
    count = select(func.count()).select_from(WindowRow).where(WindowRow.ended_at >= since, WindowRow.ended_at < until)
    if site is not None:
        query, count = query.where(WindowRow.site == site), count.where(WindowRow.site == site)
    if (found := session.scalar(count) or 0) > MOST_WINDOWS:
        raise OrderError(f"{found} windows are more than {MOST_WINDOWS} at once; ask for less time or for one site")
    lines = lines_of(session)
    return [_summed(row, body or {}, lines) for row, body in session.execute(query)]


def _summed(row: WindowRow, body: Mapping[str, Any], lines: Mapping[tuple[str, str, str], str]) -> Summed:
    sums = zip(body.get("vector_names", ()), body.get("vector_sum", ()), strict=False)
    return Summed(
        site=row.site,
        line=lines.get((row.site, row.agent, row.camera), "line-1"),
        camera=f"{row.agent}/{row.camera}",
        ended_at=row.ended_at,
        images=row.images,
        dropped_images=row.dropped_images,
        decisions=row.decisions,
        labels=row.labels,
        latency_seconds_sum=row.latency_seconds_sum,
        statistics={name: total for name, total in sums if group_of(name) == "image"},
    )


def lines_of(session: Session) -> dict[tuple[str, str, str], str]:
    """(site, agent, camera) -> line, as the agents' births say."""
    return {
        (row.site, row.agent, camera["camera"]): camera.get("line", "line-1")
        for row in session.scalars(select(AgentRow))
        for camera in (row.birth or {}).get("cameras", [])
    }
