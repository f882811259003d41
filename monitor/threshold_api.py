"""The routes for thresholds: ask for scores, preview, choose, undo, read."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.frame import Probability
from contracts.names import Identifier, Name, Sha256
from monitor import queries
from monitor.desk import Desk
from monitor.store.database import Store
from monitor.threshold_preview import Wish
from runtime.band import Prices


class _About(BaseModel):
    model_config = ConfigDict(extra="forbid")

    site: Name | None = None
    bundle_hash: Sha256
    product: Name


class ScoresAsked(_About):
    """Which scores agents shall count."""

    days: int = Field(default=7, ge=1, le=31)
    by: Identifier


class PricesGiven(BaseModel):
    """In any one unit; only their ratios count."""

    model_config = ConfigDict(extra="forbid")

    escape: float = Field(gt=0.0, description="of a defect that is let through")
    false_reject: float = Field(gt=0.0, description="of a good part that is rejected")
    review: float | None = Field(
        default=None, gt=0.0, description="of a part that a person looks at; None: nobody does"
    )
    most_reviewed: float | None = Field(default=None, ge=0.0, le=1.0, description="share that people have time for")
    reviews_a_day: float | None = Field(default=None, ge=0.0, description="at most, on the busiest day counted")
    defect_share: float | None = Field(default=None, gt=0.0, lt=1.0, description="of the parts; default: the bundle's")

    @property
    def prices(self) -> Prices:
        """For the rule."""
        most = 1.0 if self.most_reviewed is None else self.most_reviewed
        return Prices(self.escape, self.false_reject, self.review, most, self.defect_share)


class ThresholdsWished(_About):
    """Thresholds, or prices that the cheapest ones follow from."""

    ng: Probability | None = None
    review_from: Probability | None = None
    prices: PricesGiven | None = None

    @model_validator(mode="after")
    def _one_way(self) -> ThresholdsWished:
        named = self.ng is not None or self.review_from is not None
        if named == (self.prices is not None):
            raise ValueError("name ng and review_from, or prices, not both and not none")
        return self

    @property
    def wish(self) -> Wish:
        """As the desk takes it."""
        if self.prices is None:
            return Wish(self.ng, self.review_from)
        return Wish(prices=self.prices.prices, reviews_a_day=self.prices.reviews_a_day)


class ThresholdsChosen(ThresholdsWished):
    """The same, meant."""

    every_product: bool = Field(default=False, description="for every product without thresholds of its own")
    reason: str = Field(min_length=1, max_length=1000)
    by: Identifier
    unseen: bool = Field(default=False, description="meant, although nobody has looked at a preview")


class ThresholdsUndone(BaseModel):
    """Back to what decided before."""

    model_config = ConfigDict(extra="forbid")

    site: Name | None = None
    reason: str = Field(min_length=1, max_length=1000)
    by: Identifier


def add_thresholds(router: APIRouter, store: Store, desk: Desk) -> None:
    """All of `/v1/thresholds`."""

    @router.post("/thresholds/scores", status_code=202)
    def ask_scores(asked: ScoresAsked) -> dict[str, list[str]]:
        """Ask the agents that serve a bundle how its scores of the last days lie. 404 unknown bundle, 409 nobody serves
        it."""
        orders = desk.thresholds.ask(
            site=desk.site(asked.site), bundle_hash=asked.bundle_hash, product=asked.product, days=asked.days,
            by=asked.by,
        )  # fmt: skip
        return {"order_ids": orders}

    @router.post("/thresholds/preview")
    def preview_thresholds(wished: ThresholdsWished) -> dict[str, Any]:
        """What they would have said on these scores, against those of now. 409: no scores are here yet."""
        seen = desk.thresholds.preview(
            site=desk.site(wished.site), bundle_hash=wished.bundle_hash, product=wished.product, wish=wished.wish
        )
        plain = {"now": seen.now.model_dump(mode="json"), "then": seen.then.model_dump(mode="json")}
        days = {day.isoformat(): asdict(change) for day, change in seen.days.items()}
        return {**_plain(seen), **plain, "days": days}

    @router.post("/thresholds", status_code=201)
    def choose_thresholds(chosen: ThresholdsChosen) -> dict[str, Any]:
        """They decide from the next signed channel on. 409: refused bundle, or nobody has looked at a preview."""
        return desk.thresholds.choose(
            site=desk.site(chosen.site), bundle_hash=chosen.bundle_hash, product=chosen.product,
            every_product=chosen.every_product, wish=chosen.wish, reason=chosen.reason, by=chosen.by,
            unseen=chosen.unseen,
        )  # fmt: skip

    @router.post("/thresholds/{number}/undo")
    def undo_thresholds(number: int, undone: ThresholdsUndone) -> dict[str, Any]:
        """Back to what decided before them. 409: they no longer stand."""
        return desk.thresholds.undo(site=desk.site(undone.site), number=number, reason=undone.reason, by=undone.by)

    @router.get("/thresholds")
    def read_thresholds(site: Name | None = None, bundle_hash: Sha256 | None = None) -> dict[str, Any]:
        """Everything that was chosen, newest first, and the scores that are here."""
        with store.read() as session:
            return queries.thresholds(session, site=site, bundle_hash=bundle_hash)


def _plain(seen: Any) -> dict[str, Any]:
    return {
        "all": asdict(seen.all),
        "labels": {name: asdict(change) for name, change in seen.labels.items()},
        "known": {source: asdict(change) for source, change in seen.known.items()},
        "cost_now": seen.cost_now,
        "cost_then": seen.cost_then,
    }
