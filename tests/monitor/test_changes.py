"""The change record: one for each activation, whole, and impossible to alter unseen."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from monitor import queries
from monitor.changes import altered
from tests.monitor.conftest import MakePlant
from tests.simulators.monitored_plant import SITE, Plant, certified_bundle


def recorded(plant: Plant) -> list[dict[str, Any]]:
    with plant.works.store.read() as session:
        found: list[dict[str, Any]] = queries.changes(session, site=SITE)["changes"]
    return found


@pytest.fixture
def plant(make_plant: MakePlant, tmp_path: Path) -> Plant:
    """Release 2 was handed in, approved by two people and taken back by a person."""
    plant = make_plant(rollout={"approvals": {SITE: "two-people"}})
    bundle = certified_bundle(tmp_path / "better", ng=0.7)
    plant.works.desk.submit(bundle.path, site=SITE, reason="better light", submitted_by="engineer")
    plant.work()
    plant.minutes(5)
    plant.works.desk.approve(2, site=SITE, by="person-1", reason="looked at 40 parts")
    plant.works.desk.approve(2, site=SITE, by="person-2")
    plant.work()
    plant.works.desk.roll_back(site=SITE, to=None, reason="scratches escape", by="lead", refuse=False)
    return plant


def test_every_activation_is_on_record_with_evidence_approval_and_way_back(plant: Plant) -> None:
    first, promotion, rollback = (row["body"] for row in recorded(plant))
    assert [body["kind"] for body in (first, promotion, rollback)] == ["first", "promotion", "rollback"]
    assert first["candidate"]["submitted_by"] == "lead"
    assert promotion["replaces"] == {"number": 1, "bundle_hash": first["bundle_hash"]}
    assert promotion["gate"]["verdict"] in ("PASS", "UNDECIDED")
    assert promotion["shadow"]["reasons"][0]["code"] == "shadow-passed"
    assert promotion["approval"]["rule"]["parameters"] == {"mode": "two-people", "given": 2}
    assert [(word["by"], word["reason"]) for word in promotion["approval"]["words"]] == [
        ("person-1", "looked at 40 parts"),
        ("person-2", ""),
    ]
    assert promotion["bundle"]["certificates"][0]["passed"] is True
    assert promotion["bundle"]["lineage"]["snapshot_hash"] == "a" * 64
    assert (rollback["release"], rollback["by"], rollback["reason"]) == (1, "lead", "scratches escape")


def test_the_chain_shows_what_was_altered_left_out_or_put_in(plant: Plant) -> None:
    rows = recorded(plant)
    assert altered(rows) is None
    changed = copy.deepcopy(rows)
    changed[1]["body"]["approval"]["words"][0]["by"] = "somebody"
    assert altered(changed) == 2
    assert altered([rows[0], rows[2]]) == 2
    assert altered(rows[1:]) == 1


def test_the_database_refuses_to_change_a_record(plant: Plant) -> None:
    with pytest.raises(IntegrityError, match="written once and stays"), plant.works.store.write() as session:
        session.execute(text("UPDATE changes SET sha256 = ''"))


def test_a_release_that_is_wrong_is_a_withdrawal(plant: Plant) -> None:
    plant.works.desk.roll_back(site=SITE, to=2, reason="it was the lamp", by="lead", refuse=False)
    plant.works.desk.roll_back(site=SITE, to=1, reason="it was not", by="lead", refuse=True)
    assert [row["body"]["kind"] for row in recorded(plant)][3:] == ["rollback", "withdrawal"]
