"""Training and export by command: pictures -> run folder -> certified bundle; and the obedience to a retrain order."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from contracts.errors import OrderError
from contracts.orders import Retrain
from contracts.quantisation import Quantisation
from contracts.settings import parse_settings, read_settings
from lineside.evaluation import judge_run
from lineside.models import chosen_base
from lineside.progress import shown_progress
from lineside.train_file import retold, said_in, set_by
from lineside.train_options import TrainOptions, settings_of
from runtime.bundle import Bundle
from trainer.bases.worth import worth_of
from trainer.claim import constant, quality
from trainer.dataset import read
from trainer.licence import found, said_of, stated
from trainer.rounds import ranks
from trainer.run import TrainedModel, train
from trainer.settings import DeviceName
from trainer.sites.by_site import AtSite, lines_of

if TYPE_CHECKING:
    from exporter.settings import ExportSettings


def train_model(options: TrainOptions, progress: Callable[..., None]) -> TrainedModel:
    """Read, check, split and snapshot the images, train, and write the run folder."""
    settings = settings_of(options)
    dataset = read(options.data)
    licence = (
        stated(options.licence, owner=options.owner, permitted_use=options.permitted_use)
        if options.licence
        else said_of(found(options.data), owner=options.owner, permitted_use=options.permitted_use)
    )
    snapshot = replace(options.parting, seed=settings.seed).snapshot(dataset, licence)
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
    settings: ExportSettings | None = None,
    progress: Callable[..., None] | None = None,
) -> Bundle:
    """The bundle of a run, by the exporter's defaults where there are no `settings`."""
    from exporter.export import export

    return export(run, out, threads=threads, settings=settings, progress=progress or (lambda _: None))


def export_settings(config: Path | None = None, **changes: Any) -> ExportSettings:
    """What the file `config` says (None: the exporter's defaults) but for `changes` of it (None: as it says). Raises
    ConfigurationError where it cannot be read, or where the two contradict."""
    from exporter.settings import ExportSettings

    kept = said_in(read_settings(config, ExportSettings)) if config is not None else {}
    return _with(kept, changes)


def retrain_settings(config: Path | None = None, **changes: Any) -> tuple[ExportSettings, dict[str, Any]]:
    """As `export_settings`, of a file that may also have a table `[training]`; and what that says. Raises
    ConfigurationError."""
    from lineside.retrain_file import RetrainFile

    kept = said_in(read_settings(config, RetrainFile)) if config is not None else {}
    told = kept.pop("training", {})
    return _with(kept, changes), told


def _with(kept: Mapping[str, Any], changes: Mapping[str, Any]) -> ExportSettings:
    from exporter.settings import ExportSettings

    said = {name: value for name, value in changes.items() if value is not None}
    return parse_settings({**kept, **said}, ExportSettings, source="export")


def run_export(run: Path, out: Path, *, threads: int, config: Path | None, changes: Mapping[str, Any]) -> None:
    """`lineside export`."""
    settings = export_settings(config, **changes)
    with shown_progress() as progress:
        bundle = export_model(run, out, threads=threads, settings=settings, progress=progress)
    print_bundle(bundle)


def obey(
    order_file: Path,
    workspace: Path,
    out: Path,
    *,
    threads: int,
    use_gate_labels: bool = False,
    changes: Mapping[str, Any] = {},
    progress: Callable[..., None] = lambda *_, **__: None,
) -> TrainedModel:
    """The model that the retrain order in `order_file` asks for. `use_gate_labels` trains on the gate's labels as well,
    for a comparison only: such a model must never meet the gate. `changes`: other settings than the first
    model's. Raises OrderError when the order cannot be read, ConfigurationError for what cannot be changed."""
    from trainer.retrain import retrain
    from trainer.workspace import recall_site

    try:
        order = Retrain.model_validate_json(order_file.read_text(encoding="utf-8"))
    except OSError as error:
        raise OrderError(f"the order {order_file} cannot be read: {error.strerror}; look at the path") from error
    except ValidationError as error:
        raise OrderError(f"{order_file} is not a retrain order: {error}") from error
    if use_gate_labels:
        order = order.model_copy(update={"labels_manifest": str(_without_gate(Path(order.labels_manifest), out))})
    site = recall_site(workspace, order.site, order.product)
    settings = retold(site.settings, changes).model_copy(update={"threads": threads})
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
    config: Path | None,
    components: int | None,
    evaluate: bool = True,
    words: Sequence[str] = (),
    changes: Mapping[str, Any] = {},
) -> None:
    """`lineside retrain`: writes `out/run` and `out/bundle`; one line of JSON a step on standard output. `components`
    is about the export, `words` (KEY=VALUE) and `changes` are about the training, `config` about both. What is named
    last goes first. `evaluate` judges the model before it is exported, so that the card says how good it is."""
    settings, told = retrain_settings(config, components=components)
    changes = {**told, **set_by(words), **changes}

    def say(stage: str, fraction: float | None = None, note: str = "") -> None:
        print(json.dumps({"stage": stage, "fraction": fraction, "note": note}), flush=True)

    model = obey(order_file, workspace, out / "run", threads=threads, changes=changes, progress=say)
    if evaluate:
        judge_run(model, baselines=True, progress=say)
    bundle = export_model(model, out / "bundle", threads=threads, settings=settings, progress=say)
    say("done", 1.0, bundle.hash)


def print_trained(model: TrainedModel) -> None:
    """What came out, and what it cannot promise."""
    record, console = model.record, Console(highlight=False, soft_wrap=True)
    metrics = record.test_metrics
    console.print(f"[green]✓[/] trained in {record.seconds:.0f} s: {model.folder}")
    console.print(f"  test split, {metrics.examples} images nobody trained on: {quality(metrics, record.good_labels)}")
    console.print(f"  (always giving the commoner answer would reach {constant(metrics, record.good_labels)})")
    worth = worth_of(record)
    if not worth.loud:  # which is the first of what cannot be promised
        console.print(f"  {escape(worth.sentence())}")
    for line in lines_of([AtSite.model_validate(each) for each in record.details.get("sites", [])]):
        console.print(f"    {line}", markup=False)
    if "pinned" in record.details:
        console.print(f"  test groups: {record.details['pinned']}")
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
            f" {quality(certificate.metrics, bundle.manifest.good_labels)};"
            f" {certificate.latency.p50_seconds * 1000:.2f} ms"
        )
    console.print(f"  served: {bundle.manifest.default_variant}")
    if bundle.manifest.quantisation is not None:
        print_quantisation(console, bundle.manifest.quantisation)


def print_quantisation(console: Console, made: Quantisation) -> None:
    """How the int8 file was made; with a line for each layer where they were measured."""
    kept = f"in float {len(made.kept_float)} of the convolutions ({made.float_share:.1%} of the multiplications)"
    how = "trained on with its rounding" if made.way == "qat" else f"ranges by {made.calibrator}"
    console.print(
        f"  int8: {how}; {kept if made.kept_float else 'every convolution in int8'}; loses "
        f"{made.drop:+.1%} (standard error {made.drop_error:.1%}) on {made.images} held-out images"
    )
    for layer in made.layers:
        mark = ", stays in float" if layer.kept_float else ""
        console.print(
            f"    {layer.name}: error {layer.error:.3f}, {layer.share:.1%} of the multiplications{mark}", markup=False
        )
