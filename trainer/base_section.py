"""The model card's section on the base model: its terms, what it learned from, its limits, and its whole line."""

from __future__ import annotations

from collections.abc import Sequence

from trainer.bases.backbone import Described


def base_section(name: str, line: Sequence[Described]) -> list[str]:
    """Lines of Markdown, an empty one last. `line`: the base model first, then what it was made from, nearest first;
    empty where random weights learned in the architecture of the base model `name`."""
    if not line:
        said = f"Random weights: the architecture is that of `{name}`, none of its weights were used."
        return ["## Base model", "", said, ""]
    lines = ["## Base model", ""]
    for number, each in enumerate(line):
        lines += [_named(each, "" if number == 0 else "made from "), "", *_told(each), ""]
    return lines


def _named(described: Described, how: str) -> str:
    licence = described.licence
    return f"{how}`{described.id}`: {licence.licence} (owner {licence.owner}; use: {licence.permitted_use})"


def _told(described: Described) -> list[str]:
    until = f"; until {described.accepted_until}" if described.accepted_until else ""
    return [
        *([f"- **accepted risk**: {described.accepted_risk}{until}"] if described.accepted_risk else []),
        f"- learned from: {described.training_data or 'not described'}",
        f"- described in: {described.documentation or 'nothing that is known'}",
        *(f"- known limit: {limit}" for limit in described.limits),
        *(f"- known bias: {bias}" for bias in described.biases),
    ]
