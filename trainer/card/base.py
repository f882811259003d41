"""The base model's part of the card."""

from __future__ import annotations

from trainer.card.values import BaseFacts
from trainer.trained import RunRecord


def base_facts(record: RunRecord) -> BaseFacts:
    """As far as the run knows it."""
    base = record.base_model
    return BaseFacts(
        id=record.lineage.base_model,
        architecture=base.architecture,
        sha256=record.lineage.base_model_sha256,
        licence=base.licence,
        accepted_risk=base.accepted_risk,
    )


def base_lines(base: BaseFacts) -> list[str]:
    """In Markdown."""
    risk = [f"- **accepted risk of the backbone**: {base.accepted_risk}"] if base.accepted_risk else []
    return [
        f"- backbone: {base.id} ({base.licence.licence}), architecture {base.architecture}, SHA-256 "
        f"`{base.sha256 or 'random weights'}`",
        f"- its owner and use: {base.licence.owner}; {base.licence.permitted_use}",
        *risk,
    ]
