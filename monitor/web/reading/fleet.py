"""Agents, their cameras and what needs attention: the first page."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contracts.frame import Decision
from monitor.store.label_tables import ImageRow
from monitor.store.rollout_tables import CandidateRow, ReleaseRow
from monitor.store.rule_tables import CameraRow, FleetRow, IncidentRow
from monitor.store.telemetry_tables import AgentRow, WindowRow

RECENT_WINDOWS = 60
_DECISIONS = tuple(decision.value for decision in Decision)


@dataclass(frozen=True)
class CameraKey:
    """One camera looking at one product."""

    site: str
    agent: str
    camera: str
    product: str

    @property
    def path(self) -> str:
        """As it stands in the address of its page."""
        return f"{self.site}/{self.agent}/{self.camera}/{self.product}"


@dataclass(frozen=True)
class CameraLine:
    """One line of the fleet page. `ratios`: T2 divided by its limit, oldest first, None while learning."""

    key: CameraKey
    state: str
    fault: str | None
    ratios: tuple[float | None, ...]
    decisions: dict[str, int]
    images: int
    last_window_at: datetime | None

    @property
    def shares(self) -> dict[str, float]:
        """Share of each decision in the recent windows, 0..1."""
        total = sum(self.decisions.values())
        return {name: self.decisions.get(name, 0) / total if total else 0.0 for name in _DECISIONS}


@dataclass(frozen=True)
class AgentLine:
    """One agent with its cameras."""

    site: str
    agent: str
    online: bool
    last_seen_at: datetime
    release_number: int | None
    bundle_hash: str | None
    shadow_hash: str | None
    runtime: str | None
    production: bool | None
    cameras: tuple[CameraLine, ...]


@dataclass(frozen=True)
class SiteFacts:
    """What stands above the agents of a site."""

    site: str
    active: ReleaseRow | None
    shadow: ReleaseRow | None
    agents: tuple[AgentLine, ...]

    @property
    def online(self) -> int:
        """How many agents are connected."""
        return sum(agent.online for agent in self.agents)


@dataclass(frozen=True)
class Attention:
    """Counts for the navigation: what waits for a person."""

    incidents: int
    labels: int
    approvals: int


def attention(session: Session) -> Attention:
    """What waits for a person, over all sites."""
    return Attention(
        incidents=_incidents(session),
        labels=_count(session, select(func.count()).where(ImageRow.state == "queued")),
        approvals=_count(session, select(func.count()).where(CandidateRow.state == "approving")),
    )


def _incidents(session: Session) -> int:
    """Open incidents; those with one cause at several sites count once."""
    together = session.scalars(select(FleetRow.body).where(FleetRow.state == "open")).all()
    members = {member for body in together for member in body["members"]}
    alone = select(func.count()).where(IncidentRow.state == "open", IncidentRow.incident_id.not_in(members))
    return len(together) + _count(session, alone)


def fleet(session: Session) -> list[SiteFacts]:
    """All sites with their agents and cameras, by name."""
    agents = defaultdict(list)
    cameras = _cameras(session)
    for row in session.scalars(select(AgentRow).order_by(AgentRow.site, AgentRow.agent)):
        agents[row.site].append(_agent(session, row, cameras.pop((row.site, row.agent), {})))
    releases = list(session.scalars(select(ReleaseRow).where(ReleaseRow.state.in_(("active", "shadow")))))
    sites = sorted(set(agents) | {release.site for release in releases})
    return [
        SiteFacts(
            site=site,
            active=_newest(releases, site, "active"),
            shadow=_newest(releases, site, "shadow"),
            agents=tuple(agents[site]),
        )
        for site in sites
    ]


def camera_line(session: Session, key: CameraKey, row: CameraRow | None) -> CameraLine:
    """The recent windows of one camera in one line."""
    windows = recent_windows(session, key, RECENT_WINDOWS)
    decisions: dict[str, int] = defaultdict(int)
    for window in windows:
        for name, count in window.decisions.items():
            decisions[name] += count
    return CameraLine(
        key=key,
        state=row.state if row is not None else "LEARNING",
        fault=row.fault if row is not None else None,
        ratios=tuple(_ratio(window) for window in windows),
        decisions=dict(decisions),
        images=sum(window.images for window in windows),
        last_window_at=windows[-1].ended_at if windows else None,
    )


def recent_windows(session: Session, key: CameraKey, limit: int) -> list[WindowRow]:
    """The newest windows of one camera, oldest first."""
    query = (
        select(WindowRow)
        .where(
            WindowRow.site == key.site,
            WindowRow.agent == key.agent,
            WindowRow.camera == key.camera,
            WindowRow.product == key.product,
        )
        .order_by(WindowRow.ended_at.desc(), WindowRow.message_id.desc())
        .limit(limit)
    )
    return list(session.scalars(query))[::-1]


def _agent(session: Session, row: AgentRow, known: dict[tuple[str, str], CameraRow]) -> AgentLine:
    birth: dict[str, Any] = row.birth or {}
    keys = {(item["camera"], item["product"]) for item in birth.get("cameras", [])} | set(known)
    lines = [
        camera_line(session, CameraKey(row.site, row.agent, camera, product), known.get((camera, product)))
        for camera, product in sorted(keys)
    ]
    return AgentLine(
        site=row.site,
        agent=row.agent,
        online=row.online,
        last_seen_at=row.last_seen_at,
        release_number=row.release_number,
        bundle_hash=row.bundle_hash,
        shadow_hash=row.shadow_hash,
        runtime=birth.get("runtime"),
        production=birth.get("production"),
        cameras=tuple(lines),
    )


def _cameras(session: Session) -> dict[tuple[str, str], dict[tuple[str, str], CameraRow]]:
    """(site, agent) -> (camera, product) -> where it stands."""
    found: dict[tuple[str, str], dict[tuple[str, str], CameraRow]] = defaultdict(dict)
    for row in session.scalars(select(CameraRow)):
        found[row.site, row.agent][row.camera, row.product] = row
    return found


def _newest(releases: list[ReleaseRow], site: str, state: str) -> ReleaseRow | None:
    matching = [release for release in releases if (release.site, release.state) == (site, state)]
    return max(matching, key=lambda release: release.number, default=None)


def _ratio(row: WindowRow) -> float | None:
    return row.t2 / row.limit if row.t2 is not None and row.limit else None


def _count(session: Session, query: Any) -> int:
    return int(session.scalar(query) or 0)
