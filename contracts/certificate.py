"""The evidence that a variant of a bundle answers as the trained model does: how right, how sure, how fast."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from contracts.frame import Probability
from contracts.names import Label, Name, Wire, absent
from contracts.tasks import TaskCertificate


class TaskMetrics(Wire):
    """Quality on one labelled set. Values are 0..1; None where undefined (a class without examples)."""

    examples: int = Field(ge=0)
    accuracy: Probability | None
    balanced_accuracy: Probability | None = Field(description="mean of the recalls of good and defect, by decision")
    auroc: Probability | None = Field(description="of the defect score")
    best_constant: Probability | None = Field(description="accuracy of always answering the commoner of good / defect")
    recall_good: Probability | None
    recall_defect: Probability | None
    recall_per_label: dict[Label, Probability | None] = {}
    confusion: dict[Label, dict[Label, int]] = Field(default={}, description="true label -> predicted label -> count")


class LatencySummary(Wire):
    """Seconds for one inference, batch 1, with the stated threads."""

    p50_seconds: float = Field(ge=0.0)
    p95_seconds: float = Field(ge=0.0)
    runs: int = Field(ge=1)
    threads: int = Field(ge=1)


class Calibration(Wire):
    """How far the probability of the answered class is from how often it is right (expected calibration error over ten
    equal bins), 0..1, on the test images."""

    error: Probability
    reference_error: Probability


class Certificate(Wire):
    """Evidence that one variant answers like the fp32 model on one class of devices, measured through the runtime that
    will serve it."""

    variant: str
    device_class: Name | None = Field(
        default=None, exclude_if=absent, description="see `runtime.machine`; None: older than device classes"
    )
    reference: str = "torch/fp32"
    images: int = Field(ge=1)
    argmax_agreement: Probability
    max_probability_difference: Probability
    mean_probability_difference: Probability | None = Field(default=None, exclude_if=absent)
    calibration: Calibration | None = Field(default=None, exclude_if=absent)
    embedding_shift: float | None = Field(
        default=None,
        ge=0.0,
        exclude_if=absent,
        description="root mean square difference of the embedding over that of the float one about its mean",
    )
    metrics: TaskMetrics
    reference_metrics: TaskMetrics
    tasks: TaskCertificate | None = Field(default=None, exclude_if=absent)
    latency: LatencySummary
    machine: dict[str, Any] = {}
    passed: bool
    reasons: tuple[str, ...] = Field(default=(), description="why it did not pass, empty when it did")
