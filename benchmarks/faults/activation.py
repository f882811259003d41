"""An agent that is killed at every file-system call of an activation: does it always start with a valid model?

Download, staging, trial, switch, confirmation and the clean-up run in one program (`activating`), which strace kills on
entry to one call: each that can change a file below the agent's folder, the database's and the update client's
included. (A call that only reads leaves the disk as the next one finds it.) Then an agent starts on what is there: it
must serve the old bundle or the new one, complete, answer an image, install the new one and report that exactly once.
The slots alone are killed at every call in every test run: `tests/edge_agent/test_slots.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults import activating
from benchmarks.faults.ledger import Ledger, Outcome, count, provenance, told
from benchmarks.faults.plant import SITE
from benchmarks.harness import Measured
from contracts.errors import BundleError, ConfigurationError
from contracts.frame import Decision, Frame
from contracts.report import Figure
from contracts.telemetry import Event, EventKind
from edge_agent.core import Core, build_core
from edge_agent.settings import AgentSettings, MonitorSettings
from edge_agent.source import Capture
from monitor.registry import Registry
from runtime.bundle import Bundle, open_bundle
from tests.simulators import killed
from tests.simulators.file_server import FileServer
from tests.simulators.monitored_plant import certified_bundle
from tests.simulators.site import release
from tests.simulators.small_bundle import picture

_MODULES = ("benchmarks.faults.activation", "edge_agent.core", "edge_agent.links")
_PROGRAM = Path(activating.__file__)
_AT_ONCE = 2
_OPENS = ("O_CREAT", "O_TRUNC")


@dataclass(frozen=True)
class Scene:
    """`before`: the agent's folder with the old bundle active, while the channel names the new one. `calls`: all of an
    activation that was not killed; `points`: which of them change something."""

    folder: Path
    server: FileServer
    old: Bundle
    new: Bundle
    calls: list[str]
    points: list[int]

    @property
    def before(self) -> Path:
        """The agent's folder before the activation."""
        return self.folder / "before"

    def settings(self, state: Path) -> AgentSettings:
        """Of an agent that keeps its state there."""
        followed = MonitorSettings(url=self.server.url, root_file=self.folder / "root.json")
        return AgentSettings(site=SITE, agent="agent-1", state_folder=state, production=False, monitor=followed)


def measure(options: argparse.Namespace) -> Measured:
    """Every point; every tenth where `--quick`."""
    ledger = Ledger.of(options, "activation", *_MODULES)
    outcomes = ledger.kept() if options.recall else _played(options, ledger)
    kinds = Counter(outcome.trial.partition("-")[2] for outcome in outcomes)
    details = {**provenance(outcomes), "calls": dict(kinds), "failures": _failures(outcomes)}
    return Measured(_figures(outcomes) if outcomes else [], details)


def _played(options: argparse.Namespace, ledger: Ledger) -> list[Outcome]:
    if not killed.AVAILABLE:
        raise ConfigurationError("strace is missing or may not trace here: scripts/services installs it where it may")
    with tempfile.TemporaryDirectory(prefix="lineside-activation-") as name, scene(Path(name)) as found:
        points = found.points[::10] if options.quick else found.points
        points = points[: count(options, all_of_them=len(points), quick=len(points))]
        trials = [f"{number}-{killed.name_of(found.calls[number])}" for number in points]
        return ledger.play(trials, partial(play, found), at_once=_AT_ONCE)


@contextlib.contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """Release 1 installed, release 2 published, one activation traced."""
    registry = Registry.init(folder / "registry", [SITE])
    (folder / "root.json").write_bytes(registry.trusted_root())
    (folder / "served").mkdir()
    (folder / "served" / "registry").symlink_to(folder / "registry" / "repository")
    old, new = (certified_bundle(folder / name, site=SITE, ng=ng) for name, ng in (("old", 0.6), ("new", 0.7)))
    with FileServer(folder / "served").running() as server:
        begun = Scene(folder, server, old, new, [], [])
        _publish(registry, old, 1)
        activating.activate(begun.settings(begun.before)).store.close()
        _publish(registry, new, 2)
        shutil.copytree(begun.before, folder / "whole")
        calls = killed.traced_alone(_PROGRAM, _written(begun, folder / "whole"), log=folder / "log")
        points = [number for number, call in enumerate(calls) if _changes(call, folder / "whole")]
        yield Scene(folder, server, old, new, calls, points)


def _publish(registry: Registry, bundle: Bundle, number: int) -> None:
    registry.publish_bundle(SITE, bundle.path)
    registry.publish_channel(release(SITE, number, bundle.hash))


def _written(scene: Scene, state: Path) -> Path:
    """The settings as the program reads them."""
    file = state.with_name(f"{state.name}.json")
    file.write_text(scene.settings(state).model_dump_json(), encoding="utf-8")
    return file


def _changes(call: str, state: Path) -> bool:
    opens = killed.name_of(call) == "openat"
    return str(state) in call and (not opens or any(flag in call for flag in _OPENS))


def play(scene: Scene, trial: str) -> dict[str, Any]:
    """Killed at one call, then started again."""
    number = int(trial.partition("-")[0])
    state = scene.folder / f"killed-{number}"
    shutil.copytree(scene.before, state)
    killed.run_killed_at(number, scene.calls, _PROGRAM, _written(scene, state), alone=True)
    call = scene.calls[number].replace(str(scene.folder), "")[:200]
    found = {"call": call, "of": len(scene.points), "problem": _problem(scene, state)}
    shutil.rmtree(state)
    return found


def _problem(scene: Scene, state: Path) -> str | None:
    """What is wrong with what the kill left, or None."""
    try:
        core = build_core(scene.settings(state))
    except ConfigurationError as error:
        return str(error)
    try:
        core.bundles.start()
        return _wrong_start(scene, core) or _wrong_end(scene, state, core)
    except BundleError as error:
        return str(error)
    finally:
        core.store.close()


def _wrong_start(scene: Scene, core: Core) -> str | None:
    active = core.station.active
    if active is None:
        return "no bundle serves"
    if active.bundle.hash not in (scene.old.hash, scene.new.hash):
        return f"bundle {active.bundle.hash[:12]} serves"
    open_bundle(active.bundle.path, expected_hash=active.bundle.hash)
    frame = Frame(part_id="part", sequence=0, camera="camera-1", triggered_at=datetime.now(UTC))
    verdict = active.inspect(Capture(frame, picture(90))).verdict
    return None if verdict.decision is Decision.OK else f"it answers {verdict.decision}: {verdict.reason}"


def _wrong_end(scene: Scene, state: Path, core: Core) -> str | None:
    core.bundles.stop()
    core.store.close()
    core = activating.activate(scene.settings(state))
    try:
        slots, waiting = core.bundles.slots, core.outbox.waiting(after=0, limit=1000)
        events = [message.envelope.body for message in waiting if isinstance(message.envelope.body, Event)]
        told = [event.bundle_hash for event in events if event.event is EventKind.BUNDLE_ACTIVATED]
        before = slots.previous()
        if core.bundles.serving != scene.new.hash or before is None or before.name != scene.old.hash:
            return f"after another try {core.bundles.serving} serves, before it {before}; refused: {slots.refused()}"
        return None if told == [scene.old.hash, scene.new.hash] else f"activations reported: {told}"
    finally:
        core.store.close()


def _failures(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [outcome.found for outcome in outcomes if outcome.found["problem"] is not None]


def _figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    failures, whole = len(_failures(outcomes)), max((outcome.found["of"] for outcome in outcomes), default=0)
    return [
        Figure(
            name="activation_calls",
            value=len(outcomes) / whole if whole else None,
            note=f"share of an activation's {whole} calls that change a file, at which the agent was killed",
        ),
        Figure(name="activation_invalid_starts", value=failures, note=f"kills: {told(failures, len(outcomes))}"),
    ]
