"""`lineside transfer`: what the models of several sites are worth to each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contracts.errors import ConfigurationError
from lineside.models import chosen_base
from lineside.progress import shown_progress
from lineside.train_options import TrainOptions, refuse_early, settings_of
from trainer.bases.backbone import BaseModel
from trainer.dataset import read
from trainer.evaluation.report import Estimate
from trainer.licence import found
from trainer.proof import prove_pinned
from trainer.run import fitted, good_labels
from trainer.settings import TrainingSettings
from trainer.sites.advice import PROBE, Advice, Reached, TransferReport, in_words
from trainer.sites.gain import Gain
from trainer.sites.page import page
from trainer.sites.transfer import advise, folder_of, matrix, on_sites, pooled_model, sites_of, source_models
from trainer.snapshot import Snapshot

_FEWEST = 10  # labels that an advice can be made of


@dataclass(frozen=True)
class TransferOptions:
    """What `lineside transfer` was asked for; without targets every site is one, without labels all of them count."""

    training: TrainOptions
    targets: tuple[str, ...]
    labels: tuple[str, ...]
    as_json: bool = False


def run_transfer(options: TransferOptions) -> TransferReport:
    """Train each site's model and a pooled one, compare, advise, write `transfer.html` and `transfer.json`."""
    training, out = options.training, options.training.out
    counts = label_counts(options.labels)
    refuse_early(training)
    snapshot = training.parting.snapshot(read(training.data), found(training.data))
    good = good_labels(snapshot.labels, training.good_labels)
    sites = sites_of(snapshot, good)
    if unknown := sorted(set(options.targets) - set(sites)):
        raise ConfigurationError(f"{training.data} has no rows of site {unknown[0]!r}; it has {', '.join(sites)}")
    base = chosen_base(training.workspace, name=training.base, weights=training.weights)
    prove_pinned(snapshot, training.workspace)
    snapshot.save(training.workspace)
    with shown_progress(quiet=options.as_json) as progress:
        settings = settings_of(training).model_copy(update={"good": good})
        settings, _ = fitted(settings, base, snapshot, progress)
        report = _report(options, counts, snapshot, base, settings, progress)
    (out / "transfer.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (out / "transfer.html").write_text(page(report), encoding="utf-8")
    if options.as_json:
        print(json.dumps(report.model_dump(mode="json"), indent=1))
    else:
        _print(report, out)
    return report


def label_counts(said: Sequence[str]) -> tuple[int | None, ...]:
    """How many labels to advise for, fewest first; (None,), all of them, where nothing is said. Raises
    ConfigurationError.

    >>> label_counts(["100,50", "200"]), label_counts([])
    ((50, 100, 200), (None,))
    """
    counts = set()
    for word in ",".join(said).split(",") if said else ():
        if not word.strip().isdecimal() or int(word) < _FEWEST:
            raise ConfigurationError(
                f"--labels: say whole numbers from {_FEWEST} on, as in 50 or 50,100,200, not {word.strip()!r}"
            )
        counts.add(int(word))
    return tuple(sorted(counts)) or (None,)


def _report(
    options: TransferOptions, counts: Sequence[int | None], snapshot: Snapshot, base: BaseModel,
    settings: TrainingSettings, progress: Callable[..., None],
) -> TransferReport:  # fmt: skip
    out, resume = options.training.out, options.training.resume
    models = source_models(snapshot, base, settings, out / "sites", progress, resume=resume)
    together = pooled_model(snapshot, base, settings, out / "pooled", progress, resume=resume)
    advice: list[Advice] = []
    for target in options.targets or tuple(models):
        there = sum(example.site == target for example in snapshot.of("train", "validation"))
        asked = sorted({there if count is None else min(count, there) for count in counts})
        for count in asked:
            folder = out / "ways" / target / (str(count) if len(counts) > 1 else "")
            advice.append(
                advise(
                    snapshot, target, base, models,
                    labels=count, settings=settings, out=folder, progress=progress, resume=resume,
                )
            )  # fmt: skip
    pooled, overall = on_sites(together, snapshot, settings.good)
    return TransferReport(
        base_model=base.id,
        strategy=settings.strategy,
        matrix=matrix(models, snapshot, settings.good),
        pooled=pooled,
        overall=overall,
        advice=tuple(advice),
    )


def _print(report: TransferReport, out: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    columns = [f"{site} ({reached.images})" for site, reached in report.pooled.items()]
    table = Table("model of \\ on", *columns, "all sites", box=None, pad_edge=False, header_style="bold")
    for source, targets in report.matrix.items():
        table.add_row(source, *(_reached(reached) for reached in targets.values()), "")
    overall = _reached(report.overall) if report.overall else ""
    table.add_row("all pooled", *(_reached(reached) for reached in report.pooled.values()), overall)
    console.print(table)
    console.print("\nbalanced accuracy / AUROC on (so many) test images of each site, models as they are\n")
    for advices in report.by_target().values():
        for advice in advices:
            _print_advice(console, advice)
    if report.strategy == "probe":
        console.print(f"\n{PROBE}")
    console.print(f"\nall of it, with intervals: {out / 'transfer.html'} and {out / 'transfer.json'}")


def _print_advice(console: Console, advice: Advice) -> None:
    console.print(f"[bold]{escape(advice.target)}[/] with {advice.labels} labelled images: [green]{advice.why}[/]")
    for sentence in in_words(advice):
        console.print(f"  {escape(sentence)}")
    columns = ("way", "learned from", "time", "held-out loss", "lower than alone's", "test")
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for way in advice.ways:
        name = f"[green]{way.name}[/]" if way.name == advice.chosen else way.name
        gain = _signed(way.gain) if way.gain else "-"
        table.add_row(
            name, f"{way.images} images", f"{way.seconds:.0f} s", f"{way.held_out_loss:.4f}", gain, _reached(way.test)
        )
    console.print(table)
    console.print(f"its model: {Path(advice.folder) / folder_of(advice.chosen)} (lineside export)")


def _reached(reached: Reached) -> str:
    return f"{_plain(reached.balanced_accuracy)} / {_plain(reached.auroc)}"


def _signed(gain: Gain) -> str:
    return f"{gain.loss.value:+.4f}{' [red]harms[/]' if gain.harms else ''}"


def _plain(found: Estimate) -> str:
    return "-" if found.value is None else f"{found.value:.3f}"
