"""Labels looked over by a process of the trainer: when, once, over kills, and what is told of what it finds."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from contracts.errors import OrderError
from contracts.frame import OutcomeSource
from contracts.quality import OddDay, QualityReport
from monitor.label_check import ASKED, CHECKED, FAILED
from monitor.store.rule_tables import EventRow
from tests.monitor.conftest import MakePlant
from tests.monitor.web.conftest import make_pages
from tests.simulators.monitored_plant import SITE, Plant

CHECKER = """
import csv, pathlib, sys, time
folder, (labels, _, out, *good) = pathlib.Path(sys.argv[1]), sys.argv[2:]
rows = list(csv.DictReader(open(labels)))
(folder / "seen").write_text(f"{len(rows)} {rows[0]['captured_at']} {' '.join(good)}")
while not (folder / "go").exists():
    time.sleep(0.02)
if (folder / "crash").exists():
    sys.exit("no memory left")
first = (pathlib.Path(labels).parent / rows[0]["path"]).resolve()
assert first.exists()
text = (folder / "report.json").read_text().replace("FIRST", str(first))
(pathlib.Path(out) / "quality.json").write_text(text)
"""
DAY = {"day": "2026-03-04", "images": 15, "labelled": 4, "expected": 14.6}


def report(*days: dict[str, Any]) -> str:
    findings = [
        {"kind": "defects-unlabelled", "weight": "warning", "text": "few", "images": [["FIRST"]], "day": day}
        for day in days
    ]
    later = {"kind": "something-newer", "weight": "note", "text": "?", "day": DAY}
    return json.dumps({"source": "labels", "examples": 9, "classes": {}, "findings": [*findings, later]})


@pytest.fixture
def plant(make_plant: MakePlant, tmp_path: Path) -> Plant:
    """Two labels that nobody has looked over; the check waits for the file `go`."""
    script = tmp_path / "checker.py"
    script.write_text(CHECKER)
    (tmp_path / "report.json").write_text(report(DAY))
    plant = make_plant(label_check={"command": (sys.executable, str(script), str(tmp_path)), "hours": 0.0})
    label(plant, 2)
    return plant


def label(plant: Plant, count: int) -> None:
    for _ in range(count):
        plant.upload(OutcomeSource.AUDIT)
    plant.answer_queue()


def events(plant: Plant, *codes: str) -> list[EventRow]:
    with plant.works.store.read() as session:
        return list(session.scalars(select(EventRow).where(EventRow.code.in_(codes)).order_by(EventRow.id)))


def until(plant: Plant, reached: Callable[[], Any]) -> None:
    while not reached():
        plant.works.label_check.step()
        time.sleep(0.02)


def checked(plant: Plant, folder: Path, times: int = 1) -> EventRow:
    (folder / "go").touch()
    until(plant, lambda: len(events(plant, CHECKED, FAILED)) == times)
    return events(plant, CHECKED, FAILED)[-1]


def test_new_labels_are_looked_over_and_a_day_that_does_not_fit_is_told(plant: Plant, tmp_path: Path) -> None:
    found = checked(plant, tmp_path)
    (odd,) = found.parameters["days"]
    assert (found.parameters["labels"], found.parameters["odd"], odd["labelled"], odd["expected"]) == (9, 1, 4, 15)
    (told,) = events(plant, "labels.defects-unlabelled")
    assert "on 2026-03-04 4 of 15 labelled parts are called defective" in told.text
    (image,) = odd["shown"]
    assert plant.works.desk.label_check.told(SITE)["days"] == [odd]
    count, moment, *good = (tmp_path / "seen").read_text().split()
    assert (count, good) == ("2", ["--good", "good"])
    assert moment.endswith("+00:00")
    assert not list((tmp_path).rglob(f"jobs/*/images/{image}.*"))  # its copies are gone


def test_it_rests_until_new_labels_come_and_tells_the_same_day_once(plant: Plant, tmp_path: Path) -> None:
    checked(plant, tmp_path)
    for _ in range(3):
        plant.works.label_check.step()
    assert not list(tmp_path.rglob("jobs/labels-*"))
    label(plant, 1)
    (tmp_path / "report.json").write_text(report(DAY, {**DAY, "day": "2026-03-05"}))
    assert checked(plant, tmp_path, 2).parameters["odd"] == 2
    assert [event.parameters["day"] for event in events(plant, "labels.defects-unlabelled")] == [
        "2026-03-04", "2026-03-05"
    ]  # fmt: skip
    label(plant, 1)
    (tmp_path / "report.json").write_text(report())
    checked(plant, tmp_path, 3)
    assert plant.works.desk.label_check.told(SITE)["days"] == []


def test_a_check_that_outlives_the_monitor_is_found_again_and_told_once(plant: Plant, tmp_path: Path) -> None:
    plant.works.label_check.step()
    until(plant, lambda: (tmp_path / "seen").exists())
    before = plant.works
    plant.restart()
    plant.works.label_check.step()
    assert plant.works.desk.label_check.told(SITE)["under_way"]
    (tmp_path / "go").touch()
    for child in before.label_check.processes.children.values():
        child.wait()
    checked(plant, tmp_path)
    plant.works.label_check.step()
    assert len(events(plant, CHECKED, FAILED)) == 1


def test_a_check_that_dies_is_told_with_its_last_words_and_a_person_may_ask_again(plant: Plant, tmp_path: Path) -> None:
    (tmp_path / "crash").touch()
    failed = checked(plant, tmp_path)
    assert "no memory left" in failed.text
    plant.works.label_check.step()
    assert not list(tmp_path.rglob("jobs/labels-*"))  # nothing new, so it rests
    (tmp_path / "crash").unlink()
    with TestClient(make_pages(plant.works)) as client:
        answer = client.post("/v1/labels/check", json={"by": "engineer-1"})
        assert (answer.status_code, answer.json()["under_way"]) == (202, True)
        assert checked(plant, tmp_path, 2).parameters["odd"] == 1
        assert client.get("/v1/labels/check").json()["days"][0]["day"] == "2026-03-04"
        assert client.get("/v1/labels/check", params={"site": "nowhere"}).status_code == httpx.codes.NOT_FOUND
    assert [event.parameters["by"] for event in events(plant, ASKED)] == ["engineer-1"]


@pytest.mark.parametrize(
    ("program", "limit", "why"),
    [
        ("import time; time.sleep(600)", {"limit_seconds": 0.05}, "longer than"),
        (
            "import time; held = b'x' * 200_000_000; time.sleep(600)",
            {"limit_bytes": 100_000_000},
            "GB of memory, 0.10 GB are allowed",
        ),
    ],
    ids=["time", "memory"],
)
def test_one_that_takes_too_much_is_ended(
    make_plant: MakePlant, tmp_path: Path, program: str, limit: dict[str, float], why: str
) -> None:
    (tmp_path / "check.py").write_text(program)
    command = (sys.executable, str(tmp_path / "check.py"))
    plant = make_plant(label_check={"command": command, "hours": 0.0, **limit})
    label(plant, 1)
    until(plant, lambda: events(plant, FAILED))
    assert why in events(plant, FAILED)[0].text
    assert not plant.works.label_check.processes.children


def test_without_a_process_nothing_is_looked_over_and_who_asks_is_told_how(make_plant: MakePlant) -> None:
    plant = make_plant()
    label(plant, 1)
    plant.works.label_check.step()
    with pytest.raises(OrderError, match=r"label_check\.command"):
        plant.works.desk.label_check.ask(SITE, by="engineer-1")
    assert not events(plant, ASKED, CHECKED, FAILED)


def test_a_report_says_its_day_in_figures() -> None:
    found = QualityReport.model_validate_json(report(DAY)).findings[0].day
    assert isinstance(found, OddDay)
    assert (found.labelled, found.images, found.site) == (4, 15, "")
