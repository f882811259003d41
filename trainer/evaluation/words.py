"""How figures are written, in the card, on the page and in the terminal alike."""

from __future__ import annotations

from trainer.claim import FEWEST, counted
from trainer.evaluation.report import Baseline, ClassFigures, Estimate, Evaluation, Slice


def number(value: float | None) -> str:
    """Three decimals."""
    return "unknown" if value is None else f"{value:.3f}"


def interval(found: Estimate) -> str:
    """In brackets; empty where there is none."""
    return "" if found.low is None or found.high is None else f"({found.low:.3f} to {found.high:.3f})"


def figure(found: Estimate) -> str:
    """With its interval; a share of few images as what was counted, which claims nothing.

    >>> figure(Estimate(value=0.9, low=0.83, high=0.95, hits=90, of=100))
    '0.900 (0.830 to 0.950)'
    >>> figure(Estimate(value=1.0, low=0.61, high=1.0, hits=6, of=6))
    '6 of 6'
    """
    if found.of is not None and found.of < FEWEST:
        return f"{found.hits} of {found.of}"
    return f"{number(found.value)} {interval(found)}".rstrip()


def bracketed(found: Estimate | None) -> str:
    """Its interval as a table's cell; empty where there is none."""
    if found is None or found.low is None or found.high is None:
        return ""
    return f"[{found.low:.3f}, {found.high:.3f}]"


def figures_of(evaluation: Evaluation) -> list[tuple[str, Estimate]]:
    """The figures of the whole test, with their names."""
    return [
        ("balanced accuracy", evaluation.balanced_accuracy),
        ("balanced accuracy on images trained on", evaluation.learned),
        ("accuracy", evaluation.accuracy),
        ("AUROC", evaluation.auroc),
        ("average precision of defects", evaluation.average_precision),
        ("macro F1 of the classes", evaluation.macro_f1),
        ("cost of errors a part", evaluation.cost_per_part),
    ]


def class_f1(found: ClassFigures) -> str:
    """Of a class with enough images."""
    return figure(found.f1) if found.images >= FEWEST else "too few"


def reached(evaluation: Evaluation) -> str:
    """The gist in half a sentence: no accuracy where too few images claim one."""
    if not evaluation.claimed:
        found = evaluation.accuracy
        said = f"{counted(found.hits or 0, found.of or 0)} (good parts let through: {figure(evaluation.recall_good)}, "
        return f"{said}defects stopped: {figure(evaluation.recall_defect)}; it takes {FEWEST} of each)"
    return f"balanced accuracy {figure(evaluation.balanced_accuracy)}, AUROC {figure(evaluation.auroc)}"


def beside(item: Baseline, evaluation: Evaluation) -> str:
    """What simpler means reach on the same images."""
    return figure(item.balanced_accuracy) if evaluation.claimed else _right(item) or "too few images"


BASELINE_HEAD = ("balanced accuracy", "right", "learned from", "training", "how")


def baseline_cells(item: Baseline, evaluation: Evaluation) -> tuple[str, ...]:
    """In the order of `BASELINE_HEAD`; what is not known is left open."""
    images = "" if item.learned_from is None else f"{item.learned_from} images"
    took = "" if item.seconds is None else f"{item.seconds:.0f} s"
    return (
        figure(item.balanced_accuracy) if evaluation.claimed else "too few", _right(item), images, took, item.note
    )  # fmt: skip


def _right(item: Baseline) -> str:
    return "" if item.counted.of is None else f"{item.counted.hits} of {item.counted.of}"


def kinds(part: Slice) -> str:
    """Good and defective images of a slice."""
    return f"{part.good} good, {part.defective} defective" if part.good is not None else f"{part.images} images"


def slice_figure(part: Slice) -> str:
    """Balanced accuracy, or that there are too few images for one."""
    return f"too few ({kinds(part)})" if part.too_few else figure(part.balanced_accuracy)


SLICE_HEAD = ("good", "defective", "balanced accuracy", "right", "recall of good", "recall of defects", "AUROC",
              "average precision", "calibration error")  # fmt: skip


def slice_cells(part: Slice) -> tuple[str, ...]:
    """In the order of `SLICE_HEAD`; what cannot be computed is left open."""
    counts = ["" if count is None else str(count) for count in (part.good, part.defective)]
    right = "" if part.accuracy.of is None else f"{part.accuracy.hits} of {part.accuracy.of}"
    shares = ["" if each.value is None else figure(each) for each in (part.recall_good, part.recall_defect)]
    values = (part.auroc, part.average_precision, part.calibration_error)
    return (*counts, slice_figure(part), right, *shares, *("" if each is None else number(each) for each in values))
