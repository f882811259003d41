"""How long and how fast a network learns with the rounding of int8 in it."""

from __future__ import annotations

from pydantic import Field

from contracts.settings import Settings


class QatSettings(Settings):
    """How training goes on with the rounding of int8 in it, where `quantisation` asks for it."""

    rate: float = Field(default=1e-5, gt=0.0, description="AdamW's largest learning rate")
    head_rate: float = Field(default=1.0, ge=0.0, description="of the head, times `rate`")
    passes: int = Field(default=4, ge=1, description="over the training images, within the limits of steps")
    fewest_steps: int = Field(default=60, ge=1, description="of 32 images")
    most_steps: int = Field(default=240, ge=1)
    max_seconds: float = Field(default=900.0, gt=0.0, description="the weights so far stay when they have passed")
    echo: float = Field(
        default=0.5, ge=0.0, le=1.0, description="share of what the float network says in what is learned; the rest "
        "is the label"
    )  # fmt: skip
    float_stem: bool = Field(
        default=False, description="as `float_stem` of the export, where that is on: what ptq leaves in float does not "
        "learn to round; off: every convolution runs in int8"
    )  # fmt: skip
    seed: int = 0
