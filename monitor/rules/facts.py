"""What the served bundle promises: its classes, its certified errors and where it came from."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from contracts.bundle import Manifest
from contracts.names import Label, Moment, Sha256
from contracts.signatures import Signatures
from drift.tolerance import certified_bound, certified_counts
from monitor.rules.settings import RuleSettings


class BundleFacts(BaseModel):
    """The rules' view of one release. Tolerated errors are rates within truly defective and truly good parts."""

    model_config = ConfigDict(frozen=True)

    bundle_hash: Sha256
    number: int = Field(ge=1)
    labels: tuple[Label, ...]
    good_labels: tuple[Label, ...]
    escapes_tolerated: float
    false_rejects_tolerated: float
    defect_share: float = Field(description="of the certified test set")
    confusion: dict[Label, dict[Label, int]] = Field(default={}, description="true -> predicted -> count")
    activated_at: Moment
    previous: Sha256 | None = Field(default=None, description="release to go back to; None when there is none")
    signatures: Signatures | None = Field(default=None, description="what may explain a drift; None: nobody tried")

    def side(self, label: str) -> str:
        """`good` or `defect`; a class the bundle does not know is a defect."""
        return "good" if label in self.good_labels else "defect"


def facts_of(
    manifest: Manifest,
    bundle_hash: str,
    *,
    number: int,
    activated_at: Moment,
    previous: str | None,
    settings: RuleSettings,
) -> BundleFacts:
    """Facts of a certified bundle. Raises ConfigurationError where its metrics say nothing about one side and the
    settings do not say what is tolerated either."""
    counts = certified_counts(manifest.test_metrics, manifest.good_labels)
    (escapes, defects), (rejects, goods) = counts["defect"], counts["good"]
    return BundleFacts(
        bundle_hash=bundle_hash,
        number=number,
        labels=manifest.labels,
        good_labels=manifest.good_labels,
        escapes_tolerated=settings.escapes_tolerated or certified_bound(escapes, defects, margin=settings.margin),
        false_rejects_tolerated=settings.false_rejects_tolerated
        or certified_bound(rejects, goods, margin=settings.margin),
        defect_share=defects / (defects + goods),
        confusion=manifest.test_metrics.confusion,
        activated_at=activated_at,
        previous=previous,
        signatures=manifest.drift_reference.signatures,
    )
