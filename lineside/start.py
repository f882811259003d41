"""`lineside start FOLDER`: from a user's own pictures to verdicts on new ones, on one machine.

What it makes lies in `FOLDER/.lineside`; started again with the same pictures, it goes on where it was.
"""

from __future__ import annotations

import contextlib
import sys
import time
import webbrowser
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape

from contracts.bundle import MANIFEST_NAME
from contracts.errors import ConfigurationError, DatasetError, LinesideError
from lineside.models import chosen_base
from lineside.plant import Plant
from lineside.progress import shown_progress
from lineside.training import export_model, print_bundle, print_trained
from runtime.bundle import Bundle, open_bundle
from trainer.dataset import Dataset, read_folder
from trainer.licence import stated
from trainer.parting import Parting
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot
from trainer.trained import RUN_NAME, load_run

INBOX = "inbox"
OWN = ".lineside"
SITE = "my-site"
_FEW = 20  # pictures of a class below which little can be promised
_PATIENCE_SECONDS = 120


def run_start(
    folder: Path, *, good_labels: tuple[str, ...], weights: Path | None, port: int, threads: int, once: bool
) -> None:
    """Check, train, export, serve, watch. Returns after Ctrl-C, or with `once` when the inbox is empty."""
    console = Console(highlight=False, soft_wrap=True)
    dataset = read_pictures(folder)
    _print_pictures(dataset, console)
    bundle = prepare(folder, dataset, good_labels=good_labels, weights=weights, threads=threads)
    inbox = folder / INBOX
    inbox.mkdir(exist_ok=True)
    plant = Plant.make((folder / OWN / "plant").resolve(), SITE, agent_port=port)
    try:
        with console.status("starting broker, monitor and agent ..."):
            _serve(plant, bundle, inbox, run=folder / OWN / "run")
        _print_addresses(plant, inbox, console, open_page=not once)
        _watch(plant, inbox, console, once=once)
    finally:
        plant.stop()


def read_pictures(folder: Path) -> Dataset:
    """The pictures of all classes; the inbox and our own folder are none. Raises DatasetError."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give a folder with one sub-folder a class, or good/ and bad/")
    return read_folder(folder, skip=(INBOX, OWN))


def prepare(
    folder: Path, dataset: Dataset, *, good_labels: tuple[str, ...], weights: Path | None, threads: int
) -> Bundle:
    """The certified bundle of these pictures: trained now, or the one from last time when nothing changed."""
    run, bundle = folder / OWN / "run", folder / OWN / "bundle"
    workspace = folder / OWN / "plant" / "workspace"
    snapshot = Parting(workspace=workspace).snapshot(dataset, stated("own pictures", owner="the user"))
    if (bundle / MANIFEST_NAME).exists() and (run / RUN_NAME).exists():
        if load_run(run).snapshot.hash == snapshot.hash:
            return open_bundle(bundle)
        raise ConfigurationError(
            f"the pictures in {folder} changed since the model was trained; "
            f"remove {folder / OWN} to begin anew (its verdicts and labels go with it)"
        )
    _train(snapshot, run, workspace, good_labels, weights, threads)
    with shown_progress() as progress:
        made = export_model(run, bundle, threads=threads, progress=progress)
    print_bundle(made)
    return made


def _train(
    snapshot: Snapshot, run: Path, workspace: Path, good_labels: tuple[str, ...], weights: Path | None, threads: int
) -> None:
    settings = TrainingSettings(threads=threads, good=good_labels, device="auto")
    with shown_progress() as progress:
        model = train(
            snapshot, chosen_base(workspace, weights=weights), settings=settings, out=run, progress=progress, site=SITE,
            workspace=workspace,
        )  # fmt: skip
    print_trained(model)


def _serve(plant: Plant, bundle: Bundle, inbox: Path, *, run: Path) -> None:
    """Registry, services, and release 1 unless it is there."""
    from lineside.demo.first import write_gold
    from trainer.trained import load_run

    plant.init_registry()
    plant.start_broker()
    plant.start_monitor({})
    plant.start_agent({"folders": [{"path": inbox.resolve(), "camera": "inbox"}]})
    with httpx.Client(base_url=plant.monitor_url, timeout=30.0) as monitor:
        if not _json(monitor.get("/v1/releases"))["releases"]:
            gold = write_gold(plant.folder / "gold.csv", load_run(run).snapshot.of("test"))
            body = {
                "bundle_folder": str(bundle.path.resolve()),
                "gold_csv": str(gold),
                "reason": "the first model",
                "submitted_by": "start",
            }
            _json(monitor.post("/v1/candidates", json=body))
    _wait_until_ready(plant)


def _wait_until_ready(plant: Plant) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not httpx.get(f"{plant.agent_url}/ready", timeout=5.0).is_success:
        plant.check()
        if time.monotonic() > deadline:
            state = _json(httpx.get(f"{plant.monitor_url}/v1/releases", timeout=5.0))["candidates"]
            why = "; ".join(str(entry["closing"] or entry["state"]) for entry in state)
            raise LinesideError(
                f"the agent has no model after {_PATIENCE_SECONDS} s ({why}); see {plant.folder / 'logs'}"
            )
        time.sleep(0.3)


def _watch(plant: Plant, inbox: Path, console: Console, *, once: bool) -> None:
    """Print every new verdict until Ctrl-C, or with `once` until the inbox is empty and judged."""
    last = 0
    with contextlib.suppress(KeyboardInterrupt), httpx.Client(base_url=plant.agent_url, timeout=10.0) as agent:
        while True:
            plant.check()
            waiting = any(entry.is_file() for entry in inbox.iterdir())
            for entry in reversed(_json(agent.get("/v1/verdicts", params={"limit": 100}))["verdicts"]):
                if entry["number"] > last:
                    last = entry["number"]
                    _print_verdict(entry["verdict"], console)
            if once and not waiting:
                return
            time.sleep(0.5)


def _print_pictures(dataset: Dataset, console: Console) -> None:
    counts = Counter(example.label for example in dataset.examples)
    console.print(f"[green]✓[/] {len(dataset.examples)} pictures: " + ", ".join(f"{n} {c}" for c, n in counts.items()))
    for label, count in sorted(counts.items()):
        if count < _FEW:
            console.print(
                f"  [yellow]few[/] class {label!r} has {count} pictures; from {_FEW} on results mean something"
            )


def _print_addresses(plant: Plant, inbox: Path, console: Console, *, open_page: bool) -> None:
    console.print(f"[green]✓[/] serving. Put pictures into [bold]{inbox}[/] and read the verdicts here, or on")
    console.print(f"  the operator's page  {plant.agent_url}")
    console.print(f"  the monitor's pages  {plant.monitor_url}")
    console.print("  Ctrl-C ends it; the same command goes on where it was")
    if open_page and sys.stdout.isatty():
        webbrowser.open(plant.agent_url)


def _print_verdict(verdict: dict[str, Any], console: Console) -> None:
    colour = {"OK": "green", "NG": "red", "REVIEW": "yellow"}.get(verdict["decision"], "magenta")
    score = "" if verdict["defect_score"] is None else f"defect score {verdict['defect_score']:.3f}"
    words = f"{verdict['label'] or verdict['reason'] or '':<16} {score}"
    console.print(f"[{colour}]{verdict['decision']:<10}[/] {escape(verdict['frame']['part_id']):<32} {escape(words)}")


def _json(response: httpx.Response) -> Any:
    if not response.is_success:
        raise LinesideError(f"{response.request.url}: {response.status_code} {response.text[:300]}")
    return response.json()
