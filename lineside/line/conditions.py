"""The knobs of the simulated line, as one value that travels in a control file."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lineside.line.defect import DEFECTS, DEMO_DEFECTS
from lineside.line.finish import Finish
from lineside.line.lens import Dirt
from lineside.line.product import PRODUCTS


def _evenly() -> dict[str, float]:
    return dict.fromkeys(DEMO_DEFECTS, 1.0)


class Conditions(BaseModel):
    """What the line makes and how the cameras see it from the next part on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product: str = "cap"
    finish: Finish | None = None  # None: the product's home finish
    lighting: float = Field(default=1.0, gt=0, le=3)  # 1.0 as commissioned
    blur_px: float = Field(default=0.0, ge=0, le=10)  # Gaussian radius
    dirt: dict[str, Dirt] = Field(default_factory=dict)  # by camera name
    defect_rate: float = Field(default=0.3, ge=0, le=1)
    defect_kinds: dict[str, float] = Field(default_factory=_evenly, min_length=1)  # kind: weight

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.product not in PRODUCTS:
            raise ValueError(f"unknown product {self.product!r}; the line makes {', '.join(PRODUCTS)}")
        unknown = set(self.defect_kinds) - set(DEFECTS)
        if unknown:
            raise ValueError(f"unknown defect kinds {sorted(unknown)}; the line knows {', '.join(DEFECTS)}")
        if min(self.defect_kinds.values()) < 0 or sum(self.defect_kinds.values()) <= 0:
            raise ValueError("weights in defect_kinds must be 0 or more, and at least one above 0")
        return self
