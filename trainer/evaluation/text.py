"""The evaluation as a part of the model card, in Markdown."""

from __future__ import annotations

from contracts.tasks import Tasks
from trainer.evaluation.report import Estimate, Evaluation, TaskFigures


def card_part(evaluation: Evaluation) -> str:
    """Sections with tables; what is undefined says so."""
    lines = [
        f"## Evaluation on {evaluation.images} test images in {evaluation.groups} groups",
        "",
        *(f"- **{sentence}**" for sentence in evaluation.warnings),
        *([] if evaluation.warnings else ["Nothing in it calls for a warning."]),
        "",
        "| figure | value | 95 % interval |",
        "|---|---|---|",
        *(
            f"| {name} | {_value(found)} | {_interval(found)} |"
            for name, found in (
                ("balanced accuracy", evaluation.balanced_accuracy),
                ("balanced accuracy on images trained on", evaluation.learned),
                ("accuracy", evaluation.accuracy),
                ("AUROC", evaluation.auroc),
                ("average precision of defects", evaluation.average_precision),
                ("macro F1 of the classes", evaluation.macro_f1),
                ("cost of errors a part", evaluation.cost_per_part),
            )
        ),
        "",
        f"Two models that differ by less than {_number(evaluation.smallest_difference)} in balanced accuracy cannot be "
        "told apart on these images (80 % power at 5 %, as independent runs; paired ones see less)."
        if evaluation.smallest_difference
        else "How close two models may be until they cannot be told apart on these images is unknown: too few groups.",
        f"Expected calibration error of the defect score: {_number(evaluation.calibration.error)}.",
        "",
        "| class | images | precision | recall | F1 |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {found.images} | {_value(found.precision)} {_interval(found.precision)} "
            f"| {_value(found.recall)} {_interval(found.recall)} | {_value(found.f1)} {_interval(found.f1)} |"
            for name, found in evaluation.classes.items()
        ),
        "",
        *_baselines(evaluation),
        *_curve(evaluation),
        *_faults(evaluation),
        *_foreign(evaluation),
        *_slices(evaluation),
    ]
    return "\n".join(lines) + "\n"


def task_lines(tasks: Tasks, figures: TaskFigures) -> list[str]:
    """A table of the further tasks, each judged alone."""
    rows = task_rows(figures)
    scale = tasks.severity
    levels = [] if scale is None else [f"Levels of {scale.column}: {', '.join(scale.names)}.", ""]
    return [
        "### Beside the class, each task alone",
        "",
        *levels,
        "| figure | value | 95 % interval | images |",
        "|---|---|---|---|",
        *(f"| {name} | {_value(found)} | {_interval(found)} | {images} |" for name, found, images in rows),
        "",
    ]


def task_rows(figures: TaskFigures) -> list[tuple[str, Estimate, int]]:
    """Name, value and number of images."""
    rows = []
    if (severity := figures.severity) is not None:
        rows += [
            ("severity: mean distance from the true level, in levels", severity.level_error, severity.images),
            ("severity: at most one level away", severity.within_one, severity.images),
            ("severity: pairs in the right order (0.5 is chance)", severity.order, severity.images),
        ]
    if (location := figures.location) is not None:
        rows += [
            ("location: boxes that overlap a mark by 0.3", location.boxes_at_30, location.images),
            ("location: boxes that overlap a mark by 0.5", location.boxes_at_50, location.images),
            ("location: mean overlap", location.mean_overlap, location.images),
            ("location: hottest place in a mark", location.pointing, location.images),
        ]
    return rows


def _baselines(evaluation: Evaluation) -> list[str]:
    if not evaluation.baselines:
        return []
    return [
        "### Beside simpler means",
        "",
        "| means | balanced accuracy | 95 % interval | accuracy | training | what it needed |",
        "|---|---|---|---|---|---|",
        *(
            f"| {item.name} | {_value(item.balanced_accuracy)} | {_interval(item.balanced_accuracy)} "
            f"| {_number(item.accuracy)} | {item.seconds:.0f} s | {item.note} |"
            for item in evaluation.baselines
        ),
        "",
    ]


def _curve(evaluation: Evaluation) -> list[str]:
    if evaluation.curve is None:
        return []
    return [
        "### What more images would bring",
        "",
        "Balanced error of a linear head on frozen features, out of fold; what is expected continues a power law.",
        "",
        "| images | balanced error | |",
        "|---|---|---|",
        *(f"| {count} | {error:.3f} | measured |" for count, error in evaluation.curve.points),
        *(f"| {count} | {error:.3f} | expected |" for count, error in evaluation.curve.expected),
        "",
    ]


def _faults(evaluation: Evaluation) -> list[str]:
    names = list(dict.fromkeys(item.fault for item in evaluation.faults))
    by_name = {(item.fault, item.severity): item.lost for item in evaluation.faults}
    if not names:
        return []
    return [
        "### Balanced accuracy lost under faults of the camera",
        "",
        "| fault | light | middle | strong |",
        "|---|---|---|---|",
        *(f"| {name} | " + " | ".join(_number(by_name.get((name, s))) for s in (1, 2, 3)) + " |" for name in names),
        "",
    ]


def _foreign(evaluation: Evaluation) -> list[str]:
    if not evaluation.foreign:
        return []
    return [
        "### Pictures without a part",
        "",
        "What stands out is farther from the training images than 99 % of the test images.",
        "",
        "| what | images | called good | stand out |",
        "|---|---|---|---|",
        *(
            f"| {item.kind} | {item.images} | {item.let_through:.0%} "
            f"| {'unknown' if item.stands_out is None else f'{item.stands_out:.0%}'} |"
            for item in evaluation.foreign
        ),
        "",
    ]


def _slices(evaluation: Evaluation) -> list[str]:
    if not evaluation.slices:
        return []
    return [
        "### By column of the manifest, worst first",
        "",
        "| column | value | images | balanced accuracy | recall of good | recall of defects |",
        "|---|---|---|---|---|---|",
        *(
            f"| {part.column} | {part.value} | {part.images} | {_value(part.balanced_accuracy)} "
            f"{_interval(part.balanced_accuracy)} | {_value(part.recall_good)} | {_value(part.recall_defect)} |"
            for part in evaluation.slices
        ),
        "",
    ]


def _value(found: Estimate) -> str:
    return _number(found.value)


def _interval(found: Estimate) -> str:
    return "" if found.low is None or found.high is None else f"[{found.low:.3f}, {found.high:.3f}]"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
