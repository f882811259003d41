"""What is wrong with labelled images: what a trainer's check found, for people and for the monitor that asked."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import Field

from contracts.names import Wire, absent

Weight = Literal["error", "warning", "note"]
ORDER: dict[Weight, int] = {"error": 0, "warning": 1, "note": 2}


class OddDay(Wire):
    """A day whose labels do not fit its images."""

    day: date
    site: str = Field(default="", description="empty: of all sites, or nobody says")
    images: int = Field(ge=0, description="labelled images of that day")
    labelled: int = Field(ge=0, description="of them labelled as defective")
    expected: float = Field(ge=0.0, description="of them that look so to heads that never saw the day")


class Finding(Wire):
    """One thing to know about the images. An `error` makes figures untrue or a label wrong; `--strict` refuses it."""

    kind: str = Field(description="stable name, for programs")
    weight: Weight
    text: str = Field(description="what was found, with numbers")
    remedy: str = ""
    count: int = Field(default=0, ge=0, description="images concerned")
    images: tuple[tuple[Path, ...], ...] = Field(default=(), description="some, those that belong together in one")
    day: OddDay | None = Field(default=None, description="where it is about one")


class RaterAgreement(Wire):
    """How far several raters of the same images agree; kappa and its 95 % interval: None where chance explains all."""

    raters: int = Field(ge=0)
    images: int = Field(ge=0, description="with two ratings or more")
    share: float | None = Field(default=None, description="of pairs of ratings that agree")
    kappa: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = Field(default="", description="Cohen (two raters) or Fleiss")


class QualityReport(Wire):
    """`quality.json`."""

    schema_version: Literal[1] = 1
    source: str
    examples: int = Field(ge=0, description="images that can be used")
    classes: dict[str, dict[str, int]] = Field(description="split -> class -> images")
    findings: tuple[Finding, ...]
    agreement: RaterAgreement | None = Field(
        default=None, exclude_if=absent, description="of its raters; None: nobody was asked twice, or it is older"
    )

    def worst(self) -> Weight | None:
        """The weight of the gravest finding."""
        return min((finding.weight for finding in self.findings), key=ORDER.__getitem__, default=None)
