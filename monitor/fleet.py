"""Incidents of several sites, as rows: looks at what is open at all sites, and keeps what belongs together."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from monitor import timeline
from monitor.rulebook import camera_parts
from monitor.rules.action import Kind
from monitor.rules.fleet import Alarm, FleetChange, FleetIncident, FleetSettings, merged
from monitor.store.database import Store
from monitor.store.label_tables import ImageRow
from monitor.store.rule_tables import FleetRow, IncidentRow


class Fleet:
    """`step` compares the incidents of all sites; cheap enough for once a minute."""

    def __init__(self, store: Store, settings: FleetSettings) -> None:
        self._store, self._settings = store, settings

    def step(self) -> int:
        """Bring the fleet's incidents up to date; returns how many changed."""
        now = datetime.now(UTC)
        with self._store.read() as session:
            changes = self._changes(session, now)
        if not changes:
            return 0
        with self._store.write() as session:
            changes = self._changes(session, now)
            for change in changes:
                _keep(session, change, now)
        return len(changes)

    def _changes(self, session: Session, now: datetime) -> tuple[FleetChange, ...]:
        known = [
            FleetIncident.model_validate(row.body)
            for row in session.scalars(select(FleetRow).where(FleetRow.state == "open"))
        ]
        return merged(known, alarms(session, now - timedelta(days=self._settings.lot_days)), now, self._settings)


def alarms(session: Session, since: datetime) -> list[Alarm]:
    """Incidents that are open, or were opened after `since`, as the fleet sees them."""
    query = select(IncidentRow).where(or_(IncidentRow.state == "open", IncidentRow.opened_at >= since))
    rows = session.scalars(query.where(IncidentRow.diagnosis.in_([kind.value for kind in Kind]))).all()
    lots = _lots(session, [row.incident_id for row in rows])
    return [
        Alarm(
            incident_id=row.incident_id,
            site=row.site,
            product=_product(row),
            kind=Kind(row.diagnosis),
            since=row.opened_at,
            open=row.state == "open",
            lots=lots[row.incident_id],
        )
        for row in rows
    ]


def _lots(session: Session, incident_ids: list[str]) -> dict[str, Counter[str]]:
    """Pictures of each incident by the lot of their part."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    lot = ImageRow.verdict["frame"]["lot"].as_string()
    query = select(ImageRow.incident_id, lot, func.count()).where(ImageRow.incident_id.in_(incident_ids))
    for incident_id, name, count in session.execute(query.group_by(ImageRow.incident_id, lot)):
        if incident_id is not None and name is not None:
            found[incident_id][name] = count
    return found


def _product(row: IncidentRow) -> str:
    """What its cameras look at; cameras of one model that look at several are named together."""
    products = {camera_parts(name)[2] for name in row.cameras if name.count("/") == 2}
    return ", ".join(sorted(products)) or "default"


def _keep(session: Session, change: FleetChange, now: datetime) -> None:
    incident = change.incident
    row = session.get(FleetRow, incident.fleet_id)
    if row is None:
        row = FleetRow(fleet_id=incident.fleet_id, opened_at=now)
        session.add(row)
    row.body, row.state = incident.model_dump(mode="json"), "open" if incident.open else "closed"
    row.title, row.reason, row.updated_at = timeline.plain(change.reason), timeline.as_json(change.reason), now
    row.closed_at = None if incident.open else now
    for incident_id, site in sorted(incident.members.items()):
        timeline.note_reason(
            session,
            "fleet",
            change.reason,
            site=site,
            at=now,
            product=incident.product,
            incident_id=incident_id,
            what=change.what,
            fleet=incident.fleet_id,
        )
