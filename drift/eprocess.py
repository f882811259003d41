"""Evidence from labels that the error exceeds what is tolerated, valid at every moment somebody looks.

Bernoulli e-process by betting (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by
betting", JRSS B 86; sections 2 and 4): after each label the wealth of bettor c is multiplied by the likelihood ratio of
error q = p + c (1 - p) against the tolerated p, that is by 1 + c (1 - p) / p for a wrong verdict and by 1 - c for a
right one. Under any error <= p every bettor's wealth is a non-negative supermartingale, and so is their mean; by
Ville's inequality it ever reaches 1 / a with probability at most a. p may change from label to label as long as it is
fixed before that label is seen.

Two things save labels without touching that bound. No guess of how bad things are is needed, but bettors do not start
with equal stakes (see `stakes`). And wealth beyond proof is of no use: where a wrong verdict would carry past it, what
would be left over is paid for a right one instead, so that proof is reached exactly and the bet stays fair (Fischer and
Ramdas 2024, "Improving Wald's (approximate) sequential probability ratio test by avoiding overshoot",
arXiv:2410.16076).
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, log, log1p

from pydantic import BaseModel, ConfigDict, Field

PROOF = 1e4
BETS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.55, 0.8)
_ASKED = 200  # labels that a drift asks for: bettors that need more to win share `_PATIENT` of the stakes
_PATIENT = 0.15


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
        state = self
        while times > 1 and not state.drift_detected and (wrong or state._beyond(p) > 0.0):
            state, times = state._counted(wrong, p, 1), times - 1
        return state._counted(wrong, p, times) if times else state

    def _counted(self, wrong: bool, p: float, times: int) -> EProcess:
        """`times` equal labels; several only where none of them is near proof."""
        steps = _gains(p) if wrong else _LOSSES
        wealth = [own + times * step for own, step in zip(self.log_wealth, steps, strict=True)]
        beyond = self._beyond(p)
        if beyond > 0.0:
            owed = -beyond if wrong else log(self._fair(p)) - self._mean(wealth)
            wealth = [own + owed for own in wealth]
        changes = {
            "labels": self.labels + times,
            "wrong": self.wrong + times * wrong,
            "log_wealth": tuple(wealth),
            "log_peak": max(self.log_peak, self._mean(wealth)),
        }
        return self.model_copy(update=changes)

    def _beyond(self, p: float) -> float:
        """By how much a wrong verdict would carry past proof (logarithm); 0 once there is proof."""
        if self.drift_detected or max(self.log_wealth) - log(p) < log(self.proof):
            return 0.0
        gained = self._mean([own + gain for own, gain in zip(self.log_wealth, _gains(p), strict=True)])
        return max(gained - log(self.proof), 0.0)

    def _fair(self, p: float) -> float:
        """Wealth after a right verdict when a wrong one pays exactly up to proof."""
        return (exp(self.log_e_value) - p * self.proof) / (1.0 - p)

    def _mean(self, logs: list[float] | tuple[float, ...]) -> float:
        largest = max(logs)
        shares = stakes(self.tolerated, self.proof)
        return largest + log(sum(share * exp(value - largest) for share, value in zip(shares, logs, strict=True)))

    @property
    def log_e_value(self) -> float:
        """Natural logarithm of `e_value`, uncapped."""
        return self._mean(self.log_wealth)

    @property
    def e_value(self) -> float:
        """How many times the starting stake the evidence is worth now; capped at 1e300."""
        return exp(min(self.log_e_value, 690.0))

    @property
    def drift_detected(self) -> bool:
        """Whether the evidence has ever amounted to proof."""
        return self.reached(self.proof)

    def reached(self, e_value: float) -> bool:
        """Whether the evidence has ever been worth so much; it is with probability 1 / `e_value` at most where there is
        nothing to prove."""
        return self.log_peak >= log(e_value) - 1e-9


_LOSSES = tuple(log1p(-bet) for bet in BETS)


@lru_cache(maxsize=1024)
def _gains(p: float) -> tuple[float, ...]:
    return tuple(log1p(bet * (1.0 - p) / p) for bet in BETS)


@lru_cache(maxsize=1024)
def stakes(tolerated: float, proof: float = PROOF) -> tuple[float, ...]:
    """What each bettor starts with; the sum is 1. A share s costs the bettor log(1 / s) / r labels, where r is what it
    wins a label when it is right (the relative entropy of its error to the tolerated one). Bettors that win within 200
    labels get shares exp(-R r), so that none needs more than R labels more than if its error had been known, with the
    least R there is; the patient others share 15 %.

    >>> [round(share, 2) for share in stakes(0.02)]
    [0.07, 0.07, 0.6, 0.22, 0.03, 0.0, 0.0]
    """
    rates = [_rate(tolerated, bet) for bet in BETS]
    quick = [rate * _ASKED >= log(proof) for rate in rates]
    if all(quick) or not any(quick):
        return (1.0 / len(BETS),) * len(BETS)
    patient = _PATIENT / quick.count(False)
    least, most = 0.0, 1e6
    for _ in range(100):
        labels = (least + most) / 2.0
        total = sum(exp(-labels * rate) for rate, swift in zip(rates, quick, strict=True) if swift)
        least, most = (labels, most) if total > 1.0 - _PATIENT else (least, labels)
    shares = [exp(-most * rate) if swift else patient for rate, swift in zip(rates, quick, strict=True)]
    return tuple(share / sum(shares) for share in shares)


def _rate(tolerated: float, bet: float) -> float:
    error = tolerated + bet * (1.0 - tolerated)
    return error * log(error / tolerated) + (1.0 - error) * log1p(-bet)
