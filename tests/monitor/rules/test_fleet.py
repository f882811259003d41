"""What several sites have in common: a lot is one incident, a camera is another."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor.rules.action import Kind
from monitor.rules.fleet import Alarm, FleetIncident, FleetSettings, merged

START = datetime(2026, 3, 2, 6, tzinfo=UTC)
SITES = ("aachen", "brno", "cork", "delft", "essen")
SETTINGS = FleetSettings()


def alarm(site: str, *, hours: float = 0.0, number: int = 1, **changes: Any) -> Alarm:
    values: dict[str, Any] = {
        "incident_id": f"{site}.cap.{number}",
        "site": site,
        "product": "cap",
        "kind": Kind.PRODUCT,
        "since": START + timedelta(hours=hours),
        "open": True,
    }
    return Alarm(**{**values, **changes})


def standing(alarms: list[Alarm], known: list[FleetIncident] | None = None) -> list[FleetIncident]:
    """The fleet's open incidents after looking at these alarms."""
    found = {incident.fleet_id: incident for incident in known or []}
    for change in merged(list(found.values()), alarms, START, SETTINGS):
        found[change.incident.fleet_id] = change.incident
    return [incident for incident in found.values() if incident.open]


def test_one_lot_in_five_sites_is_one_incident_and_one_camera_is_another() -> None:
    lot = [alarm(site, hours=20 * n, lots={"L-7": 30, "L-6": 4}) for n, site in enumerate(SITES)]
    camera = alarm("aachen", number=2, kind=Kind.SENSOR, lots={"L-7": 40})
    (change,) = merged([], [*lot, camera], START, SETTINGS)
    assert change.incident.sites == SITES
    assert camera.incident_id not in change.incident.members
    assert change.reason.plain == (
        "parts of lot L-7 (cap) look different at 5 sites: aachen, brno, cork, delft, essen. "
        "One lot is one cause: ask its supplier"
    )


def test_without_lots_three_sites_within_a_day_are_one_incident_and_two_may_be_chance() -> None:
    two = [alarm("aachen"), alarm("brno", hours=2)]
    assert standing(two) == []
    (found,) = standing([*two, alarm("cork", hours=20)])
    assert (found.sites, found.lot) == (("aachen", "brno", "cork"), None)
    assert standing([*two, alarm("cork", hours=30)]) == []
    assert standing([*two, alarm("cork", hours=3, product="lid")]) == []


def test_lots_that_differ_are_never_one_incident() -> None:
    alarms = [alarm(site, lots={f"L-{site}": 10}) for site in SITES]
    assert standing(alarms) == []


def test_a_lot_without_a_majority_is_no_lot() -> None:
    assert alarm("aachen", lots={"L-1": 5, "L-2": 5}).lot is None
    assert alarm("aachen", lots={"L-1": 6, "L-2": 5}).lot == "L-1"


def test_a_site_that_does_not_know_its_lots_joins_the_lot_of_its_day() -> None:
    known = [alarm("aachen", lots={"L-7": 9}), alarm("brno", hours=3, lots={"L-7": 9})]
    (found,) = standing([*known, alarm("cork", hours=5)])
    assert found.sites == ("aachen", "brno", "cork")
    (apart,) = standing([*known, alarm("cork", hours=60)])
    assert apart.sites == ("aachen", "brno")


def test_the_order_of_alarms_changes_nothing() -> None:
    alarms = [alarm(site, hours=n, lots={"L-7": 3} if n % 2 else {}) for n, site in enumerate(SITES)]
    expected = standing(alarms)
    for seed in range(5):
        mixed = alarms.copy()
        random.Random(seed).shuffle(mixed)
        assert standing(mixed) == expected


def test_it_grows_with_each_site_says_so_once_and_ends_with_the_last() -> None:
    first = [alarm(site, lots={"L-7": 9}) for site in SITES[:2]]
    known = standing(first)
    assert merged(known, first, START, SETTINGS) == ()
    third = [*first, alarm("cork", hours=9, lots={"L-7": 9})]
    (grown,) = merged(known, third, START, SETTINGS)
    assert (grown.what, grown.incident.fleet_id) == ("grown", known[0].fleet_id)
    one_left = [*(a.model_copy(update={"open": False}) for a in third[:2]), third[2]]
    assert merged([grown.incident], one_left, START, SETTINGS) == ()
    (over,) = merged([grown.incident], [a.model_copy(update={"open": False}) for a in third], START, SETTINGS)
    assert (over.what, over.incident.open) == ("closed", False)


def test_what_turns_out_to_be_one_lot_is_taken_together_under_the_older_name() -> None:
    lots = [alarm("aachen", lots={"L-7": 9}), alarm("brno", lots={"L-7": 9})]
    unknown = [alarm(site, hours=60) for site in SITES[2:]]
    older, younger = sorted(standing([*lots, *unknown]), key=lambda incident: incident.fleet_id)
    learned = [*lots, *(a.model_copy(update={"lots": {"L-7": 9}}) for a in unknown)]
    changes = merged([older, younger], learned, START, SETTINGS)
    assert [(change.what, change.incident.fleet_id) for change in changes] == [
        ("joined", younger.fleet_id),
        ("grown", older.fleet_id),
    ]
    assert changes[1].incident.sites == SITES


@pytest.mark.parametrize("kind", [Kind.PRIOR, Kind.LABELS])
def test_more_defects_of_a_lot_join_too(kind: Kind) -> None:
    assert standing([alarm(site, kind=kind, lots={"L-7": 9}) for site in SITES[:2]])


def test_incidents_that_are_all_over_open_nothing() -> None:
    assert standing([alarm(site, open=False, lots={"L-7": 9}) for site in SITES]) == []
