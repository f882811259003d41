"""Limits and sizes of an export. The defaults suit a few hundred to a few thousand images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from contracts.settings import Settings
from exporter.qat.settings import QatSettings
from exporter.ranges import USUAL, Calibrator


class Limits(Settings):
    """When a variant counts as equal to the float model. One of the two ways is enough:

    - it gives the same most probable class on at least `agreement` of the images, or
    - on at least `agreement_at_least`, and balanced accuracy and AUROC on the test split fall by at most
      `metric_drop`: images whose float answer was a toss-up may fall either way as long as nothing gets worse.
    """

    agreement: float = Field(default=0.98, ge=0.0, le=1.0)
    agreement_at_least: float = Field(default=0.93, ge=0.0, le=1.0)
    metric_drop: float = Field(default=0.01, ge=0.0, le=1.0)
    task_drop: float = Field(
        default=0.05,
        ge=0.0,
        le=1.0,
        description="of boxes on their mark, or of the severity scale, whatever else holds",
    )


class ExportSettings(Settings):
    """How a bundle is made of a run: which int8, what certifies it. Numbers of images are upper limits."""

    limits: Limits = Limits()
    quantisation: Literal["ptq", "qat", "auto"] = Field(
        default="ptq", description="ptq: after the training, in seconds; qat: training goes on with its rounding, for "
        "minutes; auto: both, and the one that answers the validation images better is taken"
    )  # fmt: skip
    qat: QatSettings = QatSettings()
    components: int = Field(default=16, ge=1, le=64, description="principal components of the drift reference")
    calibration_images: int = Field(default=128, ge=1, description="from the training split, for the int8 ranges")
    calibrators: tuple[Calibrator, ...] = Field(
        default=USUAL,
        min_length=1,
        description="ways to choose the int8 ranges; the best on held-out images wins",
    )
    weight_bits: Literal[7, 8] = Field(
        default=8, description="of int8; 7: fast on x86 without VNNI too, where 8 need exact products, less accurate"
    )
    float_stem: bool = Field(
        default=True, description="a depthwise second convolution and the first stay in float; off: all in int8"
    )
    max_drop: float = Field(
        default=0.005,
        ge=0.0,
        le=1.0,
        description="of balanced accuracy by int8; layers stay in float to keep within it",
    )
    float_budget: float = Field(
        default=0.25, ge=0.0, le=1.0, description="share of the multiplications that may stay in float for that"
    )
    search_images: int = Field(default=200, ge=1, description="held out, never of the test split, for that drop")
    sensitivity: bool = Field(default=False, description="measure every layer, even where int8 keeps within the drop")
    correction_images: int = Field(default=32, ge=1, description="of those, for the correction of the biases")
    certificate_images: int = Field(default=400, ge=1, description="compared with the float model")
    certificate_images_at_least: int = Field(
        default=100, ge=1, description="a smaller test split is filled up for the comparison (not for the metrics)"
    )
    reference_images: int = Field(default=2000, ge=4, description="from the training split, for the drift reference")
    other_reference_images: int = Field(
        default=500, ge=4, description="of those, for the variants that do not serve by default"
    )
    fault_images: int = Field(
        default=40,
        ge=0,
        le=500,
        description="spoilt by camera faults on purpose, so that a monitor knows them when they come; 0: it does not",
    )
    golden_samples: int = Field(default=8, ge=1, le=64)
    latency_runs: int = Field(default=40, ge=1)
    seed: int = 0

    @property
    def learning(self) -> QatSettings:
        """`qat`, whose stem is in float only where all of the export's may be."""
        return self.qat.model_copy(update={"float_stem": self.qat.float_stem and self.float_stem})

    @model_validator(mode="after")
    def _learned_weights_have_eight_bits(self) -> ExportSettings:
        if self.weight_bits != 8 and self.quantisation != "ptq":
            raise ValueError("weight_bits = 7 is for quantisation = ptq: training with rounding learns 8 bits")
        return self
