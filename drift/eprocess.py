"""Evidence from labels that the error exceeds what is tolerated, valid at every moment somebody looks.

Bernoulli e-process by betting (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by
betting", JRSS B 86; sections 2 and 4): after each label the wealth of bettor c is multiplied by the likelihood ratio of
error q = p + c (1 - p) against the tolerated p, that is by 1 + c (1 - p) / p for a wrong verdict and by 1 - c for a
right one. Under any error <= p every bettor's wealth is a non-negative supermartingale, and so is their average; by
Ville's inequality it ever reaches 1 / a with probability at most a. p may change from label to label as long as it is
fixed before that label is seen. The average over bettors needs no guess of how bad things are.
"""

from __future__ import annotations

from math import exp, log, log1p

from pydantic import BaseModel, ConfigDict, Field

PROOF = 1e4
BETS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.55, 0.8)


class EProcess(BaseModel):
    """State after the labels seen so far; a value, so that it is stored and continued.

    Feed only labels of parts drawn at random, in the order in which they were drawn or came in.

    >>> process = EProcess(tolerated=0.02)
    >>> for _ in range(10):
    ...     process = process.update(wrong=True)
    >>> process.drift_detected
    True
    """

    model_config = ConfigDict(frozen=True)

    tolerated: float = Field(gt=0.0, lt=1.0, description="error that is not worth acting on")
    proof: float = Field(default=PROOF, gt=1.0, description="e-value taken for proof")
    labels: int = 0
    wrong: int = 0
    log_wealth: tuple[float, ...] = (0.0,) * len(BETS)
    log_peak: float = 0.0

    def update(self, wrong: bool, *, tolerated: float | None = None, times: int = 1) -> EProcess:
        """The state after one more label (or `times` equal ones). `tolerated` overrides the default for this label and
        must not depend on it."""
        p = self.tolerated if tolerated is None else min(max(tolerated, 1e-6), 1.0 - 1e-6)
        wealth = tuple(
            sum_ + times * (log1p(c * (1.0 - p) / p) if wrong else log1p(-c))
            for sum_, c in zip(self.log_wealth, BETS, strict=True)
        )
        changes = {
            "labels": self.labels + times,
            "wrong": self.wrong + times * wrong,
            "log_wealth": wealth,
            "log_peak": max(self.log_peak, _log_mean(wealth)),
        }
        return self.model_copy(update=changes)

    @property
    def log_e_value(self) -> float:
        """Natural logarithm of `e_value`, uncapped."""
        return _log_mean(self.log_wealth)

    @property
    def e_value(self) -> float:
        """How many times the starting stake the evidence is worth now; capped at 1e300."""
        return exp(min(self.log_e_value, 690.0))

    @property
    def drift_detected(self) -> bool:
        """Whether the evidence has ever amounted to proof."""
        return self.log_peak >= log(self.proof)


def _log_mean(logs: tuple[float, ...]) -> float:
    largest = max(logs)
    return largest + log(sum(exp(value - largest) for value in logs) / len(logs))
