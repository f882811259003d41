"""Several raters of one image: one label for it, and how far the raters agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import drift.agreement
from contracts.quality import RaterAgreement
from trainer.dataset import Example

COLUMN = "rater"
"""The manifest's column with a pseudonym; an image may then have a row for each rater."""


@dataclass(frozen=True)
class Agreement(drift.agreement.Agreement):
    """With the images that had no majority."""

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
    ratings = [[(example.attributes.get(COLUMN, "?"), example.label) for example in image] for image in images]
    return Agreement(**vars(drift.agreement.agreement(ratings)), disputed=disputed)


def told(found: drift.agreement.Agreement) -> RaterAgreement:
    """As reports and cards hold it."""
    return RaterAgreement.model_validate({name: getattr(found, name) for name in RaterAgreement.model_fields})


def agreement_in(examples: Sequence[Example]) -> RaterAgreement | None:
    """Of the ratings that merged images still carry; None without any. What had no majority is no longer among them,
    so that it is a little too kind."""
    said = [example.attributes["ratings"].split(";") for example in examples if "ratings" in example.attributes]
    ratings = [[(rater, label) for rater, _, label in (one.rpartition("=") for one in image)] for image in said]
    return told(drift.agreement.agreement(ratings)) if ratings else None


def _majority(ratings: Sequence[Example]) -> str | None:
    (label, count), *others = Counter(example.label for example in ratings).most_common(2)
    return None if others and others[0][1] == count else label
