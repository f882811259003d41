"""Incidents of several sites with one cause: one supplier's lot in five sites is one thing to look into, not five.

A camera's own trouble (SENSOR) never joins: what one camera sees alone is that camera's, and a dirty lens here has
nothing to do with one there. Parts travel, so parts that look different join: by the same lot wherever two sites have
it, and where lots are not known, by the same product within a day at three sites. Two sites alone may be chance.
Incidents whose lots are known and differ never join.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from contracts.names import Moment
from contracts.settings import Settings
from monitor.rules.action import Kind
from monitor.rules.reason import Reason, because

_LOT_SHARE = 0.5  # of the pictures of an incident that must come from a lot for the lot to be its own


class FleetSettings(Settings):
    """When incidents of several sites are one."""

    lot_sites: int = Field(default=2, ge=2, description="sites that have parts of one lot which look different")
    product_sites: int = Field(default=3, ge=2, description="sites where one product changed, lots not known")
    hours: float = Field(default=24.0, gt=0, description="within which it changed at all of these")
    lot_days: float = Field(default=14.0, gt=0, description="within which one lot reaches all of these")


class Alarm(BaseModel):
    """One site's incident as the fleet sees it. `lots`: pictures of it by the lot of their part, as far as known."""

    model_config = ConfigDict(frozen=True)

    incident_id: str
    site: str
    product: str
    kind: Kind
    since: Moment
    open: bool
    lots: dict[str, int] = {}

    @property
    def lot(self) -> str | None:
        """The lot that most of its pictures are from; None where lots are not known or mixed."""
        if not self.lots:
            return None
        name = max(sorted(self.lots), key=lambda lot: self.lots[lot])
        return name if self.lots[name] > _LOT_SHARE * sum(self.lots.values()) else None


class FleetIncident(BaseModel):
    """Incidents with one cause. `members`: incident -> site."""

    model_config = ConfigDict(frozen=True)

    fleet_id: str
    product: str
    lot: str | None = None
    members: dict[str, str]
    opened_at: Moment
    open: bool = True

    @property
    def sites(self) -> tuple[str, ...]:
        """Where it is."""
        return tuple(sorted(set(self.members.values())))


class FleetChange(BaseModel):
    """A fleet incident that is new, has grown or is over, and why."""

    model_config = ConfigDict(frozen=True)

    incident: FleetIncident
    what: str = Field(description="opened, grown, closed or joined (to another one)")
    reason: Reason


def merged(
    known: Sequence[FleetIncident], alarms: Sequence[Alarm], at: Moment, settings: FleetSettings
) -> tuple[FleetChange, ...]:
    """What changes about the fleet's open incidents `known`, given all alarms of the last `lot_days`."""
    changes: list[FleetChange] = []
    left = list(known)
    for group in _groups(alarms, settings):
        same = [incident for incident in left if set(incident.members) & {alarm.incident_id for alarm in group}]
        left = [incident for incident in left if incident not in same]
        if same or any(alarm.open for alarm in group):
            changes += _taken_together(same, group, at, settings)
    still = {change.incident.fleet_id: change.incident for change in changes}
    standing = {incident.fleet_id: incident for incident in known} | still
    over = [incident for incident in standing.values() if incident.open and not _any_open(incident, alarms)]
    return (*changes, *(_closed(incident) for incident in over))


def _groups(alarms: Sequence[Alarm], settings: FleetSettings) -> list[list[Alarm]]:
    """Alarms that belong together; those that stand alone are left out."""
    parts = sorted((a for a in alarms if a.kind is not Kind.SENSOR), key=lambda alarm: (alarm.since, alarm.incident_id))
    groups = []
    for lot in sorted({alarm.lot for alarm in parts if alarm.lot}):
        same = [alarm for alarm in parts if alarm.lot == lot]
        same = _within(same, timedelta(days=settings.lot_days))
        if _sites(same) >= settings.lot_sites:
            groups.append(same)
    unknown = [alarm for alarm in parts if alarm.lot is None]
    for product in sorted({alarm.product for alarm in unknown}):
        groups += _by_time([alarm for alarm in unknown if alarm.product == product], groups, settings)
    return groups


def _by_time(unknown: list[Alarm], by_lot: list[list[Alarm]], settings: FleetSettings) -> list[list[Alarm]]:
    """Alarms of one product whose lots are not known, by when they began: with a lot of that product that has been
    found meanwhile, or with each other."""
    span = timedelta(hours=settings.hours)
    alone = []
    for alarm in unknown:
        near = [
            group
            for group in by_lot
            if any(m.lot and m.product == alarm.product and abs(m.since - alarm.since) <= span for m in group)
        ]
        if len(near) == 1:
            near[0].append(alarm)
        else:
            alone.append(alarm)
    groups = []
    while alone:
        group = _within(alone, span)
        alone = [alarm for alarm in alone if alarm not in group]
        if _sites(group) >= settings.product_sites:
            groups.append(group)
    return groups


def _within(alarms: list[Alarm], span: timedelta) -> list[Alarm]:
    """Those that began within `span` of the first."""
    return [alarm for alarm in alarms if alarm.since - alarms[0].since <= span]


def _sites(alarms: Iterable[Alarm]) -> int:
    return len({alarm.site for alarm in alarms})


def _taken_together(
    same: Sequence[FleetIncident], group: Sequence[Alarm], at: Moment, settings: FleetSettings
) -> list[FleetChange]:
    """The fleet incident of a group: a new one, or the oldest of those that its members belong to."""
    members = {alarm.incident_id: alarm.site for alarm in group}
    lot = next((alarm.lot for alarm in group if alarm.lot), None)
    if not same:
        first = min(members)
        made = FleetIncident(
            fleet_id=f"fleet.{first}"[:128], product=group[0].product, lot=lot, members=members, opened_at=at
        )
        return [FleetChange(incident=made, what="opened", reason=_why(made, settings))]
    oldest, *rest = sorted(same, key=lambda incident: (incident.opened_at, incident.fleet_id))
    for incident in rest:
        members |= incident.members
    grown = oldest.model_copy(update={"members": oldest.members | members, "lot": lot or oldest.lot})
    changes = [
        FleetChange(
            incident=incident.model_copy(update={"open": False}),
            what="joined",
            reason=because("fleet-joined", other=oldest.fleet_id),
        )
        for incident in rest
    ]
    if grown != oldest:
        changes.append(FleetChange(incident=grown, what="grown", reason=_why(grown, settings)))
    return changes


def _why(incident: FleetIncident, settings: FleetSettings) -> Reason:
    said: Mapping[str, str | int | float] = {
        "product": incident.product,
        "count": len(incident.sites),
        "sites": ", ".join(incident.sites),
    }
    if incident.lot is not None:
        return because("fleet-lot", lot=incident.lot, **said)
    return because("fleet-product", hours=settings.hours, **said)


def _any_open(incident: FleetIncident, alarms: Sequence[Alarm]) -> bool:
    return any(alarm.open for alarm in alarms if alarm.incident_id in incident.members)


def _closed(incident: FleetIncident) -> FleetChange:
    reason = because("fleet-over", count=len(incident.members))
    return FleetChange(incident=incident.model_copy(update={"open": False}), what="closed", reason=reason)
