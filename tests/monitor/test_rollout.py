"""Who lets a release go on, and every way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from contracts.errors import BundleError, OrderError
from contracts.orders import Install, Replay, Rollback
from contracts.telemetry import EventKind
from monitor.releases import current_channel
from monitor.store.rollout_tables import CandidateRow, ChannelRow, OrderRow, ReleaseRow
from tests.monitor.conftest import MakePlant
from tests.simulators.monitored_plant import SITE, Plant, certified_bundle, write_gold


@pytest.fixture
def plant(make_plant: MakePlant) -> Plant:
    return make_plant()


def states(plant: Plant, table: type[Any] = ReleaseRow) -> list[str]:
    with plant.works.store.read() as session:
        return [row.state for row in session.scalars(select(table))]


def hand_in(plant: Plant, folder: Path, *, ng: float = 0.7) -> str:
    bundle = certified_bundle(folder / f"candidate-{ng}", ng=ng)
    plant.works.desk.submit(bundle.path, site=SITE, reason="better", submitted_by="engineer")
    plant.work()
    return bundle.hash


def channel(plant: Plant) -> tuple[int, int | None, int]:
    published = plant.works.registry.channel(SITE)
    assert published is not None
    return published.active.number, published.shadow.number if published.shadow else None, published.sequence


def test_person_decides_after_a_clean_shadow_by_default(make_plant: MakePlant, tmp_path: Path) -> None:
    plant = make_plant(rollout={})
    hand_in(plant, tmp_path)
    assert (states(plant, CandidateRow)[-1], channel(plant)) == ("shadowing", (1, 2, 2))
    plant.minutes(5)
    assert (states(plant, CandidateRow)[-1], channel(plant)) == ("approving", (1, 2, 2))
    plant.works.desk.approve(2, site=SITE, by="person-1")
    plant.work()
    assert (states(plant), channel(plant)) == (["superseded", "active"], (2, None, 3))


def test_two_people_are_two_people(make_plant: MakePlant, tmp_path: Path) -> None:
    plant = make_plant(rollout={"approvals": {SITE: "two-people"}})
    hand_in(plant, tmp_path)
    plant.works.desk.approve(2, site=SITE, by="person-1")
    plant.minutes(5)
    plant.works.desk.approve(2, site=SITE, by="person-1")
    plant.work()
    assert states(plant, CandidateRow)[-1] == "approving"
    plant.works.desk.approve(2, site=SITE, by="person-2")
    plant.work()
    assert states(plant, CandidateRow)[-1] == "promoted"


def test_rejected_release_never_runs_again(plant: Plant, tmp_path: Path) -> None:
    bundle_hash = hand_in(plant, tmp_path)
    plant.works.desk.reject(2, site=SITE, by="person-1", reason="not before the audit")
    plant.work()
    assert (states(plant), channel(plant)) == (["active", "refused"], (1, None, 3))
    with pytest.raises(OrderError, match=f"{bundle_hash[:12]} was refused before"):
        hand_in(plant, tmp_path / "again")
    with pytest.raises(OrderError, match="release 2 is refused"):
        plant.works.desk.approve(2, site=SITE, by="person-1")


def test_agents_are_asked_to_replay_and_to_look_at_the_channel(plant: Plant, tmp_path: Path) -> None:
    bundle_hash = hand_in(plant, tmp_path)
    [replay] = plant.orders(Replay)
    assert replay.bundle_hash == bundle_hash
    assert [order.channel_sequence for order in plant.orders(Install)] == [1, 2]


def test_second_candidate_waits_for_its_turn_in_the_shadow(plant: Plant, tmp_path: Path) -> None:
    hand_in(plant, tmp_path)
    hand_in(plant, tmp_path, ng=0.8)
    assert states(plant, CandidateRow) == ["promoted", "shadowing", "queued"]
    while states(plant, CandidateRow)[1] == "shadowing":
        plant.minute()
    while states(plant, CandidateRow)[2] in ("queued", "submitted"):
        plant.work()
    assert states(plant, CandidateRow) == ["promoted", "promoted", "shadowing"]
    assert channel(plant)[:2] == (2, 3)


def test_candidate_that_an_agent_refuses_is_refused_for_the_site(plant: Plant, tmp_path: Path) -> None:
    bundle_hash = hand_in(plant, tmp_path)
    plant.event(EventKind.BUNDLE_REFUSED, bundle_hash=bundle_hash, reason="golden sample 1 differs by 0.4")
    plant.work()
    assert channel(plant) == (1, None, 3)
    with plant.works.store.read() as session:
        closing = session.scalars(select(CandidateRow.closing).where(CandidateRow.bundle_hash == bundle_hash)).one()
    assert "golden sample 1 differs" in (closing or "")


def test_active_release_that_the_agent_cannot_run_goes_back(plant: Plant, tmp_path: Path) -> None:
    bundle_hash = hand_in(plant, tmp_path)
    plant.minutes(7)
    assert channel(plant) == (2, None, 3)
    plant.event(EventKind.BUNDLE_REFUSED, bundle_hash=bundle_hash, reason="it could not answer 5 images in a row")
    plant.event(EventKind.BUNDLE_ROLLED_BACK, bundle_hash=bundle_hash, reason="it could not answer")
    plant.work()
    assert (states(plant), channel(plant)) == (["active", "withdrawn"], (1, None, 4))
    assert len(plant.orders(Rollback)) == 1


def test_person_goes_back_and_forth_under_ever_higher_sequences(plant: Plant, tmp_path: Path) -> None:
    hand_in(plant, tmp_path)
    plant.minutes(7)
    desk = plant.works.desk
    desk.roll_back(site=SITE, to=None, reason="line 3 complains", by="person-1", refuse=False)
    plant.work()
    assert (states(plant), channel(plant)) == (["active", "withdrawn"], (1, None, 4))
    desk.roll_back(site=SITE, to=2, reason="it was the lamp", by="person-1", refuse=False)
    plant.work()
    assert (states(plant), channel(plant)) == (["superseded", "active"], (2, None, 5))
    desk.roll_back(site=SITE, to=1, reason="it was not the lamp", by="person-1", refuse=True)
    with pytest.raises(OrderError, match="refused"):
        desk.roll_back(site=SITE, to=2, reason="please", by="person-1", refuse=False)
    with pytest.raises(OrderError, match="served already"):
        desk.roll_back(site=SITE, to=1, reason="please", by="person-1", refuse=False)
    with pytest.raises(KeyError):
        desk.roll_back(site=SITE, to=9, reason="please", by="person-1", refuse=False)


def test_weak_first_release_is_refused_and_the_site_stays_without(tmp_path: Path) -> None:
    plant = Plant.make(tmp_path / "plant")
    bundle = certified_bundle(tmp_path / "constant", ng=1.0)
    gold = write_gold(tmp_path / "gold")
    plant.works.desk.submit(bundle.path, site=SITE, reason="first", submitted_by="lead", gold_csv=gold)
    plant.work()
    with plant.works.store.read() as session:
        assert "balanced accuracy 0.5 on the gold set" in str(session.scalars(select(CandidateRow.closing)).one())
        assert current_channel(session, SITE) is None
    second = certified_bundle(tmp_path / "second")
    plant.works.desk.submit(second.path, site=SITE, reason="first", submitted_by="lead")
    plant.work()
    assert states(plant, CandidateRow) == ["refused", "promoted"]
    plant.close()


def test_bundle_whose_certificate_says_nothing_about_a_side_is_refused(plant: Plant, tmp_path: Path) -> None:
    silent = {"examples": 10, "accuracy": None, "balanced_accuracy": None, "auroc": None, "best_constant": None}
    metrics = {**silent, "recall_good": None, "recall_defect": None}
    bundle = certified_bundle(tmp_path / "silent", ng=0.7, test_metrics=metrics)
    plant.works.desk.submit(bundle.path, site=SITE, reason="new", submitted_by="engineer")
    plant.work()
    with plant.works.store.read() as session:
        closing = session.scalars(select(CandidateRow.closing).where(CandidateRow.bundle_hash == bundle.hash)).one()
    assert "train with a test split" in str(closing)


def test_bundle_of_another_site_or_with_a_changed_file_is_not_taken(plant: Plant, tmp_path: Path) -> None:
    foreign = certified_bundle(tmp_path / "foreign", site="poly")
    with pytest.raises(BundleError, match="made for site 'poly'"):
        plant.works.desk.submit(foreign.path, site=SITE, reason="x", submitted_by="me")
    changed = certified_bundle(tmp_path / "changed", ng=0.8)
    (changed.path / "model.onnx").write_bytes(b"something else")
    with pytest.raises(BundleError, match=r"model\.onnx differs"):
        plant.works.desk.submit(changed.path, site=SITE, reason="x", submitted_by="me")


def test_registry_that_is_ahead_of_a_restored_store_is_overtaken(plant: Plant, tmp_path: Path) -> None:
    hand_in(plant, tmp_path)
    with plant.works.store.write() as session:  # as if the store came from a copy that knew sequence 1 only
        session.delete(session.get_one(ChannelRow, (SITE, 2)))
    plant.works.desk.reject(2, site=SITE, by="person-1", reason="after the restore")
    plant.work()
    assert channel(plant) == (1, None, 3)


def test_kill_between_decision_and_publishing_only_delays_it(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(type(plant.works.publishing), "_note_published", dies)
        with pytest.raises(Killed):
            hand_in(plant, tmp_path)
    plant.restart()
    plant.work()
    assert channel(plant) == (1, 2, 2)
    with plant.works.store.read() as session:
        assert session.scalars(select(ChannelRow.sequence).where(ChannelRow.published_at.is_(None))).all() == []
        installs = session.scalars(select(OrderRow).where(OrderRow.kind == "install", OrderRow.state == "open")).all()
    assert len(installs) == 1
