"""The monitor killed in every state of a drift, a retrain, a rollout, a ticket and a withdrawal: is anything lost or
done twice?

The same story is played twice over a real monitor process: undisturbed, and killed (SIGKILL) as soon as something new
stands on its timeline. Both must end alike: every message stored once, one line for each decision, one retrain, one
candidate and one release of each kind.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.drift.outside import Outside, begun
from benchmarks.harness import Measured
from contracts.frame import OutcomeSource
from contracts.orders import Sample
from contracts.report import Figure
from tests.simulators.monitored_plant import certified_bundle, write_gold

_REPEATED = frozenset({"retrain.started", "agent.born"})  # a killed attempt is begun again; birth may be sent twice
_TABLES = ("messages", "windows", "incidents", "retrains", "candidates", "releases", "labels")


def measure(options: argparse.Namespace) -> Measured:
    """Both plays, compared; `--quick` ends with the promotion."""
    with tempfile.TemporaryDirectory(prefix="lineside-states-") as name:
        calm, _ = play(Path(name) / "calm", killing=False, whole=not options.quick)
        killed, states = play(Path(name) / "killed", killing=True, whole=not options.quick)
    return Measured(compared(calm, killed, states), {"calm": dict(calm), "killed": dict(killed), "states": states})


def compared(calm: Counter[str], killed: Counter[str], states: list[str]) -> list[Figure]:
    """What the killed story has less of than the undisturbed one, and what more."""
    lost, twice = calm - killed, killed - calm
    note = f"{calm.total()} rows and decisions of the undisturbed story"
    return [
        Figure(name="monitor_kills_in_states", value=len(states), unit="kills", note="; ".join(states)),
        Figure(name="monitor_kills_lost", value=lost.total(), unit="rows", note=f"{note}; {_told(lost)}"),
        Figure(name="monitor_kills_twice", value=twice.total(), unit="rows", note=f"{note}; {_told(twice)}"),
    ]


def _told(differing: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(differing.items())) or "none"


def play(folder: Path, *, killing: bool, whole: bool) -> tuple[Counter[str], list[str]]:
    """The story from the first release on; what is in the store at its end, and at what the monitor was killed."""
    plant, broker = begun(folder, killing=killing)
    try:
        _drift_and_retrain(plant)
        if whole:
            _dirt_and_repair(plant)
            _bad_release(plant, folder)
        plant.settle()
        return counted(plant), plant.states
    finally:
        plant.close()
        broker.stop()


def counted(plant: Outside) -> Counter[str]:
    """Rows by table, decisions by their code."""
    found: Counter[str] = Counter()
    for table in _TABLES:
        found[table] = plant.rows(f"SELECT COUNT(*) FROM {table}")[0][0]  # noqa: S608
    for code, count in plant.rows("SELECT code, COUNT(*) FROM events GROUP BY code"):
        if code not in _REPEATED:
            found[code] = count
    found["channel"] = plant.sequence_seen
    return found


def _drift_and_retrain(plant: Outside) -> None:
    _minutes(plant, 40)
    plant.good_level = 150.0
    _minutes(plant, 6)
    plant.until(lambda: sum(order.random for order in plant.orders(Sample)) >= 200, "labels are asked for")
    plant.obey_samples()
    plant.until(lambda: plant.answer_queue() == 0 and _is(plant, "candidates", 2), "the retrain's candidate is there")
    _promoted(plant, 2)


def _dirt_and_repair(plant: Outside) -> None:
    _minutes(plant, 35)
    plant.sensor_shift["cam-a"] = 3.0
    _minutes(plant, 8)
    plant.until(lambda: _open(plant), "the ticket is open")
    plant.sensor_shift.clear()
    plant.post(f"/v1/incidents/{_open(plant)}/repaired", {"by": "fitter"})
    _minutes(plant, 8)
    plant.until(lambda: not _open(plant), "the incident is closed")


def _bad_release(plant: Outside, folder: Path) -> None:
    """It follows a convention that gold set and candidate share and the line does not."""
    gold = write_gold(folder / "new-gold")
    gold.write_text(gold.read_text().replace("scratch", "good").replace("1.png,good", "1.png,scratch", 1))
    plant.post("/v1/gold", {"csv": str(gold), "reason": "scratches do not matter any more", "by": "quality"})
    deaf = certified_bundle(folder / "deaf", ng=1.0)
    asked = {"bundle_folder": str(deaf.path), "reason": "new convention", "submitted_by": "engineer"}
    plant.post("/v1/candidates", asked)
    _promoted(plant, 3)
    for _ in range(60):
        plant.upload(OutcomeSource.AUDIT)
    while plant.answer_queue():
        plant.work()
    _minutes(plant, 1)
    plant.until(lambda: plant.sequence_seen >= 6 and plant.active_bundle_number == 2, "it is withdrawn")


def _promoted(plant: Outside, number: int) -> None:
    plant.until(lambda: plant.shadow is not None, f"candidate {number} is in the shadow")
    _minutes(plant, 6)
    plant.until(lambda: plant.active_bundle_number == number, f"release {number} is served")


def _minutes(plant: Outside, count: int) -> None:
    plant.minutes(count)
    plant.settle()


def _is(plant: Outside, table: str, count: int) -> bool:
    return bool(plant.rows(f"SELECT COUNT(*) FROM {table}")[0][0] == count)  # noqa: S608


def _open(plant: Outside) -> Any:
    found = plant.rows("SELECT incident_id FROM incidents WHERE state = 'open'")
    return found[0][0] if found else None
