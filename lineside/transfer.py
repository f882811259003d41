"""`lineside transfer`: what the models of several sites are worth to each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contracts.errors import ConfigurationError
from lineside.models import chosen_base
from lineside.progress import shown_progress
from trainer.dataset import read
from trainer.evaluation.report import Estimate
from trainer.licence import found
from trainer.parting import Parting
from trainer.proof import prove_pinned
from trainer.run import good_labels
from trainer.settings import StrategyName, TrainingSettings
from trainer.transfer import Advice, Reached, TransferReport, advise, folder_of, matrix, sites_of, source_models


@dataclass(frozen=True)
class TransferOptions:
    """What `lineside transfer` was asked for; without targets every site is one."""

    data: Path
    out: Path
    workspace: Path
    targets: tuple[str, ...]
    labels: int | None
    base: str | None
    weights: Path | None
    good_labels: tuple[str, ...]
    strategy: StrategyName
    seed: int
    threads: int


def run_transfer(options: TransferOptions) -> None:
    """Train each site's model, compare, advise, write `transfer.json`."""
    parting = Parting(seed=options.seed, workspace=options.workspace)
    snapshot = parting.snapshot(read(options.data), found(options.data))
    good = good_labels(snapshot.labels, options.good_labels)
    sites = sites_of(snapshot, good)
    if unknown := sorted(set(options.targets) - set(sites)):
        raise ConfigurationError(f"{options.data} has no rows of site {unknown[0]!r}; it has {', '.join(sites)}")
    base = chosen_base(options.workspace, name=options.base, weights=options.weights)
    settings = TrainingSettings(seed=options.seed, threads=options.threads, good=good, strategy=options.strategy)
    prove_pinned(snapshot, options.workspace)
    snapshot.save(options.workspace)
    with shown_progress() as progress:
        models = source_models(snapshot, base, settings, options.out / "sites", progress)
        advice = tuple(
            advise(
                snapshot, target, base, models,
                labels=options.labels, settings=settings, out=options.out / "ways" / target, progress=progress,
            )
            for target in options.targets or sites
        )  # fmt: skip
    report = TransferReport(matrix=matrix(models, snapshot, good), advice=advice)
    (options.out / "transfer.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    _print(report, options.out / "transfer.json")


def _print(report: TransferReport, path: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table("model of \\ on", *report.matrix, box=None, pad_edge=False, header_style="bold")
    for source, targets in report.matrix.items():
        table.add_row(source, *(_reached(reached) for reached in targets.values()))
    console.print(table)
    console.print("\nbalanced accuracy / AUROC on test images of each site, models as they are\n")
    for advice in report.advice:
        _print_advice(console, advice, path.parent / "ways")
    console.print(f"\nall of it: {path}")


def _print_advice(console: Console, advice: Advice, ways: Path) -> None:
    console.print(f"[bold]{escape(advice.target)}[/] with {advice.labels} labelled images: [green]{advice.why}[/]")
    table = Table("way", "learned from", "time", "held-out loss", "test", box=None, pad_edge=False, header_style="bold")
    for way in advice.ways:
        name = f"[green]{way.name}[/]" if way.name == advice.chosen else way.name
        table.add_row(
            name, f"{way.images} images", f"{way.seconds:.0f} s", f"{way.held_out_loss:.4f}", _reached(way.test)
        )
    console.print(table)
    console.print(f"its model: {ways / advice.target / folder_of(advice.chosen)} (lineside export)")


def _reached(reached: Reached) -> str:
    return f"{_shown(reached.balanced_accuracy)} / {_shown(reached.auroc)}"


def _shown(found: Estimate) -> str:
    return "-" if found.value is None else f"{found.value:.3f}"
