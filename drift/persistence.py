"""The k-of-n rule: believe an alarm only when k of the last n windows were over their limit (3 of 3 by default)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Persistence(BaseModel):
    """The last n answers; a value, so that a monitor can store it and go on after a restart.

    >>> rule = Persistence(k=3, n=3)
    >>> for over in (True, True, False, True, True, True):
    ...     rule = rule.update(over)
    >>> rule.drift_detected
    True
    """

    model_config = ConfigDict(frozen=True)

    k: int = Field(default=3, ge=1)
    n: int = Field(default=3, ge=1)
    recent: tuple[bool, ...] = ()

    def update(self, over: bool) -> Persistence:
        """The rule after one more window."""
        return self.model_copy(update={"recent": (*self.recent, over)[-self.n :]})

    @property
    def over(self) -> int:
        """How many of the last n windows were over."""
        return sum(self.recent)

    @property
    def drift_detected(self) -> bool:
        """Whether k of the last n windows were over their limit."""
        return self.over >= self.k

    def cleared(self) -> Persistence:
        """The rule with an empty memory."""
        return self.model_copy(update={"recent": ()})
