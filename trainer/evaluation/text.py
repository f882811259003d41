"""The evaluation as a part of the model card, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.tasks import Tasks
from trainer.claim import FEWEST
from trainer.evaluation.report import Estimate, Evaluation, Slice, TaskFigures
from trainer.evaluation.words import (
    BASELINE_HEAD,
    SLICE_HEAD,
    baseline_cells,
    bracketed,
    class_f1,
    figure,
    figures_of,
    number,
    reached,
    slice_cells,
)

_MOST_SLICES, _MOST_KINDS = 24, 12  # rows; the page has all of them


def card_part(evaluation: Evaluation) -> str:
    """Sections with tables; what is undefined says so."""
    lines = [
        f"## Evaluation on {evaluation.images} test images in {evaluation.groups} groups",
        "",
        *(f"- **{sentence}**" for sentence in evaluation.warnings),
        *([] if evaluation.warnings else ["Nothing in it calls for a warning."]),
        "",
        *(_figures(evaluation) if evaluation.claimed else [f"{reached(evaluation)}.", ""]),
        "| class | images | precision | recall | F1 |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {found.images} | {figure(found.precision)} | {figure(found.recall)} | {class_f1(found)} |"
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


def _figures(evaluation: Evaluation) -> list[str]:
    return [
        "| figure | value | 95 % interval |",
        "|---|---|---|",
        *(f"| {name} | {number(found.value)} | {bracketed(found)} |" for name, found in figures_of(evaluation)),
        "",
        f"Two models that differ by less than {number(evaluation.smallest_difference)} in balanced accuracy cannot be "
        "told apart on these images (80 % power at 5 %, as independent runs; paired ones see less)."
        if evaluation.smallest_difference
        else "How close two models may be until they cannot be told apart on these images is unknown: too few groups.",
        f"Expected calibration error of the defect score: {number(evaluation.calibration.error)}.",
        "",
    ]


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
        *(f"| {name} | {number(found.value)} | {bracketed(found)} | {images} |" for name, found, images in rows),
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
        f"| means | {' | '.join(BASELINE_HEAD)} |",
        "|---" * (len(BASELINE_HEAD) + 1) + "|",
        *(f"| {item.name} | {' | '.join(baseline_cells(item, evaluation))} |" for item in evaluation.baselines),
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
        *(f"| {name} | " + " | ".join(number(by_name.get((name, s))) for s in (1, 2, 3)) + " |" for name in names),
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
    """Sites, then the worst; those with too few images last."""
    if not evaluation.slices and not evaluation.columns:
        return []
    ordered = sorted(evaluation.slices, key=lambda part: part.column != "site")
    left = len(ordered) - _MOST_SLICES
    return [
        "### By column of the manifest, worst first",
        "",
        *(f"- {column.name}: {column.note}" for column in evaluation.columns if column.note),
        "",
        f"| column | value | {' | '.join(SLICE_HEAD)} |",
        "|---" * (len(SLICE_HEAD) + 2) + "|",
        *(f"| {part.column} | {part.value} | {' | '.join(slice_cells(part))} |" for part in ordered[:_MOST_SLICES]),
        *([f"| and {left} more: report.html |" + " |" * (len(SLICE_HEAD) + 1)] if left > 0 else []),
        "",
        *_classes_of(evaluation.slices),
    ]


def _classes_of(parts: Sequence[Slice]) -> list[str]:
    """Where a class of enough images fares worst."""
    found = [
        (figures.f1.value or 0.0, part, name, figures)
        for part in parts
        for name, figures in part.classes.items()
        if figures.images >= FEWEST
    ]
    if not found:
        return []
    worst = sorted(found, key=lambda row: row[0])[:_MOST_KINDS]
    return [
        f"Of the {len(found)} classes of a slice with {FEWEST} images or more, those with the lowest F1:",
        "",
        "| column | value | class | images | precision | recall | F1 |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {part.column} | {part.value} | {name} | {each.images} | {figure(each.precision)} | "
            f"{figure(each.recall)} | {class_f1(each)} |"
            for _, part, name, each in worst
        ),
        "",
    ]
