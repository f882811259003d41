"""What was seen (`Frame`), what was decided (`Verdict`) and what turned out to be true (`Outcome`)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from contracts.names import Identifier, Label, Moment, Name, Sha256, Wire
from contracts.tasks import PixelBox, Severity

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class Decision(StrEnum):
    """What the line is told about one part."""

    OK = "OK"
    NG = "NG"
    REVIEW = "REVIEW"
    NO_VERDICT = "NO_VERDICT"


class Clock(StrEnum):
    """How far a frame's trigger time can be trusted."""

    SYNCHRONISED = "synchronised"
    FREE_RUNNING = "free-running"
    UNKNOWN = "unknown"


class Frame(Wire):
    """One trigger of one camera. `part_id` is the plant's, or made of camera and sequence where the plant has none."""

    schema_version: Literal[1] = 1
    part_id: Identifier
    sequence: int = Field(ge=0, description="counts up by one per camera, also over restarts")
    product: Name = "default"
    camera: Name = "camera-1"
    view: Name = "top"
    line: Name = "line-1"
    shift: str | None = Field(default=None, max_length=64)
    lot: str | None = Field(default=None, max_length=64)
    triggered_at: Moment
    clock: Clock = Clock.UNKNOWN


class Verdict(Wire):
    """The decision on one frame. `scores` are probabilities per label and sum to 1; empty when there is no verdict."""

    schema_version: Literal[1] = 1
    frame: Frame
    decision: Decision
    label: Label | None = Field(default=None, description="the most probable class")
    scores: dict[Label, Probability] = {}
    defect_score: Probability | None = Field(default=None, description="1 minus the probability of the good classes")
    threshold: Probability | None = Field(default=None, description="NG at or above it")
    review_from: Probability | None = Field(default=None, description="REVIEW from here to `threshold`, OK below")
    thresholds_number: int | None = Field(
        default=None, ge=1, description="of the signed thresholds that decided; None: the bundle's own"
    )
    severity: Severity | None = Field(default=None, description="None where the model has no such task")
    box: PixelBox | None = Field(default=None, description="of the defect; None where the part passes")
    bundle_hash: Sha256 | None = None
    latency_seconds: float | None = Field(default=None, ge=0.0)
    reason: str | None = Field(default=None, description="why there is no verdict")


class OutcomeSource(StrEnum):
    """Who says so. Only `audit` and `drift-sample` labels are random draws; the others are found by looking.

    Raters label images that stand out (`atypical`), of which the model was least sure (`unsure`), or whose verdict
    somebody at the line contradicted (`overruled`). What that somebody said is `operator` or `end-of-line`.
    """

    AUDIT = "audit"
    DRIFT_SAMPLE = "drift-sample"
    ATYPICAL = "atypical"
    UNSURE = "unsure"
    OVERRULED = "overruled"
    OPERATOR = "operator"
    END_OF_LINE = "end-of-line"


RANDOM_SOURCES = frozenset({OutcomeSource.AUDIT, OutcomeSource.DRIFT_SAMPLE})
"""Drawn without looking at the answer: shares counted on these mean something."""
PICKED_SOURCES = (OutcomeSource.ATYPICAL, OutcomeSource.UNSURE, OutcomeSource.OVERRULED)
"""Images that were picked for what they show or what was said of them: to learn from, never to count on."""


class Outcome(Wire):
    """The true class of a part, found later. Joins its verdict by `part_id` and, where given, `camera`."""

    schema_version: Literal[1] = 1
    part_id: Identifier
    label: Label
    source: OutcomeSource
    camera: Name | None = None
    rater: Identifier = Field(description="a pseudonym, never a name")
    decided_at: Moment
