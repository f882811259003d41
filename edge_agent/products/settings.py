"""Which products a line makes, by which codes they are known, and where a product's name comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from contracts.names import Name, Sha256
from contracts.settings import Settings

UNKNOWN = "unknown"
"""The product of an image of which nobody knows what it shows."""

Code = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,128}$", strip_whitespace=True)]
"""A product as a PLC, a program or a barcode says it: a text of one line."""


class BundleSettings(Settings):
    """A bundle installed by hand, for a station without a monitor. Whoever writes the hash vouches for the bundle."""

    path: Path
    hash: Sha256


class ProductSettings(Settings):
    """A product that the line makes. With any in the settings, an image of another product gets no verdict."""

    name: Name
    codes: tuple[Code, ...] = Field(default=(), description="what PLC, program or barcode call it, beside its name")
    bundle: BundleSettings | None = Field(default=None, description="its own, brought by hand; default: the station's")


class ChangeoverSettings(Settings):
    """How the station learns which product is before a camera."""

    product_from: Literal["image", "line"] = Field(
        default="image",
        description="image: what comes with it, else its source's settings; line: what comes with it, else what the "
        "line has said since the agent's start",
    )
    keep_loaded: int = Field(default=2, ge=1, le=64, description="bundles of products in memory, beside the station's")
