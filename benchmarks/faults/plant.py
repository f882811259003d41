"""A plant to be killed: the agent, the monitor and a Mosquitto as `lineside` starts them, a process each."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

import benchmarks
from contracts.errors import ConfigurationError, LinesideError
from lineside.plant import Plant
from lineside.process import Child, wait_for_port
from tests.simulators.monitored_plant import certified_bundle, write_gold

SITE = "plant"
PATIENCE_SECONDS = 120.0
_ROOT = Path(benchmarks.__file__).parents[1]
_SBIN = "/usr/sbin:/usr/local/sbin:/sbin"


class MosquittoPlant(Plant):
    """With the broker that plants run. It keeps nothing over a restart, so that nothing can lean on it."""

    def start_broker(self) -> None:
        """Raises ConfigurationError where Mosquitto is not installed."""
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path=_SBIN)
        if program is None:
            raise ConfigurationError("mosquitto is not installed: scripts/services does it where it may")
        file = self.folder / "mosquitto.conf"
        file.write_text(f"listener {self.doors.broker_port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        child = Child("broker", [program, "-c", str(file)], self.folder / "logs" / "broker.log")
        self.children["broker"] = child
        child.start()
        wait_for_port(self.doors.broker_port, child)


@contextlib.contextmanager
def running(folder: Path, agent: dict[str, Any]) -> Iterator[Plant]:
    """All three, with a first release that serves; `agent` are the settings of the agent that are not its defaults."""
    os.environ["PYTHONPATH"] = str(_ROOT)  # of the children
    bundle, gold = certified_bundle(folder / "bundle", site=SITE), write_gold(folder / "gold")
    plant = MosquittoPlant.make(folder / "plant", SITE)
    try:
        plant.init_registry()
        plant.start_broker()
        plant.start_monitor({})
        plant.start_agent({"production": False, **agent})
        asked = {"bundle_folder": str(bundle.path), "gold_csv": str(gold), "reason": "first", "submitted_by": "fault"}
        httpx.post(f"{plant.monitor_url}/v1/candidates", json=asked, timeout=30).raise_for_status()
        wait(lambda: is_up(f"{plant.agent_url}/ready"), "the agent serves release 1")
        yield plant
    finally:
        plant.stop()


def is_up(url: str) -> bool:
    """Whether it answers 2xx now."""
    try:
        return httpx.get(url, timeout=2.0).is_success
    except httpx.TransportError:
        return False


def wait(reached: Callable[[], Any], what: str, *, seconds: float = PATIENCE_SECONDS) -> float:
    """Until it is true; returns after how many seconds that was. Raises LinesideError at the limit."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        with contextlib.suppress(sqlite3.OperationalError):
            if reached():
                return time.monotonic() - began
        time.sleep(0.1)
    raise LinesideError(f"waited {seconds:.0f} s in vain until {what}")


def query(database: Path, text: str) -> list[tuple[Any, ...]]:
    """Rows of a database that another process writes."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10.0)) as connection:
        return connection.execute(text).fetchall()
