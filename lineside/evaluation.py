"""`lineside evaluate`: how good a run is, how sure one can be, and where it breaks."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from contracts.errors import ConfigurationError
from lineside.progress import shown_progress
from trainer.card.facts import with_evaluation
from trainer.card.file import read_card, write_card
from trainer.device import device_for
from trainer.evaluation.foreign import pictures_in
from trainer.evaluation.judge import evaluate
from trainer.evaluation.page import curves, page
from trainer.evaluation.report import Baseline, Evaluation
from trainer.evaluation.scratch import FROM_SCRATCH
from trainer.evaluation.sheet import contact_sheet
from trainer.evaluation.simpler import differs
from trainer.evaluation.words import beside, reached
from trainer.settings import DeviceName
from trainer.trained import TrainedModel, load_run


def run_evaluate(
    run: Path, *, baselines: bool, scratch_seconds: float | None = None, foreign: Path | None = None,
    device: DeviceName = "cpu", as_json: bool = False,
) -> Evaluation:  # fmt: skip
    """`lineside evaluate`: judge the run, write everything beside it, and print the gist. With `scratch_seconds` its
    network is also trained from random weights, for so long at most; the row that this makes stays in later evaluations
    of the same model. Raises ConfigurationError and DatasetError."""
    device_for(device)
    if scratch_seconds is not None and not baselines:
        raise ConfigurationError("--scratch is one of the simpler means; leave --no-baselines out")
    model = load_run(run)
    if scratch_seconds is not None and model.record.lineage.training.get("strategy") == "scratch":
        raise ConfigurationError(
            f"{run} was itself trained from random weights: its own row tells; leave --scratch out"
        )
    known = _known(run / "evaluation.json", model) if baselines and scratch_seconds is None else ()
    pictures = pictures_in(foreign) if foreign is not None else []
    with shown_progress(quiet=as_json) as progress:
        evaluation = judge_run(
            model, baselines=baselines, scratch_seconds=scratch_seconds, known=known, foreign=pictures, device=device,
            progress=progress,
        )  # fmt: skip
    if as_json:
        print(json.dumps(evaluation.model_dump(mode="json"), indent=1))
    else:
        _print(evaluation, run)
    return evaluation


def judge_run(
    model: TrainedModel, *, baselines: bool, scratch_seconds: float | None = None, known: Sequence[Baseline] = (),
    foreign: Sequence[Path] = (), device: DeviceName = "cpu", progress: Callable[..., None],
) -> Evaluation:  # fmt: skip
    """Evaluate, and write `evaluation.json`, `report.html` and the card anew beside the run. Raises DatasetError and
    ConfigurationError."""
    card = read_card(model)
    evaluation = evaluate(
        model, baselines=baselines, scratch_seconds=scratch_seconds, known=known, foreign=foreign, device=device,
        progress=progress,
    )  # fmt: skip
    text = evaluation.model_dump_json(indent=1) + "\n"
    (model.folder / "evaluation.json").write_text(text, encoding="utf-8")
    write_report(model, evaluation)
    write_card(model.folder, with_evaluation(card, evaluation))
    return evaluation


def write_report(model: TrainedModel, evaluation: Evaluation) -> None:
    """`report.html`, its curves and contact sheet as PNG, and the failures as a table that can be corrected, beside the
    run."""
    pictures, sheet = curves(model.folder, evaluation), contact_sheet(model)
    for name, data in {**pictures, "contact-sheet": sheet}.items():
        (model.folder / f"{name}.png").write_bytes(data)
    (model.folder / "report.html").write_text(page(model, evaluation, pictures, sheet), encoding="utf-8")
    with (model.folder / "failures.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "answered", "defect_score"))
        writer.writerows(
            (Path(f.path).resolve(), f.label, f.answered, f"{f.defect_score:.4f}") for f in evaluation.failures
        )


def _known(file: Path, model: TrainedModel) -> tuple[Baseline, ...]:
    """The network from scratch, if an earlier evaluation of this very model has trained it."""
    try:
        earlier = Evaluation.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return ()
    if earlier.model_sha256 != model.record.model_sha256:
        return ()
    return tuple(item for item in earlier.baselines if item.name == FROM_SCRATCH)


def _print(evaluation: Evaluation, run: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{evaluation.images} test images: {reached(evaluation)}")
    for item in differs(evaluation.baselines):
        console.print(f"  beside it: {escape(item.name)} {beside(item, evaluation)}")
    for sentence in evaluation.warnings:
        console.print(f"[yellow]![/] {escape(sentence)}")
    console.print(f"all of it: {run / 'report.html'} and {run / 'card.md'}")
