"""Quantiles of the F, chi-squared and beta distributions and binomial tails, in plain Python: stations have no SciPy.

The regularised incomplete beta function is evaluated by its continued fraction with Lentz's algorithm (Press et al.,
Numerical Recipes, 3rd ed., section 6.4); quantiles by bisection. Agreement with SciPy to 1e-9 is a test.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import exp, inf, lgamma, log, log1p, sqrt
from statistics import NormalDist

_TINY = 1e-300
_STEPS = 500


def beta_cdf(x: float, a: float, b: float) -> float:
    """P(X <= x) for X ~ Beta(a, b); a, b > 0."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _continued_fraction(x, a, b) / a
    return 1.0 - front * _continued_fraction(1.0 - x, b, a) / b


def _continued_fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The x with P(Beta(a, b) <= x) = probability."""
    return _bisect(lambda x: beta_cdf(x, a, b) - probability, 0.0, 1.0)


@lru_cache(maxsize=4096)
def f_quantile(probability: float, numerator: float, denominator: float) -> float:
    """The x with P(F(numerator, denominator) <= x) = probability, for 0 < probability < 1.

    >>> round(f_quantile(0.99, 3, 57), 3)
    4.145
    """
    b = beta_quantile(probability, numerator / 2.0, denominator / 2.0)
    return inf if b >= 1.0 else denominator * b / (numerator * (1.0 - b))


def chi2_quantile(probability: float, degrees: float) -> float:
    """The x with P(chi-squared(degrees) <= x) = probability, to about 1 % from three degrees on (Wilson and Hilferty
    1931, "The distribution of chi-square", PNAS 17).

    >>> round(chi2_quantile(0.05, 30), 2)
    18.49
    """
    z = NormalDist().inv_cdf(probability)
    step = 2.0 / (9.0 * degrees)
    return degrees * max(1.0 - step + z * sqrt(step), 1e-3) ** 3


def binomial_upper_tail(successes: int, trials: int, probability: float) -> float:
    """P(X >= successes) for X ~ Binomial(trials, probability)."""
    if successes <= 0:
        return 1.0
    return beta_cdf(probability, successes, trials - successes + 1.0) if successes <= trials else 0.0


def clopper_pearson(errors: float, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of an error rate (Clopper and Pearson 1934); (0, 1) without trials. `errors` may be a
    sum of shares: the interval lies between those of its whole neighbours.

    >>> [round(bound, 4) for bound in clopper_pearson(2, 100)]
    [0.0024, 0.0704]
    """
    if trials == 0:
        return 0.0, 1.0
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if errors == 0 else beta_quantile(tail, errors, trials - errors + 1.0)
    high = 1.0 if errors == trials else beta_quantile(1.0 - tail, errors + 1.0, trials - errors)
    return low, high


def _bisect(function: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if function(middle) < 0.0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
