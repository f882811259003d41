"""The service as a process: it starts, answers, ends in order, and comes back after kill -9 as if nothing had been."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from contracts.errors import ConfigurationError
from contracts.telemetry import Envelope
from monitor.registry import Registry
from monitor.service import Monitor
from monitor.settings import MonitorSettings
from monitor.store import Store
from monitor.store.rule_tables import CameraRow, EventRow
from monitor.store.telemetry_tables import BootRow, MessageRow, WindowRow
from tests.monitor.conftest import MakePlant
from tests.simulators.monitored_plant import AGENT, SITE, Plant
from tests.simulators.mosquitto import Mosquitto
from tests.simulators.outbox import Outbox, until

ROOT = Path(__file__).parents[2]


class Service:
    """A monitor process over a plant's folder."""

    def __init__(self, folder: Path, settings: MonitorSettings) -> None:
        self.file = folder / "settings.json"
        self.file.write_text(settings.model_dump_json())
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Returns its address once it answers."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.simulators.monitor_program", str(self.file)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, number: int) -> int:
        """Send a signal; returns the exit status."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(number)
        self.process.stdout.close()
        return self.process.wait()


@pytest.fixture
def plant(make_plant: MakePlant, mosquitto: Mosquitto) -> Plant:
    """A plant with a first release whose monitor does not run."""
    plant = make_plant(broker={"port": mosquitto.port}, web={"port": 0}, orders={"resend_seconds": 0.2})
    plant.works.close()
    return plant


def messages_of(plant: Plant, count: int) -> dict[int, str]:
    """A birth and `count` windows, as the agent's outbox holds them."""
    kept: dict[int, str] = {}

    def keep(body: object) -> None:
        plant.sequence += 1
        envelope = Envelope(agent=AGENT, boot="b", sequence=plant.sequence, sent_at=plant.now, body=body)
        kept[plant.sequence] = envelope.model_dump_json()

    plant.send = keep  # type: ignore[method-assign]
    plant.work = lambda: None  # type: ignore[method-assign]
    plant.sequence, plant.now = 0, plant.now + timedelta(minutes=1)
    plant.birth()
    plant.minutes(count)
    return kept


def test_killed_again_and_again_it_judges_every_window_once(plant: Plant, tmp_path: Path, mosquitto: Mosquitto) -> None:
    kept = messages_of(plant, 60)
    service = Service(tmp_path, plant.settings)
    agent = Outbox(mosquitto.port, kept.__getitem__, site=SITE)
    chance = random.Random(5)
    for _ in range(4):
        service.start()
        agent.produced = min(len(kept), agent.produced + 30)
        before = agent.acknowledged
        until(lambda before=before: agent.acknowledged > before, step=agent.send)  # type: ignore[misc]
        end = time.monotonic() + 0.2 * chance.random()
        until(lambda end=end: time.monotonic() >= end, step=agent.send)  # type: ignore[misc]
        assert service.end(signal.SIGKILL) == -signal.SIGKILL
    url = service.start()
    agent.produced = len(kept)
    until(lambda: agent.acknowledged == len(kept), step=agent.send)
    until(lambda: cameras(url) == [60, 60])
    until(lambda: any('"kind":"configure"' in order for order in agent.orders))
    agent.close()
    assert service.end(signal.SIGTERM) == 0

    store = Store(plant.settings.state_folder / "monitor.db")
    with store.read() as session:
        boot = session.scalars(select(BootRow).where(BootRow.boot == "b")).one()
        assert (boot.contiguous, boot.processed) == (len(kept), len(kept))
        assert session.scalar(select(func.count()).where(MessageRow.boot == "b")) == len(kept)
        assert session.scalar(select(func.count()).select_from(WindowRow)) == 120
        assert {row.state for row in session.scalars(select(CameraRow))} == {"OK"}
        codes = session.scalars(select(EventRow.code)).all()
        assert codes.count("commissioned") == 2
        assert codes.count("agent.born") == 2
        assert codes.count("channel.published") == 1
    store.close()


def cameras(url: str) -> list[int]:
    fleet = httpx.get(f"{url}/v1/fleet").json()
    return [camera["windows"] for site in fleet["sites"] for agent in site["agents"] for camera in agent["cameras"]]


def test_ready_says_what_is_missing(plant: Plant, tmp_path: Path, mosquitto: Mosquitto) -> None:
    service = Service(tmp_path, plant.settings)
    url = service.start()
    until(lambda: httpx.get(f"{url}/ready").status_code == 200)
    mosquitto.kill()
    until(lambda: httpx.get(f"{url}/ready").status_code == 503)
    assert "the broker" in httpx.get(f"{url}/ready").json()["trouble"][0]
    assert httpx.get(f"{url}/live").status_code == 200
    assert httpx.get(f"{url}/").status_code == 200
    assert service.end(signal.SIGINT) == 0


def test_monitor_without_a_registry_or_a_key_says_how_to_get_one(tmp_path: Path) -> None:
    settings = MonitorSettings(state_folder=tmp_path / "monitor", sites=("mono", "poly"))
    with pytest.raises(ConfigurationError, match="registry"):
        Monitor(settings)
    Registry.init(settings.registry, ["mono"])
    with pytest.raises(ConfigurationError, match="no key for site poly"):
        Monitor(settings)


def test_thread_that_fails_ends_the_service_with_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = MonitorSettings(state_folder=tmp_path / "monitor", sites=("mono",), web={"port": 0})
    Registry.init(settings.registry, ["mono"])
    monitor = Monitor(settings)

    def breaks() -> int:
        raise RuntimeError("a bug")

    monkeypatch.setattr(monitor._works.loop, "step", breaks)
    with pytest.raises(RuntimeError, match="a bug"):
        monitor.run()
    Store(settings.state_folder / "monitor.db").close()
