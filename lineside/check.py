"""`lineside check`: what is wrong with the images, before anything is trained on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from contracts.errors import ConfigurationError, DatasetError
from contracts.preprocessing import Preprocessing
from contracts.quality import QualityReport
from lineside.models import chosen_base
from lineside.progress import shown_progress
from trainer.course import Course
from trainer.dataset import Example, Gathered, gather
from trainer.device import device_for
from trainer.outset import set_out
from trainer.parting import Parting
from trainer.quality.inspect import inspect
from trainer.quality.page import page
from trainer.run import good_labels
from trainer.settings import DeviceName, TrainingSettings
from trainer.stem import Stem

_COLOURS = {"error": "red", "warning": "yellow", "note": "blue"}


def run_check(
    data: Path, *, out: Path | None, parting: Parting, good: tuple[str, ...], labels: bool, as_json: bool,
    device: DeviceName = "cpu",
) -> QualityReport:  # fmt: skip
    """Check, print, and write `quality.html` and `quality.json` into `out`. Raises DatasetError, and ConfigurationError
    for a device that is not there."""
    device_for(device)
    settings = TrainingSettings(seed=parting.seed, device=device)
    gathered = gather(data)
    names = _names(parting.of_site(gathered.examples, gathered.source))
    judge = _judge(names, good, parting, settings) if labels else None
    with shown_progress(quiet=as_json) as progress:
        days = _good(names, good) is not None
        report = inspect(gathered, parting=parting, judge=judge, days=days, progress=progress)
    if out is not None:
        write_report(report, gathered, out)
    if as_json:
        print(json.dumps(report.model_dump(mode="json"), indent=1))
    else:
        _print(report, out)
    return report


def write_report(report: QualityReport, gathered: Gathered, out: Path) -> None:
    """`quality.json` and, with the pictures, `quality.html`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "quality.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (out / "quality.html").write_text(page(report, {e.path: e.label for e in gathered.examples}), encoding="utf-8")


def check_before_training(data: Path, out: Path, *, parting: Parting, strict: bool) -> None:
    """What `lineside train` does first: the quick checks of the images and of the split that it will train with, into
    the run folder. With `strict` an error ends it."""
    gathered = gather(data)
    with shown_progress() as progress:
        report = inspect(gathered, parting=parting, progress=progress)
    write_report(report, gathered, out)
    worth_saying = tuple(finding for finding in report.findings if finding.weight != "note")
    _print(report.model_copy(update={"findings": worth_saying}), out)
    if strict and report.worst() == "error":
        raise DatasetError(f"--strict: {report.findings[0].text}; {report.findings[0].remedy}")


def _judge(
    names: tuple[str, ...], good: tuple[str, ...], parting: Parting, settings: TrainingSettings
) -> tuple[Course, Stem] | None:
    """The small backbone with a head for these classes; None where there are not two classes."""
    if len(names) < 2:
        return None
    base = chosen_base(parting.workspace)
    spec = Preprocessing(width=base.width, height=base.height, mean=base.mean, std=base.std)
    passes = _good(names, good) or names[:1]  # for the weights alone: to label errors it does not matter
    course, stem, _ = set_out(base, names, passes, settings, spec)
    return course, stem


def _names(examples: Sequence[Example]) -> tuple[str, ...]:
    return tuple(sorted({example.label for example in examples}))


def _good(names: tuple[str, ...], good: tuple[str, ...]) -> tuple[str, ...] | None:
    """The classes that pass; None where nobody says which."""
    try:
        return good_labels(names, good)
    except ConfigurationError:
        return None


def _print(report: QualityReport, out: Path | None) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{report.examples} images of {report.source}")
    for finding in report.findings:
        colour = _COLOURS[finding.weight]
        console.print(f"[{colour}]{finding.weight:7}[/] {escape(finding.text)}")
        if finding.remedy:
            console.print(f"        [dim]{escape(finding.remedy)}[/]")
    if not report.findings:
        console.print("nothing was found that stands in the way of training")
    if out is not None:
        console.print(f"with pictures: {out / 'quality.html'}")
