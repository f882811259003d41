"""How a bundle's int8 file was made: which ranges, what stayed float, and what was measured to decide it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.frame import Probability
from contracts.names import Wire


class CalibratorError(Wire):
    """What one way to choose the activations' ranges costs, on calibration images that it has not seen."""

    calibrator: str
    error: float = Field(
        ge=0.0,
        description="of the logits beside a constant shift (which the correction of the biases removes), as a share "
        "of how much they vary",
    )


class LayerError(Wire):
    """What eight bits cost in one layer alone, all others in float."""

    name: str
    error: float = Field(ge=0.0, description="of the logits, as for a calibrator")
    share: Probability = Field(description="of the convolutions' multiplications")
    kept_float: bool


class Quantisation(Wire):
    """The choice and what it was made from. `drop` is never measured on the test split: that is the certificate's."""

    way: Literal["ptq", "qat"] = Field(default="ptq", description="after the training, or by training on with rounding")
    weight_bits: Literal[7, 8] = Field(
        default=8, description="7: exact on processors whose sums of two products saturate"
    )
    way_reason: str = Field(default="", description="of the way, where both were tried")
    calibrator: str = Field(description="of the ranges; learned, where they were")
    calibrators: tuple[CalibratorError, ...] = Field(default=(), description="empty: too few images to compare")
    kept_float: tuple[str, ...] = Field(default=(), description="layers that stayed in float")
    float_share: Probability = Field(default=0.0, description="of the convolutions' multiplications")
    drop: float = Field(description="balanced accuracy of float minus that of int8, on `images` held-out images")
    drop_error: float = Field(ge=0.0, description="standard error of the drop, paired")
    max_drop: float = Field(ge=0.0, description="what the drop less its standard error may be")
    images: int = Field(ge=1)
    reasons: tuple[str, ...] = Field(default=(), description="why int8 does not serve, empty where it may")
    layers: tuple[LayerError, ...] = Field(default=(), description="the costliest first; empty: nobody had to look")
