"""What labels prove about the served model. Only parts drawn at random count; whoever looks for errors finds them.

An escape is a labelled defect decided OK, a false reject a labelled good part decided NG; REVIEW is neither. Each has
its own e-process within its own true class, and tolerates what the certificate allows plus what wrong labels alone
would look like. How rare a side is decides how much its wrong labels weigh; that share is estimated from earlier
labels only, and at its low end, so that the e-process stays valid. A label moves one of the two processes, so their
product is an e-process too, for "both are as tolerated": it finds a model that is moderately wrong on both sides.
"""

from __future__ import annotations

from math import log, sqrt

from pydantic import BaseModel, ConfigDict, Field

from contracts.frame import RANDOM_SOURCES, Decision, OutcomeSource
from contracts.names import Label
from drift.eprocess import EProcess
from drift.quantile import clopper_pearson
from drift.tolerance import apparent_error
from monitor.rules.facts import BundleFacts
from monitor.rules.happening import LabelSeen
from monitor.rules.reason import Reason, because
from monitor.rules.settings import RuleSettings

_PRIOR_LABELS = 10.0  # labels that the certificate's share of defects counts for


class Evidence(BaseModel):
    """Counts and e-processes; a value."""

    model_config = ConfigDict(frozen=True)

    escapes: EProcess
    false_rejects: EProcess
    defect_share: float
    log_peak_of_both: float = 0.0
    random: int = 0
    wrong: int = 0
    new_labels: dict[Label, int] = {}
    unseen: dict[Label, int] = Field(default={}, description="parts of classes that the model does not know")
    unseen_parts: dict[Label, tuple[str, ...]] = Field(default={}, description="ids of those, each counted once")

    @property
    def labels(self) -> int:
        """All new labels, also those that prove nothing."""
        return sum(self.new_labels.values())


def no_evidence(facts: BundleFacts, settings: RuleSettings) -> Evidence:
    """Nothing known yet about a release."""
    return Evidence(
        escapes=EProcess(tolerated=facts.escapes_tolerated, proof=settings.proof),
        false_rejects=EProcess(tolerated=facts.false_rejects_tolerated, proof=settings.proof),
        defect_share=facts.defect_share,
    )


def counted(evidence: Evidence, label: LabelSeen, facts: BundleFacts, settings: RuleSettings) -> Evidence:
    """The evidence after one more label of a part that the release of `facts` decided. What a rater says of a part
    that somebody at the line had spoken of counts no second time."""
    if label.source is OutcomeSource.OVERRULED:
        return evidence
    new = {**evidence.new_labels, label.label: evidence.new_labels.get(label.label, 0) + 1}
    evidence = evidence.model_copy(update={"new_labels": new})
    if label.label not in facts.labels:
        evidence = _unseen(evidence, label, settings)
    if label.source not in RANDOM_SOURCES or label.decision is Decision.NO_VERDICT:
        return evidence
    return _tested(evidence, label, facts, settings)


def _unseen(evidence: Evidence, label: LabelSeen, settings: RuleSettings) -> Evidence:
    """One more part of a class that the model does not know, unless another label named it so before: operator and
    rater may both. Nothing is counted, or remembered, beyond the parts that are enough."""
    parts, known = evidence.unseen.get(label.label, 0), evidence.unseen_parts.get(label.label, ())
    if parts >= settings.unseen_class_parts or label.part_id in known:
        return evidence
    unseen = {**evidence.unseen, label.label: parts + 1}
    unseen_parts = {**evidence.unseen_parts, label.label: (*known, label.part_id)}
    return evidence.model_copy(update={"unseen": unseen, "unseen_parts": unseen_parts})


def _tested(evidence: Evidence, label: LabelSeen, facts: BundleFacts, settings: RuleSettings) -> Evidence:
    defect = facts.side(label.label) == "defect"
    wrong = label.decision is (Decision.OK if defect else Decision.NG)
    share = _share_of("defect" if defect else "good", evidence, settings.label_noise)
    changes: dict[str, object] = {"random": evidence.random + 1, "wrong": evidence.wrong + wrong}
    if defect:
        tolerated = apparent_error(facts.escapes_tolerated, share=share, noise=settings.label_noise)
        changes["escapes"] = evidence.escapes.update(wrong, tolerated=tolerated)
    else:
        tolerated = apparent_error(facts.false_rejects_tolerated, share=share, noise=settings.label_noise)
        changes["false_rejects"] = evidence.false_rejects.update(wrong, tolerated=tolerated)
    evidence = evidence.model_copy(update=changes)
    both = evidence.escapes.log_e_value + evidence.false_rejects.log_e_value
    return evidence.model_copy(update={"log_peak_of_both": max(evidence.log_peak_of_both, both)})


def _share_of(side: str, evidence: Evidence, noise: float) -> float:
    """Share of a side among the parts, one standard error below its estimate, freed of what wrong labels add to it."""
    own = evidence.escapes.labels if side == "defect" else evidence.false_rejects.labels
    certified = evidence.defect_share if side == "defect" else 1.0 - evidence.defect_share
    n = evidence.random + _PRIOR_LABELS
    labelled = (own + _PRIOR_LABELS * certified) / n
    low = labelled - sqrt(labelled * (1.0 - labelled) / n)
    return (low - noise) / (1.0 - 2.0 * noise)


def harms(evidence: Evidence, settings: RuleSettings) -> list[Reason]:
    """All that the labels prove; empty while they prove nothing."""
    sides = (("harm-escapes", evidence.escapes), ("harm-false-rejects", evidence.false_rejects))
    found = [harm_of(code, process) for code, process in sides if process.reached(settings.proof)]
    if not found and evidence.log_peak_of_both >= log(settings.proof):
        found.append(because("harm-both", wrong=evidence.wrong, labels=evidence.random))
    return [*found, *new_classes(evidence, settings)]


def harm_of(code: str, process: EProcess) -> Reason:
    """What one process found, in its counts."""
    return because(code, wrong=process.wrong, labels=process.labels, tolerated=process.tolerated)


def new_classes(evidence: Evidence, settings: RuleSettings) -> list[Reason]:
    """Classes that the model does not know and that enough parts have."""
    return [
        because("harm-unseen-class", label=label, parts=parts)
        for label, parts in sorted(evidence.unseen.items())
        if parts >= settings.unseen_class_parts
    ]


def failed_sides(evidence: Evidence, settings: RuleSettings) -> tuple[str, ...]:
    """Sides of which a retrain needs enough labels. A class that the model does not know is a defect."""
    sides = []
    both = evidence.log_peak_of_both >= log(settings.proof)
    if evidence.false_rejects.drift_detected or (both and evidence.false_rejects.log_e_value > 0.0):
        sides.append("good")
    missed = evidence.escapes.drift_detected or (both and evidence.escapes.log_e_value > 0.0)
    if missed or any(n >= settings.unseen_class_parts for n in evidence.unseen.values()):
        sides.append("defect")
    return tuple(sides)


def labels_of_side(evidence: Evidence, facts: BundleFacts) -> dict[str, int]:
    """New labels per side."""
    sides = {"good": 0, "defect": 0}
    for label, count in evidence.new_labels.items():
        sides[facts.side(label)] += count
    return sides


def compatible_error(evidence: Evidence) -> tuple[float, float]:
    """95 % interval of the error over the random labels (Clopper-Pearson): what "harmless" still allows."""
    return clopper_pearson(evidence.wrong, evidence.random)
