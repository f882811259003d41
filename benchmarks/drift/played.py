"""Pictures in the order in which they were taken, through a whole plant: files of a folder that a camera might write,
an agent and a monitor as `lineside` starts them, a Mosquitto between them, a rater who answers what is asked.

Nothing is compressed but the waiting: a file's time is its picture's, moved by whole weeks so that the last lies within
the last seven days (the monitor shows 31 days, and keeps images for 90).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

import benchmarks
from benchmarks.faults.plant import MosquittoPlant, is_up, query, wait
from lineside.plant import Plant
from runtime.bundle import Bundle

CAMERA, RATER, ENGINEER = "spindle", "rater-1", "engineer-1"
_CHECK_SECONDS = 600.0
_ROOT = Path(benchmarks.__file__).parents[1]


@dataclass(frozen=True)
class Part:
    """One part as it was photographed, and what its data set calls it. `setup`: of the camera, where it is known."""

    path: Path
    label: str
    taken_at: datetime
    setup: str = ""

    @property
    def part_id(self) -> str:
        """As the folder source reads it from the file's name."""
        return self.path.stem

    @property
    def day(self) -> date:
        """UTC."""
        return self.taken_at.date()


def moved(parts: Sequence[Part], now: datetime) -> list[Part]:
    """In the order in which they were taken, as many weeks later as leave the last of them in the past."""
    ordered = sorted(parts, key=lambda part: (part.taken_at, part.path.name))
    span = timedelta(weeks=(now - ordered[-1].taken_at) // timedelta(weeks=1))
    return [replace(part, taken_at=part.taken_at + span) for part in ordered]


def by_day(parts: Sequence[Part]) -> dict[date, list[Part]]:
    """Days in their order."""
    days: dict[date, list[Part]] = {}
    for part in parts:
        days.setdefault(part.day, []).append(part)
    return days


@dataclass
class PlayedPlant:
    """A running plant. `window`: images of one."""

    plant: Plant
    window: int
    sent: int = 0
    truth: dict[str, str] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._client = httpx.Client(base_url=self.plant.monitor_url, timeout=60.0)

    def show(self, parts: Sequence[Part]) -> None:
        """Write the files and wait until their windows are judged and every image that was asked for is answered."""
        for part in parts:
            self._write(part)
        self.sent += len(parts)
        wait(lambda: self.windows() >= self.sent // self.window, f"the windows of {parts[-1].day} are judged")

    def begin(self, parts: Sequence[Part]) -> None:
        """The first window: with it the monitor asks the agent for its audit, and no earlier image is handed over."""
        self.show(parts)
        database = self.plant.folder / "monitor" / "monitor.db"
        told = "SELECT COUNT(*) FROM orders WHERE kind = 'configure' AND state = 'done'"
        wait(lambda: query(database, told)[0][0], "the agent knows what to hand over")

    def label(self, parts: Sequence[Part]) -> None:
        """The rater answers until each of these has its label."""
        self.truth |= {part.part_id: part.label for part in parts}
        wanted = {part.part_id for part in parts}
        wait(lambda: wanted <= self._answer(), "every part has its label")

    def check_labels(self) -> list[dict[str, Any]]:
        """What the nightly look over the labels finds: asked for, since the night does not pass."""
        self.post("/v1/labels/check", by=ENGINEER)
        wait(lambda: not self.get("/v1/labels/check")["under_way"], "labels are looked over", seconds=_CHECK_SECONDS)
        days: list[dict[str, Any]] = self.get("/v1/labels/check")["days"]
        return days

    def events(self) -> list[dict[str, Any]]:
        """The timeline, oldest first."""
        found: list[dict[str, Any]] = self.get("/v1/events", limit=5000)["events"]
        return found

    def windows(self) -> int:
        """Windows that have been judged or learned."""
        agents = [agent for site in self.get("/v1/fleet")["sites"] for agent in site["agents"]]
        return sum(camera["windows"] for agent in agents for camera in agent["cameras"])

    def page(self, path: str) -> str:
        """A page of the monitor."""
        answer = self._client.get(path)
        answer.raise_for_status()
        return answer.text

    def get(self, path: str, **parameters: Any) -> Any:
        """JSON of the monitor's API."""
        answer = self._client.get(path, params=parameters)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, **body: Any) -> Any:
        """As a click or a program would."""
        answer = self._client.post(path, json=body)
        answer.raise_for_status()
        return answer.json()

    def _write(self, part: Part) -> None:
        inbox = self.plant.folder / "inbox"
        draft = inbox / f"{part.path.name}.part"  # which the folder source leaves alone
        shutil.copyfile(part.path, draft)
        os.utime(draft, (part.taken_at.timestamp(),) * 2)
        draft.rename(inbox / part.path.name)

    def _answer(self) -> set[str]:
        """Answer what is asked; all parts that were answered so far."""
        self.plant.check()
        for item in self.get("/v1/labels/queue", limit=500)["items"]:
            label = self.truth.get(item["part_id"])
            if label is not None:
                self.post("/v1/labels", image_id=item["image_id"], label=label, rater=RATER)
                self.answered.add(item["part_id"])
        return self.answered


@contextlib.contextmanager
def playing(
    folder: Path, bundle: Bundle, gold: Path, *, monitor: Mapping[str, Any], window: int
) -> Iterator[PlayedPlant]:
    """A plant that serves `bundle` and watches a folder; `monitor` are settings other than its defaults."""
    os.environ["PYTHONPATH"] = str(_ROOT)  # of the children
    plant = MosquittoPlant.make(folder / "plant", bundle.manifest.site)
    source = {"path": str(plant.folder / "inbox"), "camera": CAMERA, "product": bundle.manifest.product}
    agent = {
        "production": False,
        "window": {"images": window},
        "buffer": {"random_fraction": 1.0},
        "folders": [{**source, "scan_seconds": 0.05, "settle_seconds": 0.0}],
    }
    try:
        plant.init_registry()
        plant.start_broker()
        plant.start_monitor({"labels": {"audit_fraction": 1.0}, "orders": {"resend_seconds": 1.0}, **monitor})
        plant.start_agent(agent)
        played = PlayedPlant(plant, window)
        asked = {"bundle_folder": str(bundle.path.resolve()), "gold_csv": str(gold.resolve())}
        played.post("/v1/candidates", **asked, reason="the site's first model", submitted_by=ENGINEER)
        wait(lambda: is_up(f"{plant.agent_url}/ready"), "the agent serves release 1")
        yield played
    finally:
        plant.stop()
