"""Findings in order, the worst first, each with some of its images; the report itself is `contracts.quality`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from contracts.quality import ORDER, Finding
from trainer.dataset import Example

MOST_SHOWN = 24  # images of a finding


def by_weight(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors first; as found within a weight."""
    return tuple(sorted(findings, key=lambda finding: ORDER[finding.weight]))


def shown(sets: Iterable[Sequence[Example]]) -> tuple[tuple[Path, ...], ...]:
    """The paths of the first 24 sets, six of each at most."""
    found: list[tuple[Path, ...]] = []
    for examples in sets:
        if len(found) == MOST_SHOWN:
            break
        found.append(tuple(example.path for example in examples[:6]))
    return tuple(found)
