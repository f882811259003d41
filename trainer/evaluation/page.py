"""The evaluation as one HTML file that needs nothing else: figures, curves, and the worst failures as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader

from trainer.bases.worth import worth_of
from trainer.evaluation.plots import more_images, reliability, training_curves, tuning_trials
from trainer.evaluation.report import Estimate, Evaluation, Slice
from trainer.evaluation.text import task_rows
from trainer.evaluation.words import (
    BASELINE_HEAD,
    SLICE_HEAD,
    baseline_cells,
    class_f1,
    figure,
    figures_of,
    number,
    reached,
    slice_cells,
)
from trainer.forgetting import HEAD, Kept, rows_of
from trainer.marks import placed
from trainer.thumbnail import data_address, thumbnail
from trainer.trained import TrainedModel
from trainer.views import FLIPS_IN_WORDS

_WORST = 10  # slices, shown before all of them


def page(model: TrainedModel, evaluation: Evaluation, pictures: Mapping[str, bytes], sheet: bytes) -> str:
    """HTML of a run and its evaluation, with these PNG curves and the contact sheet of what the training saw. Reads the
    pictures of the failures."""
    examples = {str(example.path): example for example in model.snapshot.of("test")}
    environment = Environment(loader=PackageLoader("trainer.evaluation", "."), autoescape=True)
    return environment.get_template("page.html.jinja").render(
        record=model.record,
        evaluation=evaluation,
        worth=worth_of(model.record),
        counted=", ".join(f"{sum(of.values())} {name}" for name, of in model.snapshot.counts().items()),
        figures=[*(figures_of(evaluation) if evaluation.claimed else []), *_beside(evaluation)],
        reached=reached(evaluation),
        pictures=[(name, data_address("image/png", data)) for name, data in pictures.items()],
        sheet=data_address("image/png", sheet),
        seen=FLIPS_IN_WORDS[str(model.record.lineage.training.get("flips", "none"))],
        faults=list(dict.fromkeys(found.fault for found in evaluation.faults)),
        lost={(found.fault, found.severity): found.lost for found in evaluation.faults},
        thumbnail=lambda path: thumbnail(Path(path), placed(examples[path]) if path in examples else ()),
        name_of=lambda path: Path(path).name,
        absolute=lambda path: str(Path(path).resolve()),
        baselines=[(item.name, *baseline_cells(item, evaluation)) for item in evaluation.baselines],
        baseline_head=BASELINE_HEAD,
        worst=[part for part in evaluation.slices if not part.too_few][:_WORST],
        columns=_columns(evaluation),
        slice_head=SLICE_HEAD,
        slice_cells=slice_cells,
        kept=rows_of([Kept.model_validate(each) for each in model.record.details.get("forgetting") or ()]),
        kept_head=HEAD,
        value=figure,
        class_f1=class_f1,
        number=number,
    )


def curves(run: Path, evaluation: Evaluation) -> dict[str, bytes]:
    """PNG files by name."""
    trained = training_curves(run / "curves.csv")
    found = {} if trained is None else {"training-curves": trained}
    if (run / "trials.csv").exists() and (tuning := tuning_trials(run / "trials.csv")) is not None:
        found["tuning"] = tuning
    if evaluation.calibration.bins:
        found["calibration"] = reliability(evaluation.calibration)
    if evaluation.curve is not None:
        found["learning-curve"] = more_images(evaluation.curve)
    return found


def _beside(evaluation: Evaluation) -> list[tuple[str, Estimate]]:
    """Figures of further tasks."""
    rows = [] if evaluation.tasks is None else task_rows(evaluation.tasks)
    return [(f"{name}, of {images} images", found) for name, found, images in rows]


def _columns(evaluation: Evaluation) -> list[tuple[str, str, list[Slice]]]:
    """Name, summary and slices (worst first) of every column, those without slices last."""
    found = []
    for column in evaluation.columns:
        parts = [part for part in evaluation.slices if part.column == column.name]
        few = sum(part.too_few for part in parts)
        said = [column.note or f"{column.values} value{'' if column.values == 1 else 's'}"]
        if parts and not parts[0].too_few:
            said.append(f"worst {parts[0].value}: {number(parts[0].balanced_accuracy.value)}")
        if few:
            said.append(f"{few} with too few images")
        found.append((column.name, "; ".join(said), parts))
    return sorted(found, key=lambda item: not item[2])
