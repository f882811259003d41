"""A quality report: findings, the worst first, each with its images and the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from contracts.names import Wire
from trainer.dataset import Example

Weight = Literal["error", "warning", "note"]
_ORDER: dict[Weight, int] = {"error": 0, "warning": 1, "note": 2}
MOST_SHOWN = 24  # images of a finding


class Finding(Wire):
    """One thing to know about the images. An `error` makes figures untrue or a label wrong; `--strict` refuses it."""

    kind: str = Field(description="stable name, for programs")
    weight: Weight
    text: str = Field(description="what was found, with numbers")
    remedy: str = ""
    count: int = Field(default=0, ge=0, description="images concerned")
    images: tuple[tuple[Path, ...], ...] = Field(default=(), description="some, those that belong together in one")


class QualityReport(Wire):
    """`quality.json`."""

    schema_version: Literal[1] = 1
    source: str
    examples: int = Field(ge=0, description="images that can be used")
    classes: dict[str, dict[str, int]] = Field(description="split -> class -> images")
    findings: tuple[Finding, ...]

    def worst(self) -> Weight | None:
        """The weight of the gravest finding."""
        return min((finding.weight for finding in self.findings), key=_ORDER.__getitem__, default=None)


def by_weight(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors first; as found within a weight."""
    return tuple(sorted(findings, key=lambda finding: _ORDER[finding.weight]))


def shown(sets: Iterable[Sequence[Example]]) -> tuple[tuple[Path, ...], ...]:
    """The paths of the first 24 sets, six of each at most."""
    found: list[tuple[Path, ...]] = []
    for examples in sets:
        if len(found) == MOST_SHOWN:
            break
        found.append(tuple(example.path for example in examples[:6]))
    return tuple(found)
