"""Incidents of several sites as the store keeps them: found by the lots of their pictures, told at every site."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from monitor.fleet import Fleet
from monitor.rules.fleet import FleetSettings
from monitor.store import Store
from monitor.store.label_tables import ImageRow
from monitor.store.rule_tables import EventRow, FleetRow, IncidentRow
from tests.monitor.telemetry import START

SITES = ("aachen", "brno", "cork", "delft", "essen")


def add_incident(session: Session, site: str, *, diagnosis: str = "product", number: int = 1) -> None:
    session.add(
        IncidentRow(
            incident_id=f"{site}.cap.{number}",
            site=site,
            state="open",
            phase="LABELS",
            diagnosis=diagnosis,
            title="",
            reason={},
            cameras=["agent-1/top/cap"],
            details={},
            opened_at=START,
            updated_at=START,
        )
    )


def add_pictures(session: Session, site: str, *lots: str | None) -> None:
    for number, lot in enumerate(lots):
        session.add(
            ImageRow(
                image_id=f"{site}-{number}",
                site=site,
                agent="agent-1",
                camera="top",
                product="cap",
                part_id=f"part-{number}",
                incident_id=f"{site}.cap.1",
                source="drift-sample",
                verdict={"frame": {"lot": lot}},
                blob="",
                bytes=1,
                media_type="image/png",
                triggered_at=START,
                received_at=START,
                state="queued",
            )
        )


def test_a_lot_at_five_sites_is_one_row_told_at_each_and_over_with_the_last(store: Store) -> None:
    with store.write() as session:
        for site in SITES:
            add_incident(session, site)
            add_pictures(session, site, "L-7", "L-7", None)
        add_incident(session, "brno", diagnosis="sensor", number=2)
    fleet = Fleet(store, FleetSettings(lot_days=36500))
    assert (fleet.step(), fleet.step()) == (1, 0)
    with store.read() as session:
        row = session.scalars(select(FleetRow)).one()
        told = session.scalars(select(EventRow).where(EventRow.kind == "fleet")).all()
    assert row.body["lot"] == "L-7"
    assert sorted(row.body["members"]) == [f"{site}.cap.1" for site in SITES]
    assert [(event.site, event.incident_id) for event in told] == [(site, f"{site}.cap.1") for site in SITES]
    assert "L-7" in told[0].text
    with store.write() as session:
        for incident in session.scalars(select(IncidentRow)):
            incident.state, incident.closed_at = "closed", START + timedelta(hours=1)
    assert fleet.step() == 1
    with store.read() as session:
        assert session.scalars(select(FleetRow)).one().state == "closed"
