"""The base model's part of the card: its terms, what it learned from, its limits, and what it was itself made from."""

from __future__ import annotations

from trainer.bases.backbone import Described
from trainer.card.values import BaseFacts
from trainer.trained import RunRecord


def base_facts(record: RunRecord) -> BaseFacts:
    """As far as the run knows it. Where images lie stays at home: the card travels."""
    base, random = record.base_model, record.lineage.base_model_sha256 is None
    return BaseFacts(
        id=record.lineage.base_model,
        architecture=base.architecture,
        sha256=record.lineage.base_model_sha256,
        licence=base.licence,
        accepted_risk="" if random else base.accepted_risk,
        line=() if random else tuple(each.model_copy(update={"snapshot": None}) for each in base.line()),
    )


def base_lines(base: BaseFacts) -> list[str]:
    """In Markdown."""
    if base.sha256 is None:
        architecture = f"the architecture ({base.architecture}) is that of `{base.id}`"
        return [f"Random weights: {architecture}, none of its weights were used.", ""]
    lines = [f"Architecture {base.architecture}, SHA-256 of the pretrained weights `{base.sha256}`.", ""]
    for number, each in enumerate(base.line):
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
