"""Several raters of one image: one label for it, and how far the raters agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainer.dataset import Example

COLUMN = "rater"
"""The manifest's column with a pseudonym; an image may then have a row for each rater."""


@dataclass(frozen=True)
class Agreement:
    """`kappa` is Cohen's where the same two raters judged every image that has two ratings, Fleiss' otherwise; None
    where no image has two, or where chance alone explains everything (one class). `disputed` images had no majority."""

    raters: int
    images: int  # with two ratings or more
    share: float | None  # of pairs of ratings that agree
    kappa: float | None
    method: str
    disputed: tuple[Example, ...] = ()


def merge(examples: Sequence[Example]) -> tuple[tuple[Example, ...], Agreement | None]:
    """One example an image with the label of most of its raters, in the order in which images first appear; images
    without a majority are left out and named in the agreement. Without the column `rater` nothing changes."""
    if not any(COLUMN in example.attributes for example in examples):
        return tuple(examples), None
    rows: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        rows[example.sha256].append(example)
    kept, disputed = [], []
    for ratings in rows.values():
        label = _majority(ratings)
        if label is None:
            disputed.append(ratings[0])
            continue
        first = next(example for example in ratings if example.label == label)
        raters = ";".join(f"{e.attributes.get(COLUMN, '?')}={e.label}" for e in ratings)
        attributes = {key: value for key, value in first.attributes.items() if key != COLUMN}
        kept.append(replace(first, attributes={**attributes, "ratings": raters} if len(ratings) > 1 else attributes))
    return tuple(kept), agreement(list(rows.values()), tuple(disputed))


def labels_of_raters(example: Example) -> tuple[str, ...]:
    """What each rater of a merged image said; none where one person judged it.

    >>> from pathlib import Path
    >>> labels_of_raters(Example(Path("1.png"), "good", attributes={"ratings": "ann=good;bo=pit;cy=good"}))
    ('good', 'pit', 'good')
    """
    return tuple(said.rpartition("=")[2] for said in example.attributes.get("ratings", "").split(";") if said)


def agreement(images: Sequence[Sequence[Example]], disputed: tuple[Example, ...] = ()) -> Agreement:
    """Over the ratings of each image; images with one rating do not count."""
    several = [ratings for ratings in images if len(ratings) > 1]
    raters = {example.attributes.get(COLUMN, "?") for ratings in images for example in ratings}
    if not several:
        return Agreement(len(raters), 0, None, None, "", disputed)
    share, pairs = _agreeing(several), _two_raters(several)
    chance = _cohens_chance(several, pairs) if pairs else _fleiss_chance(several)
    kappa = None if chance >= 1.0 else (share - chance) / (1.0 - chance)
    return Agreement(len(raters), len(several), share, kappa, "Cohen" if pairs else "Fleiss", disputed)


def _majority(ratings: Sequence[Example]) -> str | None:
    (label, count), *others = Counter(example.label for example in ratings).most_common(2)
    return None if others and others[0][1] == count else label


def _agreeing(images: Sequence[Sequence[Example]]) -> float:
    """Mean over images of the share of pairs of ratings that are equal (Fleiss, 1971)."""
    shares = []
    for ratings in images:
        counts = Counter(example.label for example in ratings).values()
        shares.append(sum(n * (n - 1) for n in counts) / (len(ratings) * (len(ratings) - 1)))
    return sum(shares) / len(shares)


def _fleiss_chance(images: Sequence[Sequence[Example]]) -> float:
    counts = Counter(example.label for ratings in images for example in ratings)
    total = sum(counts.values())
    return sum((count / total) ** 2 for count in counts.values())


def _two_raters(images: Sequence[Sequence[Example]]) -> tuple[str, str] | None:
    """The two raters who judged every image, each once; None otherwise."""
    pairs = {tuple(sorted(example.attributes.get(COLUMN, "?") for example in ratings)) for ratings in images}
    (names, *others) = pairs
    return (names[0], names[1]) if not others and len(names) == 2 and names[0] != names[1] else None


def _cohens_chance(images: Sequence[Sequence[Example]], raters: tuple[str, str]) -> float:
    """Each rater by their own habits (Cohen, 1960)."""
    said = [
        Counter(e.label for ratings in images for e in ratings if e.attributes.get(COLUMN) == name) for name in raters
    ]
    return sum(said[0][label] * said[1][label] for label in said[0]) / len(images) ** 2
