"""Kill -9 of agent, monitor and broker in turn, in a plant of real processes: nothing lost, nothing twice."""

from __future__ import annotations

import csv
import io
import sqlite3
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from lineside.plant import AGENT, Plant
from lineside.stream.control import LineControl, write_control
from lineside.stream.pictures import PictureConditions
from lineside.stream.source import StreamSettings
from runtime.bundle import Bundle
from tests.simulators.monitored_plant import certified_bundle, write_gold

pytestmark = pytest.mark.alone
SITE = "plant"
WINDOW_IMAGES = 20
PATIENCE_SECONDS = 90


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return certified_bundle(tmp_path / "bundle", site=SITE)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Home parts, half of them scratched: what the line deals, and the gold set."""
    return write_gold(tmp_path / "gold")


@pytest.fixture
def plant(tmp_path: Path, bundle: Bundle, pool: Path) -> Iterator[Plant]:
    """All services, release 1 active, the line paused."""
    plant = Plant.make(tmp_path / "plant", SITE)
    _steer(plant, paused=True)
    try:
        plant.init_registry()
        plant.start_broker()
        plant.start_monitor({})
        stream = StreamSettings(
            control=plant.folder / "control.json", truth=plant.folder / "truth.jsonl", pools={"home": pool}
        )
        plant.start_agent({"production": False, "window": {"images": WINDOW_IMAGES}}, stream)
        asked = {"bundle_folder": str(bundle.path), "gold_csv": str(pool), "reason": "first", "submitted_by": "test"}
        httpx.post(f"{plant.monitor_url}/v1/candidates", json=asked, timeout=30).raise_for_status()
        _wait(lambda: httpx.get(f"{plant.agent_url}/ready").is_success, "the agent serves release 1")
        yield plant
    finally:
        plant.stop()


def test_kill_of_agent_monitor_and_broker_in_turn_loses_and_doubles_nothing(plant: Plant) -> None:
    _steer(plant, parts_per_second=100.0)
    for _ in range(2):
        for name in ("agent", "monitor", "broker"):
            _wait_for_windows(plant, f"before the kill of the {name}")
            plant.children[name].kill()
            time.sleep(0.3)
            plant.restart(name)
    _wait_for_windows(plant, "after the last kill")
    _steer(plant, paused=True)
    _wait(lambda: _outbox(plant) == 0, "everything is acknowledged")
    windows, verdicts = _windows(plant), _verdicts(plant)
    assert len(windows) > 20
    for camera in {row["camera"] for row in verdicts}:
        seen = [int(row["sequence"]) for row in verdicts if row["camera"] == camera]
        assert len(seen) == len(set(seen)), "a verdict was recorded twice"
        mine = sorted((first, last, images) for where, first, last, images in windows if where == camera)
        assert all(one[1] < other[0] for one, other in pairwise(mine)), "windows overlap"
        reported = sum(images for _, _, images in mine)
        assert reported == sum(sequence <= mine[-1][1] for sequence in seen), "windows and record differ"
    assert _gaps(plant) == []


def _steer(plant: Plant, *, paused: bool = False, parts_per_second: float = 0.0) -> None:
    plant.folder.mkdir(parents=True, exist_ok=True)
    pictures = PictureConditions(pool="home")
    control = LineControl(paused=paused, parts_per_second=parts_per_second, pictures=pictures)
    write_control(plant.folder / "control.json", control)


def _wait(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            if happened():
                return
        except (httpx.TransportError, sqlite3.OperationalError):
            pass
        time.sleep(0.2)
    pytest.fail(f"waited {PATIENCE_SECONDS} s in vain until {what}")


def _wait_for_windows(plant: Plant, when: str) -> None:
    before = len(_windows(plant))
    _wait(lambda: len(_windows(plant)) > before, f"windows arrive {when}")


def _query(database: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def _windows(plant: Plant) -> list[tuple[str, int, int, int]]:
    rows = _query(
        plant.folder / "monitor" / "monitor.db", "SELECT camera, first_frame, last_frame, images FROM windows"
    )
    return [(str(row[0]), int(str(row[1])), int(str(row[2])), int(str(row[3]))) for row in rows]


def _outbox(plant: Plant) -> int:
    return int(str(_query(plant.folder / "agent" / "agent.sqlite", "SELECT count(*) FROM outbox")[0][0]))


def _gaps(plant: Plant) -> list[tuple[object, ...]]:
    """Boots of which the monitor lacks a message: contiguous below the highest sequence that it has."""
    query = f"""SELECT b.boot, b.contiguous, max(m.sequence) FROM boots b JOIN messages m
        ON m.site = b.site AND m.agent = b.agent AND m.boot = b.boot
        WHERE b.agent = '{AGENT}' GROUP BY b.boot HAVING max(m.sequence) > b.contiguous"""  # noqa: S608
    return _query(plant.folder / "monitor" / "monitor.db", query)


def _verdicts(plant: Plant) -> list[dict[str, str]]:
    text = httpx.get(f"{plant.agent_url}/v1/verdicts.csv", timeout=60).text
    return list(csv.DictReader(io.StringIO(text)))
