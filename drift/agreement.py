"""How far several raters of the same things agree, beyond what chance alone would make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from drift.quantile import clopper_pearson

Ratings = Sequence[tuple[str, str]]
"""What was said about one thing: (rater, label) of each who judged it."""


@dataclass(frozen=True)
class Agreement:
    """`kappa` is Cohen's where the same two raters judged every image that has two ratings, Fleiss' otherwise; None
    where no image has two, or where chance alone explains everything (one class). `low` and `high` bound it with 95 %
    confidence: the exact interval of the agreeing share (Clopper and Pearson 1934), with chance taken as known."""

    raters: int
    images: int  # with two ratings or more
    share: float | None = None  # of pairs of ratings that agree
    kappa: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""


def agreement(images: Sequence[Ratings]) -> Agreement:
    """Over the ratings of each image; images with one rating do not count.

    >>> twice = [[("ann", "good"), ("bo", "good")]] * 8 + [[("ann", "pit"), ("bo", "pit")]] * 8
    >>> found = agreement([*twice, [("ann", "pit"), ("bo", "good")]])
    >>> found.method, round(found.kappa, 2), round(found.low, 2), round(found.high, 2)
    ('Cohen', 0.88, 0.43, 1.0)
    """
    several = [ratings for ratings in images if len(ratings) > 1]
    raters = len({rater for ratings in images for rater, _ in ratings})
    if not several:
        return Agreement(raters, 0)
    share, pair = _agreeing(several), _two_raters(several)
    method = "Cohen" if pair else "Fleiss"
    chance = _cohens_chance(several, pair) if pair else _fleiss_chance(several)
    if chance >= 1.0:
        return Agreement(raters, len(several), share, method=method)
    bounds = clopper_pearson(share * len(several), len(several))
    kappa, low, high = ((agreeing - chance) / (1.0 - chance) for agreeing in (share, *bounds))
    return Agreement(raters, len(several), share, kappa, low, high, method)


def _agreeing(images: Sequence[Ratings]) -> float:
    """Mean over images of the share of pairs of ratings that are equal (Fleiss, 1971)."""
    shares = []
    for ratings in images:
        counts = Counter(label for _, label in ratings).values()
        shares.append(sum(n * (n - 1) for n in counts) / (len(ratings) * (len(ratings) - 1)))
    return min(sum(shares) / len(shares), 1.0)


def _fleiss_chance(images: Sequence[Ratings]) -> float:
    counts = Counter(label for ratings in images for _, label in ratings)
    total = sum(counts.values())
    return sum((count / total) ** 2 for count in counts.values())


def _two_raters(images: Sequence[Ratings]) -> tuple[str, str] | None:
    """The two raters who judged every image, each once; None otherwise."""
    pairs = {tuple(sorted(rater for rater, _ in ratings)) for ratings in images}
    (names, *others) = pairs
    return (names[0], names[1]) if not others and len(names) == 2 and names[0] != names[1] else None


def _cohens_chance(images: Sequence[Ratings], raters: tuple[str, str]) -> float:
    """Each rater by their own habits (Cohen, 1960)."""
    said = [Counter(label for ratings in images for rater, label in ratings if rater == name) for name in raters]
    return sum(said[0][label] * said[1][label] for label in said[0]) / len(images) ** 2
