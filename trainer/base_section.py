"""The model card's section on the base model: its terms, what it learned from, its limits, and its whole line."""

from __future__ import annotations

from trainer.bases.backbone import Described
from trainer.trained import RunRecord


def base_section(record: RunRecord) -> list[str]:
    """Lines of Markdown, an empty one last. The model's own base first, then what that was made from, nearest first."""
    base = record.base_model
    if record.lineage.base_model_sha256 is None:
        said = f"Random weights: the architecture is that of `{base.id}`, none of its weights were used."
        return ["## Base model", "", said, ""]
    lines = ["## Base model", ""]
    for number, each in enumerate(base.line()):
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
