"""`lineside evaluate`: how good a run is, how sure one can be, and where it breaks."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from lineside.progress import shown_progress
from trainer.card.facts import with_evaluation
from trainer.card.file import read_card, write_card
from trainer.device import device_for
from trainer.evaluation.foreign import pictures_in
from trainer.evaluation.judge import evaluate
from trainer.evaluation.page import curves, page
from trainer.evaluation.report import Estimate, Evaluation
from trainer.evaluation.sheet import contact_sheet
from trainer.settings import DeviceName
from trainer.trained import TrainedModel, load_run


def run_evaluate(
    run: Path, *, baselines: bool, foreign: Path | None = None, device: DeviceName = "cpu", as_json: bool = False
) -> Evaluation:
    """`lineside evaluate`: judge the run, write everything beside it, and print the gist. Raises ConfigurationError for
    a run or a device that is not there."""
    device_for(device)
    model = load_run(run)
    pictures = pictures_in(foreign) if foreign is not None else []
    with shown_progress(quiet=as_json) as progress:
        evaluation = judge_run(model, baselines=baselines, foreign=pictures, device=device, progress=progress)
    if as_json:
        print(json.dumps(evaluation.model_dump(mode="json"), indent=1))
    else:
        _print(evaluation, run)
    return evaluation


def judge_run(
    model: TrainedModel, *, baselines: bool, foreign: Sequence[Path] = (), device: DeviceName = "cpu",
    progress: Callable[..., None],
) -> Evaluation:  # fmt: skip
    """Evaluate, and write `evaluation.json`, `report.html` and the card anew beside the run. Raises DatasetError and
    ConfigurationError."""
    card = read_card(model)
    evaluation = evaluate(model, baselines=baselines, foreign=foreign, device=device, progress=progress)
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


def _print(evaluation: Evaluation, run: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"balanced accuracy {_shown(evaluation.balanced_accuracy)}, AUROC {_shown(evaluation.auroc)} "
        f"on {evaluation.images} test images"
    )
    for item in evaluation.baselines:
        console.print(f"  beside it: {escape(item.name)} {_shown(item.balanced_accuracy)}")
    for sentence in evaluation.warnings:
        console.print(f"[yellow]![/] {escape(sentence)}")
    console.print(f"all of it: {run / 'report.html'} and {run / 'card.md'}")


def _shown(found: Estimate) -> str:
    if found.value is None:
        return "unknown"
    return f"{found.value:.3f}" + (f" ({found.low:.3f} to {found.high:.3f})" if found.low is not None else "")
