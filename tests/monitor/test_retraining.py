"""Retrains as processes: killed, crashed, slow, stopped with the monitor, found again after its death."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from contracts.errors import OrderError
from contracts.orders import Retrain
from monitor.store.rollout_tables import CandidateRow, RetrainRow
from monitor.store.rule_tables import EventRow
from monitor.works import Works
from runtime.bundle import Bundle
from tests.monitor.conftest import MakePlant
from tests.simulators.monitored_plant import PRODUCT, SITE, Plant

TRAINER = """
import argparse, pathlib, shutil, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--folder", type=pathlib.Path); parser.add_argument("--order"); parser.add_argument("--out")
arguments = parser.parse_args()
print("epoch 1 of 2", flush=True)
with (arguments.folder / "starts").open("a") as file:  # last: then the line is there
    file.write("start\\n")
while not (arguments.folder / "go").exists():
    time.sleep(0.02)
if (arguments.folder / "crash").exists():
    sys.exit("out of memory")
shutil.copytree(arguments.folder / "better", arguments.out + "/draft")
(pathlib.Path(arguments.out) / "draft").rename(arguments.out + "/bundle")
print("epoch 2 of 2", flush=True)
"""


@pytest.fixture
def plant(make_plant: MakePlant, better_bundle: Bundle, tmp_path: Path) -> Iterator[Plant]:
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER)
    shutil.copytree(better_bundle.path, tmp_path / "better")
    command = (sys.executable, str(script), "--folder", str(tmp_path))
    plant = make_plant(retraining={"command": command, "retries": 0})
    assert plant.active_bundle is not None
    order_retrain(plant.works, plant.active_bundle.hash)
    yield plant
    (tmp_path / "go").touch()


def order_retrain(works: Works, parent: str) -> None:
    now = datetime.now(UTC)
    order = Retrain(
        order_id="retrain-1",
        issued_at=now,
        expires_at=now + timedelta(days=1),
        reason="test",
        site=SITE,
        product=PRODUCT,
        parent_bundle=parent,
        base_snapshot="a" * 64,
        labels_manifest="",
    )
    with works.store.write() as session:
        session.add(
            RetrainRow(
                order_id=order.order_id,
                site=SITE,
                product=PRODUCT,
                parent_bundle=parent,
                body=order.model_dump(mode="json"),
                state="queued",
                attempts=0,
                requested_at=now,
                labels=0,
            )
        )


def retrain(plant: Plant) -> RetrainRow:
    with plant.works.store.read() as session:
        return session.scalars(select(RetrainRow)).one()


def until(condition: Callable[[], bool], step: Callable[[], object]) -> None:
    while not condition():
        step()
        time.sleep(0.02)


def starts(folder: Path) -> int:
    file = folder / "starts"
    return len(file.read_text().splitlines()) if file.exists() else 0


def begin(plant: Plant, folder: Path) -> int:
    """Start it and wait until its process is at work; returns the pid."""
    plant.works.retraining.step()
    until(lambda: starts(folder) == retrain(plant).attempts, lambda: None)
    process = retrain(plant).process
    assert process is not None
    return int(process["pid"])


def test_its_lines_are_recorded_and_its_bundle_is_handed_in(plant: Plant, tmp_path: Path) -> None:
    begin(plant, tmp_path)
    until(lambda: retrain(plant).progress == "epoch 1 of 2", plant.works.retraining.step)
    (tmp_path / "go").touch()
    until(lambda: retrain(plant).state == "done", plant.works.retraining.step)
    with plant.works.store.read() as session:
        candidate = session.scalars(select(CandidateRow).where(CandidateRow.origin == "retrain")).one()
    assert (candidate.order_id, candidate.bundle_hash) == ("retrain-1", retrain(plant).result)


def test_process_that_is_killed_is_a_recorded_failure(plant: Plant, tmp_path: Path) -> None:
    os.kill(begin(plant, tmp_path), signal.SIGKILL)
    until(lambda: retrain(plant).state == "failed", plant.works.retraining.step)
    assert "last words: epoch 1 of 2" in (retrain(plant).result or "")
    assert starts(tmp_path) == 1


def test_process_that_crashes_is_a_recorded_failure_with_its_last_words(plant: Plant, tmp_path: Path) -> None:
    (tmp_path / "crash").touch()
    (tmp_path / "go").touch()
    begin(plant, tmp_path)
    until(lambda: retrain(plant).state == "failed", plant.works.retraining.step)
    assert "out of memory" in (retrain(plant).result or "")


def test_monitor_that_comes_back_finds_the_process_still_at_work(plant: Plant, tmp_path: Path) -> None:
    begin(plant, tmp_path)
    plant.restart()
    plant.works.retraining.step()
    assert (retrain(plant).state, retrain(plant).attempts, starts(tmp_path)) == ("running", 1, 1)
    (tmp_path / "go").touch()
    until(lambda: retrain(plant).state == "done", plant.works.retraining.step)
    assert starts(tmp_path) == 1


def test_monitor_that_comes_back_after_the_process_died_starts_it_again_once(plant: Plant, tmp_path: Path) -> None:
    os.kill(begin(plant, tmp_path), signal.SIGKILL)
    plant.restart()
    until(lambda: retrain(plant).attempts == 2, plant.works.retraining.step)
    os.kill(begin(plant, tmp_path), signal.SIGKILL)
    plant.restart()
    until(lambda: retrain(plant).state == "failed", plant.works.retraining.step)
    assert starts(tmp_path) == 2


def test_clean_stop_ends_the_process_and_does_not_count_as_an_attempt(plant: Plant, tmp_path: Path) -> None:
    pid = begin(plant, tmp_path)
    plant.works.retraining.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert (retrain(plant).state, retrain(plant).attempts) == ("queued", 0)


def test_process_that_was_started_but_never_recorded_is_ended_before_the_next(plant: Plant, tmp_path: Path) -> None:
    pid = begin(plant, tmp_path)
    with plant.works.store.write() as session:  # as if the monitor had been killed before its commit
        row = session.get_one(RetrainRow, "retrain-1")
        row.state, row.attempts, row.process = "queued", 0, None
    plant.restart()
    plant.works.retraining.step()
    for works in plant.ended:
        for child in works.retraining._trainer.processes.children.values():
            assert child.wait() == -signal.SIGKILL
            assert child.pid == pid
    assert retrain(plant).state == "running"


def test_process_that_takes_too_long_is_ended(plant: Plant, tmp_path: Path) -> None:
    pid = begin(plant, tmp_path)
    with plant.works.store.write() as session:
        row = session.get_one(RetrainRow, "retrain-1")
        row.started_at = datetime.now(UTC) - timedelta(days=2)
    plant.works.retraining.step()
    assert "longer than" in (retrain(plant).result or "")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_command_that_cannot_be_started_is_a_recorded_failure(tmp_path: Path) -> None:
    for command, words in (((), "no retrain command is set"), (("/nowhere/trainer",), "cannot be started")):
        plant = Plant.make(tmp_path / f"plant-{len(command)}", retraining={"command": command, "retries": 0})
        order_retrain(plant.works, "a" * 64)
        plant.works.retraining.step()
        assert words in (retrain(plant).result or "")
        plant.close()


def with_settings(plant: Plant, **changes: object) -> None:
    """The monitor comes back with other settings for retrains."""
    retraining = plant.settings.retraining.model_copy(update=changes)
    plant.settings = plant.settings.model_copy(update={"retraining": retraining})
    plant.restart()


def test_a_retrain_that_crashes_is_tried_again_after_twice_the_wait_each_time(plant: Plant, tmp_path: Path) -> None:
    with_settings(plant, retries=2, retry_seconds=60.0)
    (tmp_path / "crash").touch()
    (tmp_path / "go").touch()
    for attempt, seconds in ((1, 60), (2, 120)):
        begin(plant, tmp_path)
        until(lambda: retrain(plant).state == "queued", plant.works.retraining.step)
        row = retrain(plant)
        assert row.retry_at is not None
        assert seconds - 30 < (row.retry_at - datetime.now(UTC)).total_seconds() <= seconds
        plant.works.retraining.step()
        assert (retrain(plant).state, starts(tmp_path)) == ("queued", attempt)
        with plant.works.store.write() as session:
            session.get_one(RetrainRow, "retrain-1").retry_at = datetime.now(UTC)
    begin(plant, tmp_path)
    until(lambda: retrain(plant).state == "failed", plant.works.retraining.step)
    with plant.works.store.read() as session:
        codes = session.scalars(
            select(EventRow.code).where(EventRow.code.like("retrain.%")).order_by(EventRow.id)
        ).all()
    assert codes.count("retrain.again") == 2
    assert codes[-1] == "retrain.failed"


def test_a_retrain_that_holds_too_much_memory_is_ended_and_not_tried_again(plant: Plant, tmp_path: Path) -> None:
    with_settings(plant, retries=2, limit_bytes=1_000_000)
    pid = begin(plant, tmp_path)
    until(lambda: retrain(plant).state == "failed", plant.works.retraining.step)
    assert "of memory, 0.00 GB are allowed" in (retrain(plant).result or "")
    assert (retrain(plant).peak_bytes or 0) > 1_000_000
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_person_cancels_a_retrain_and_its_process_ends(plant: Plant, tmp_path: Path) -> None:
    pid = begin(plant, tmp_path)
    plant.works.desk.retrains.cancel("retrain-1", by="engineer-2", reason="wrong labels")
    plant.works.retraining.step()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    (tmp_path / "go").touch()
    plant.restart()
    plant.works.retraining.step()
    assert (retrain(plant).state, retrain(plant).result) == ("cancelled", "cancelled by engineer-2: wrong labels")
    with pytest.raises(OrderError, match="is cancelled already"):
        plant.works.desk.retrains.cancel("retrain-1", by="engineer-2", reason="")


def test_a_person_asks_for_a_retrain_and_is_told_why_not(plant: Plant) -> None:
    with pytest.raises(
        OrderError, match="engineer-2 wants a retrain: new lamp; not now: a retrain of this model is run"
    ):
        plant.works.desk.retrains.ask(site=SITE, by="engineer-2", reason="new lamp")
    plant.works.desk.retrains.cancel("retrain-1", by="engineer-2", reason="")
    order_id = plant.works.desk.retrains.ask(site=SITE, by="engineer-2", reason="new lamp")["order_id"]
    with plant.works.store.read() as session:
        row = session.get_one(RetrainRow, order_id)
        told = session.scalars(select(EventRow.text).where(EventRow.kind == "retrain")).all()
    assert (row.state, row.incident_id) == ("queued", None)
    assert [text[:32] for text in told if "engineer-2 wants" in text] == ["engineer-2 wants a retrain: new "] * 2
