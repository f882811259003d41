"""What the page about thresholds is asked: which product, and which thresholds or prices somebody would like to see."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from contracts.frame import Probability
from monitor.threshold_preview import Wish
from runtime.band import Prices


def _left_out(value: Any) -> Any:
    """An empty field of a form says nothing."""
    return None if value == "" else value


_Cost = Annotated[Annotated[float, Field(gt=0.0, le=1e12)] | None, BeforeValidator(_left_out)]
_Threshold = Annotated[Probability | None, BeforeValidator(_left_out)]


class WishAsked(BaseModel):
    """The query of the page's address."""

    site: str = ""
    product: str = ""
    ng: _Threshold = None
    review_from: _Threshold = None
    escape: _Cost = None
    false_reject: _Cost = None
    review: _Cost = None
    reviews_a_day: Annotated[Annotated[float, Field(ge=0.0, le=1e9)] | None, BeforeValidator(_left_out)] = None

    @property
    def wished(self) -> bool:
        """Whether there is something to preview."""
        return self.wish != Wish()

    @property
    def wish(self) -> Wish:
        """As the desk takes it."""
        if self.escape is not None and self.false_reject is not None:
            return Wish(prices=Prices(self.escape, self.false_reject, self.review), reviews_a_day=self.reviews_a_day)
        return Wish(ng=self.ng, review_from=self.review_from)

    @property
    def price_fields(self) -> dict[str, float | None]:
        """As the API takes them."""
        return {name: getattr(self, name) for name in ("escape", "false_reject", "review", "reviews_a_day")}
