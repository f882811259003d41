"""An evaluation as values: what `evaluation.json` holds and the card shows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.names import Wire


class Estimate(Wire):
    """A figure and its 95 % interval; None where it is undefined (no image of a class, say). A share is `hits` of
    `of` images."""

    value: float | None
    low: float | None = None
    high: float | None = None
    hits: int | None = None
    of: int | None = None


UNKNOWN = Estimate(value=None)


class ClassFigures(Wire):
    """One class against all others, by the most probable class."""

    images: int = Field(ge=0)
    precision: Estimate
    recall: Estimate
    f1: Estimate


class Slice(Wire):
    """The images with one value of a column. Where too few are good or defective, what needs both is undefined."""

    column: str
    value: str
    images: int = Field(ge=0)
    good: int | None = Field(default=None, ge=0, description="of them; None: older than the counts")
    defective: int | None = Field(default=None, ge=0)
    too_few: bool = Field(default=False, description="good or defective images to claim an accuracy")
    accuracy: Estimate = UNKNOWN
    balanced_accuracy: Estimate
    recall_good: Estimate
    recall_defect: Estimate
    auroc: float | None = None
    average_precision: float | None = None
    calibration_error: float | None = None
    classes: dict[str, ClassFigures] = Field(default={}, description="that occur or are answered")


class Column(Wire):
    """What the images were parted by."""

    name: str
    values: int = Field(ge=0, description="different ones among the test images")
    note: str = Field(default="", description="how they were parted, or why not, where that is not plain")


class Calibration(Wire):
    """How far probabilities can be taken at their word. `error` is the expected calibration error over bins of equal
    mass (Naeini, Cooper & Hauskrecht, AAAI 2015); bins as (mean defect score, share of defects, images)."""

    error: float | None
    bins: tuple[tuple[float, float, int], ...] = ()


class UnderFault(Wire):
    """The same images under one camera fault; `severity` 1 (just visible) to 3 (strong)."""

    fault: str
    severity: Literal[1, 2, 3]
    balanced_accuracy: float | None
    lost: float | None = Field(description="against the images as they are")


class Foreign(Wire):
    """Pictures without a part of this product. `stands_out`: the share farther from the training images than 99 % of
    the test images; None where that cannot be told. `unnoticed`: called good without standing out."""

    kind: str
    images: int = Field(ge=0)
    let_through: float = Field(ge=0.0, le=1.0, description="share called good")
    stands_out: float | None = Field(ge=0.0, le=1.0)
    unnoticed: float = Field(ge=0.0, le=1.0)


class Baseline(Wire):
    """What simpler means reach on the same test images."""

    name: str
    balanced_accuracy: Estimate
    accuracy: float | None
    counted: Estimate = Field(default=UNKNOWN, description="the accuracy as a share")
    learned_from: int | None = Field(default=None, ge=0, description="images; None where that is not known")
    seconds: float | None = Field(default=None, ge=0.0, description="to train, all choices included; None: not known")
    note: str = ""


class Failure(Wire):
    """One test image that the model got wrong."""

    path: str
    label: str
    answered: str
    defect_score: float = Field(ge=0.0, le=1.0)


class LearningCurve(Wire):
    """Images learned from -> balanced error of a linear head on frozen features: measured, and expected with more."""

    points: tuple[tuple[int, float], ...]
    expected: tuple[tuple[int, float], ...]


class SeverityFigures(Wire):
    """Of the images whose level is known; levels count from 0, none."""

    images: int = Field(ge=0)
    level_error: Estimate = Field(description="mean distance from the true level, in levels")
    within_one: Estimate = Field(description="share at most one level away")
    order: Estimate = Field(description="share of pairs of different levels in the right order; 0.5 is chance")


class LocationFigures(Wire):
    """Of the defective images with a mark: one box each, the mark it overlaps most."""

    images: int = Field(ge=0)
    boxes_at_30: Estimate = Field(description="share whose intersection over union is at least 0.3")
    boxes_at_50: Estimate = Field(description="share whose intersection over union is at least 0.5")
    mean_overlap: Estimate = Field(description="intersection over union")
    pointing: Estimate = Field(description="share whose hottest place lies in a mark")


class TaskFigures(Wire):
    """Each task alone, whatever the class says; None where the model does not have it."""

    severity: SeverityFigures | None = None
    location: LocationFigures | None = None


class Evaluation(Wire):
    """`evaluation.json`: the model on its test split, as it decides, unless a field says otherwise."""

    schema_version: Literal[1] = 1
    images: int = Field(ge=0)
    groups: int = Field(ge=0, description="intervals resample these: images of one group are not independent")
    claimed: bool = Field(
        default=True, description="whether the test holds enough of good and of defect to claim an accuracy"
    )
    model_sha256: str = Field(default="", description="whose evaluation it is; empty: older than this field")
    accuracy: Estimate
    balanced_accuracy: Estimate
    recall_good: Estimate = UNKNOWN
    recall_defect: Estimate = UNKNOWN
    learned: Estimate = Field(default=UNKNOWN, description="balanced accuracy on images that it was trained on")
    auroc: Estimate
    average_precision: Estimate
    macro_f1: Estimate
    cost_per_part: Estimate = Field(
        description="mean cost of errors as the site weighs them, where defects come as often as it expects"
    )
    smallest_difference: float | None = Field(
        description="in balanced accuracy: two models that differ by less cannot be told apart on these images"
    )
    classes: dict[str, ClassFigures]
    confusion: dict[str, dict[str, int]] = Field(default={}, description="true class -> most probable class -> images")
    calibration: Calibration
    tasks: TaskFigures | None = None
    slices: tuple[Slice, ...] = Field(default=(), description="worst first, those with too few images last")
    columns: tuple[Column, ...] = ()
    faults: tuple[UnderFault, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    curve: LearningCurve | None = None
    failures: tuple[Failure, ...] = Field(default=(), description="the surest wrong answers, surest first")
    warnings: tuple[str, ...] = Field(default=(), description="plain sentences")
