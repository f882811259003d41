"""A card from what a run already knows: its record, its snapshot, and the quality report beside it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from contracts.quality import QualityReport
from trainer.bases.worth import worth_of
from trainer.card.base import base_facts
from trainer.card.values import (
    DataFacts,
    InputFacts,
    ModelCard,
    QualityFacts,
    QualityKind,
    SplitFacts,
    Together,
    TrainingFacts,
)
from trainer.evaluation.report import Estimate, Evaluation, TaskFigures
from trainer.forgetting import UNKNOWN, Kept
from trainer.jitter import Jitter
from trainer.raters import agreement_in
from trainer.sites.by_site import AtSite
from trainer.snapshot import Snapshot
from trainer.trained import RunRecord


def card_of(record: RunRecord, snapshot: Snapshot, quality: QualityReport | None = None) -> ModelCard:
    """The card of a finished run, without an evaluation."""
    details, retrained = record.details, record.lineage.order_id is not None
    kept = tuple(Kept.model_validate(each) for each in details.get("forgetting") or ())
    beside = details.get("tasks")
    return ModelCard(
        site=record.site,
        product=record.product,
        created_at=record.created_at,
        seconds=record.seconds,
        labels=record.labels,
        good_labels=record.good_labels,
        model_sha256=record.model_sha256,
        licence=record.licence,
        lineage=record.lineage,
        base=base_facts(record),
        worth=worth_of(record),
        data=_data(record, snapshot, quality),
        quality=None if quality is None else _quality(quality),
        training=_training(record),
        input=InputFacts(
            preprocessing=record.preprocessing,
            smallest_defect=record.lineage.training.get("smallest_defect"),
            reasons=_reasons(details, "size"),
        ),
        thresholds=record.thresholds,
        temperature=record.temperature,
        calibration_shift=details.get("calibration_shift"),
        metrics=record.test_metrics,
        intervals={name: Estimate.model_validate(each) for name, each in (details.get("intervals") or {}).items()},
        tasks=record.tasks,
        task_figures=None if beside is None else TaskFigures.model_validate(beside),
        task_comparisons={
            name: Together.model_validate(each) for name, each in (details.get("tasks_alone") or {}).items()
        },
        sites=tuple(AtSite.model_validate(each) for each in details.get("sites") or ()),
        kept=kept,
        kept_unknown=UNKNOWN if retrained and all(each.by == "sister" for each in kept) else "",
        cannot_promise=record.cannot_promise,
    )


def with_evaluation(card: ModelCard, evaluation: Evaluation) -> ModelCard:
    """The card with this evaluation in place of an earlier one; where the failures lie on this machine stays here."""
    told = evaluation.model_copy(update={"failures": ()})
    return card.model_copy(update={"evaluation": told, "failures": len(evaluation.failures)})


def _data(record: RunRecord, snapshot: Snapshot, quality: QualityReport | None) -> DataFacts:
    counts = snapshot.counts()
    groups = {name: {e.group for e in snapshot.examples if e.split == name and e.group} for name in counts}
    told = quality.agreement if quality is not None else None
    return DataFacts(
        splits={name: SplitFacts(images=images, groups=len(groups[name])) for name, images in counts.items()},
        split_by=snapshot.split_by,
        ungrouped=sum(not example.group for example in snapshot.examples),
        parent_snapshot=snapshot.parent,
        pinned=f"test groups: {record.details.get('pinned', 'not looked for in earlier snapshots')}",
        raters=told or agreement_in(snapshot.examples),
    )


def _quality(report: QualityReport) -> QualityFacts:
    counts = Counter(finding.weight for finding in report.findings)
    return QualityFacts(
        errors=counts["error"],
        warnings=counts["warning"],
        notes=counts["note"],
        findings=tuple(QualityKind(kind=f.kind, weight=f.weight, images=f.count) for f in report.findings),
    )


def _training(record: RunRecord) -> TrainingFacts:
    details, settings = record.details, record.lineage.training
    return TrainingFacts(
        strategy=details.get("strategy", "tail"),
        reasons=_reasons(details, "contest"),
        tuning=_reasons(details, "tuning"),
        restarts=tuple(details.get("restarts", ())),
        flips=settings.get("flips", ""),
        augmentation=Jitter.model_validate(settings.get("jitter", {})).in_words(),
        graft=settings.get("graft", False),
        looks=record.looks,
        pooling=record.pooling,
        device=details.get("device", "cpu"),
    )


def _reasons(details: dict[str, Any], about: str) -> tuple[str, ...]:
    """Why something was chosen; none where nothing was."""
    return tuple((details.get(about) or {}).get("reasons", ()))
