"""Where a score becomes a decision: a bundle's own thresholds, and those that a site chose after the export, signed
with the channel for one bundle and one product or all."""

from __future__ import annotations

from pydantic import Field, model_validator

from contracts.frame import Probability
from contracts.names import Identifier, Moment, Name, Sha256, Wire, absent

MOST_ENTRIES = 200
"""Of a channel."""


class Thresholds(Wire):
    """Decision on the defect score s: NG at s >= ng, OK below review_from, REVIEW between (none if they are equal)."""

    ng: Probability
    review_from: Probability
    cost_escape: float = Field(default=1.0, gt=0.0)
    cost_false_reject: float = Field(default=1.0, gt=0.0)
    cost_review: float | None = Field(
        default=None, gt=0.0, exclude_if=absent, description="of a part that a person looks at; None: not asked"
    )
    most_reviewed: Probability | None = Field(
        default=None, exclude_if=absent, description="share of the parts that people have time for; None: any"
    )
    defect_share: float = Field(default=0.5, gt=0.0, lt=1.0, description="of the parts on the line, as was expected")
    slope: float | None = Field(
        default=None,
        gt=0.0,
        exclude_if=absent,
        description="how much surer of a defect one is, in log-odds, where the score is by one surer (`runtime.band`); "
        "None: nobody wrote it down",
    )
    chosen_by: str = "balanced accuracy on the validation split"

    @property
    def recall_weights(self) -> tuple[float, float]:
        """What a lost share of the defects and of the good parts costs: equal where both kinds are equally common and
        their errors equally dear."""
        return 2 * self.defect_share * self.cost_escape, 2 * (1 - self.defect_share) * self.cost_false_reject

    @model_validator(mode="after")
    def _ordered(self) -> Thresholds:
        if self.review_from > self.ng:
            raise ValueError("review_from must not exceed ng")
        return self


class SignedThresholds(Wire):
    """They decide instead of those in the bundle's manifest, which stay what one goes back to."""

    number: int = Field(ge=1, description="counts up with every change of the site; verdicts name it")
    bundle_hash: Sha256
    product: Name | None = Field(default=None, description="None: every product without thresholds of its own")
    thresholds: Thresholds
    reason: str = Field(min_length=1, max_length=1000)
    by: Identifier = Field(description="a pseudonym, never a name")
    at: Moment

    @property
    def key(self) -> tuple[str, str | None]:
        """What they are for; a channel holds one entry for each."""
        return self.bundle_hash, self.product
