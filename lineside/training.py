"""Training and export by command: pictures -> run folder -> certified bundle; and the obedience to a retrain order."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from contracts.bundle import TaskMetrics
from contracts.errors import ConfigurationError, DatasetError, OrderError
from contracts.orders import Retrain
from runtime.bundle import Bundle
from trainer.attempt import refuse_unfit
from trainer.bases.backbone import BaseModel
from trainer.bases.catalogue import read_catalogue
from trainer.bases.policy import choose
from trainer.dataset import Dataset, checked, columns_of, read
from trainer.licence import found, stated
from trainer.marks import COLUMN
from trainer.rounds import ranks
from trainer.run import TrainedModel, train
from trainer.settings import DeviceName, TrainingSettings
from trainer.snapshot import take_snapshot
from trainer.split import by_time

_OPTIONS = {"tasks": "task", "input_width": "size", "input_height": "size"}  # where it is not the setting's own name
_LINE_SHARE, _LINE_SECONDS = 0.05, 30.0  # of progress, after which a log gets another line


@dataclass(frozen=True)
class TrainOptions:
    """What `lineside train` was asked for."""

    data: Path
    out: Path
    workspace: Path
    site: str = "site-1"
    only_site: str | None = None
    product: str = "default"
    base: str | None = None
    weights: Path | None = None
    good_labels: tuple[str, ...] = ()
    owner: str = "unknown"
    licence: str = ""
    permitted_use: str = "unknown"
    seed: int = 0
    threads: int = 2
    yardstick: bool = False
    split_by: Literal["group", "time"] = "group"
    resume: bool = False
    tune: int = 0
    settings: dict[str, object] = field(default_factory=dict)


def chosen_base(workspace: Path | None = None, *, name: str | None = None, weights: Path | None = None) -> BaseModel:
    """By its id in Lineside's catalogue or the workspace's `catalogue.toml`, by its file, or the small one that comes
    with Lineside; only what the policy allows or somebody has accepted by name."""
    catalogue = read_catalogue(workspace / "catalogue.toml" if workspace else None)
    return choose(catalogue, name=name, weights=weights, today=datetime.now(UTC).date())


def train_model(options: TrainOptions, progress: Callable[..., None]) -> TrainedModel:
    """Read, check, split and snapshot the images, train, and write the run folder."""
    dataset = _dataset(options)
    licence = (
        stated(options.licence, owner=options.owner, permitted_use=options.permitted_use)
        if options.licence
        else found(options.data)
    )
    snapshot = take_snapshot(dataset, licence=licence, seed=options.seed)
    settings = _settings(options)
    return train(
        snapshot,
        chosen_base(options.workspace, name=options.base, weights=options.weights),
        settings=settings,
        out=options.out,
        progress=progress,
        site=options.site,
        product=options.product,
        workspace=options.workspace,
        resume=options.resume,
        trials=options.tune,
    )


def refuse_early(options: TrainOptions) -> None:
    """What is wrong whatever the images are, before anybody waits for them to be read. Raises ConfigurationError and
    DatasetError."""
    settings = _settings(options)
    refuse_unfit(settings)
    chosen_base(options.workspace, name=options.base, weights=options.weights)
    if not options.data.exists():
        raise DatasetError(f"there is no manifest or folder {options.data}; look at the path")
    _refuse_idle(settings)
    _refuse_untold(settings, options.data)


def _refuse_idle(settings: TrainingSettings) -> None:
    """What says something about a task that nobody asked for."""
    about_severity = settings.severity_levels is not None or settings.severity_column != "severity"
    if about_severity and "severity" not in settings.tasks:
        raise ConfigurationError("--severity-column and --severity-levels need --task severity; say it too")
    if settings.compare_tasks and not settings.tasks:
        raise ConfigurationError("--compare-tasks needs --task severity or --task location; say one too")
    named = set() if settings.task_weights == "learned" else set(settings.task_weights) - {"class", *settings.tasks}
    if named or (settings.task_weights and not settings.tasks):
        raise ConfigurationError(
            f"--task-weights is about a task that is not asked for; say --task {min(named, default='location')} too"
        )


def _refuse_untold(settings: TrainingSettings, data: Path) -> None:
    """A task of which the manifest cannot tell anything."""
    if settings.tasks and data.is_dir():
        raise DatasetError(f"--task {settings.tasks[0]}: a folder tells the class alone; write a manifest of {data}")
    for task in settings.tasks:
        column, remedy = (
            (settings.severity_column, "name one of them with --severity-column, or add it")
            if task == "severity"
            else (COLUMN, "write the boxes into it: 'left top right bottom' in pixels, several apart by semicolons")
        )
        if column not in (columns := columns_of(data)):
            raise DatasetError(
                f"--task {task}: {data} has no column {column!r}, only {', '.join(columns) or 'none'}; {remedy}"
            )


def _settings(options: TrainOptions) -> TrainingSettings:
    given = {
        "seed": options.seed,
        "threads": options.threads,
        "good": options.good_labels,
        "yardstick": options.yardstick,
        **options.settings,
    }
    try:
        return TrainingSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        option = _OPTIONS.get(name, name.replace("_", "-"))
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"--{option}: {message}, not {first['input']!r}") from error


def _dataset(options: TrainOptions) -> Dataset:
    dataset = read(options.data)
    if options.only_site is not None:
        sites = sorted({example.site for example in dataset.examples})
        if options.only_site not in sites:
            raise ConfigurationError(
                f"{options.data} has no rows of site {options.only_site!r}; it has {', '.join(sites)}"
            )
        dataset = dataset.only(lambda example: example.site == options.only_site)
    return checked(by_time(dataset.examples), dataset.source) if options.split_by == "time" else dataset


@contextmanager
def together(device: DeviceName) -> Iterator[bool]:
    """With the other processes that torchrun started, if it did; whether this one speaks and writes for all."""
    with ranks.joined(gpu=device != "cpu" and torch.cuda.is_available()):
        yield ranks.leads()


def run_train(options: TrainOptions) -> None:
    """`lineside train`."""
    with shown_progress(quiet=not ranks.leads()) as progress:
        model = train_model(options, progress)
    if ranks.leads():
        print_trained(model)


def export_model(
    run: Path | TrainedModel,
    out: Path,
    *,
    threads: int,
    components: int | None = None,
    progress: Callable[..., None] | None = None,
) -> Bundle:
    """The bundle of a run; `components` of the drift reference where it should differ from the exporter's default."""
    from exporter.export import export
    from exporter.settings import ExportSettings

    settings = ExportSettings() if components is None else ExportSettings(components=components)
    return export(run, out, threads=threads, settings=settings, progress=progress or (lambda _: None))


def run_export(run: Path, out: Path, *, threads: int, components: int | None) -> None:
    """`lineside export`."""
    with shown_progress() as progress:
        bundle = export_model(run, out, threads=threads, components=components, progress=progress)
    print_bundle(bundle)


def obey(
    order_file: Path,
    workspace: Path,
    out: Path,
    *,
    threads: int,
    use_gate_labels: bool = False,
    changes: Mapping[str, object] = {},
    progress: Callable[..., None] = lambda *_, **__: None,
) -> TrainedModel:
    """The model that the retrain order in `order_file` asks for. `use_gate_labels` trains on the gate's labels as well,
    for a comparison only: such a model must never meet the gate. `changes`: other settings than the first
    model's. Raises OrderError when the order cannot be read."""
    from trainer.retrain import retrain
    from trainer.workspace import recall_site

    try:
        order = Retrain.model_validate_json(order_file.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise OrderError(f"{order_file} is not a retrain order: {error}") from error
    if use_gate_labels:
        order = order.model_copy(update={"labels_manifest": str(_without_gate(Path(order.labels_manifest), out))})
    settings = recall_site(workspace).settings.model_copy(update={"threads": threads, **changes})
    return retrain(order, workspace, out, settings=settings, progress=progress)


def _without_gate(labels: Path, out: Path) -> Path:
    """A copy of a labels manifest in which every row may be trained on, with absolute paths."""
    with labels.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    copy = out.with_name(out.name + "-labels.csv")
    copy.parent.mkdir(parents=True, exist_ok=True)
    with copy.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, "split": "train", "path": str((labels.parent / row["path"]).resolve())})
    return copy


def run_retrain(
    order_file: Path,
    out: Path,
    *,
    workspace: Path,
    threads: int,
    components: int | None,
    changes: Mapping[str, object] = {},
) -> None:
    """`lineside retrain`: writes `out/run` and `out/bundle`; one line of JSON a step on standard output."""

    def say(stage: str, fraction: float | None = None, note: str = "") -> None:
        print(json.dumps({"stage": stage, "fraction": fraction, "note": note}), flush=True)

    model = obey(order_file, workspace, out / "run", threads=threads, changes=changes, progress=say)
    bundle = export_model(model, out / "bundle", threads=threads, components=components, progress=say)
    say("done", 1.0, bundle.hash)


@contextmanager
def shown_progress(*, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """A progress bar in a terminal, plain lines elsewhere, nothing where `quiet`; yields progress(stage, fraction,
    note)."""
    if quiet:
        yield lambda *_, **__: None
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        yield PlainProgress(partial(print, flush=True))
        return
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("starting", total=1.0, note="")

        def show(stage: str, fraction: float | None = None, note: str = "") -> None:
            bars.update(task, description=stage, completed=fraction, note=note)

        yield show


class PlainProgress:
    """Lines for a log: one where another stage begins, then one for each twentieth of the whole and each half minute,
    not one for each image."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._stage, self._share, self._at = "", math.nan, 0.0

    def __call__(self, stage: str, fraction: float | None = None, note: str = "") -> None:
        """Say it where it is worth a line."""
        share, now = -1.0 if fraction is None else fraction, self._clock()
        moved = not 0 <= share - self._share < _LINE_SHARE or share >= 1
        if stage == self._stage and not moved and now - self._at < _LINE_SECONDS:
            return
        self._stage, self._share, self._at = stage, share, now
        self._say(f"{'' if fraction is None else f'{fraction:4.0%} '}{stage} {note}".rstrip())


def _quality(metrics: TaskMetrics) -> str:
    return f"balanced accuracy {_share(metrics.balanced_accuracy)}, AUROC {_share(metrics.auroc)}"


def print_trained(model: TrainedModel) -> None:
    """What came out, and what it cannot promise."""
    record, console = model.record, Console(highlight=False, soft_wrap=True)
    metrics = record.test_metrics
    console.print(f"[green]✓[/] trained in {record.seconds:.0f} s: {model.folder}")
    console.print(f"  test split, {metrics.examples} images nobody trained on: {_quality(metrics)}")
    console.print(f"  (always giving the commoner answer would reach an accuracy of {_share(metrics.best_constant)})")
    for sentence in record.cannot_promise:
        console.print(f"  [yellow]cannot promise[/] {sentence}")
    console.print(f"  model card: {model.folder / 'card.md'}")


def print_bundle(bundle: Bundle) -> None:
    """The certificates of a bundle, one line a variant."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[green]✓[/] bundle {bundle.hash[:12]}: {bundle.path}")
    for certificate in bundle.manifest.certificates:
        mark = "[green]passed[/]" if certificate.passed else "[red]refused[/] " + "; ".join(certificate.reasons)
        console.print(f"  {certificate.variant}: {mark}")
        console.print(
            f"    same answer as the trained model on {certificate.argmax_agreement:.1%} of {certificate.images};"
            f" {_quality(certificate.metrics)}; {certificate.latency.p50_seconds * 1000:.2f} ms"
        )
    console.print(f"  served: {bundle.manifest.default_variant}")


def _share(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
