"""The evaluation as one HTML file that needs nothing else: figures, curves, and the worst failures as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader

from trainer.bases.worth import worth_of
from trainer.evaluation.plots import more_images, reliability, training_curves, tuning_trials
from trainer.evaluation.report import Estimate, Evaluation
from trainer.evaluation.text import task_rows
from trainer.marks import placed
from trainer.thumbnail import data_address, thumbnail
from trainer.trained import TrainedModel
from trainer.views import FLIPS_IN_WORDS

_FIGURES = (
    ("balanced accuracy", "balanced_accuracy"),
    ("balanced accuracy on images trained on", "learned"),
    ("accuracy", "accuracy"),
    ("AUROC", "auroc"),
    ("average precision of defects", "average_precision"),
    ("macro F1 of the classes", "macro_f1"),
    ("cost of errors a part", "cost_per_part"),
)


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
        figures=[(name, getattr(evaluation, key)) for name, key in _FIGURES] + _beside(evaluation),
        pictures=[(name, data_address("image/png", data)) for name, data in pictures.items()],
        sheet=data_address("image/png", sheet),
        seen=FLIPS_IN_WORDS[str(model.record.lineage.training.get("flips", "none"))],
        faults=list(dict.fromkeys(found.fault for found in evaluation.faults)),
        lost={(found.fault, found.severity): found.lost for found in evaluation.faults},
        thumbnail=lambda path: thumbnail(Path(path), placed(examples[path]) if path in examples else ()),
        name_of=lambda path: Path(path).name,
        absolute=lambda path: str(Path(path).resolve()),
        value=_value,
        number=_number,
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


def _value(found: Estimate) -> str:
    interval = "" if found.low is None or found.high is None else f" ({found.low:.3f} to {found.high:.3f})"
    return _number(found.value) + interval


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
