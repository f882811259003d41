"""Days whose labels do not fit their images: on which far fewer are called defective than look so, or far fewer good.

Each day is judged by heads that were fitted without it, else they have learned that whatever was seen on that day is
good; the folds of `labels`, which part groups and not days, do just that. What the heads say is calibrated on the other
days, too. Heads err in the same direction for a whole day (other light, another crop), so a day's distance from what is
expected is measured against that of the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from contracts.quality import Finding, OddDay
from trainer.course import Course, Material
from trainer.dataset import Example
from trainer.quality.labels import left_out
from trainer.quality.report import shown
from trainer.split import captured

_FEWEST, _DAYS = 10, 3  # images of a day, and days
_MOST_PARTS = 20  # heads fitted: of more days several are left out together, far apart in time
_FALSE = 0.01  # chance of a false alarm over all days and both directions (Bonferroni)
_MOST_FOUND = 6
_HALF, _GAP = 0.5, 5.0  # labelled at most this share of what is seen, and so many images fewer
_UNLABELLED = (
    "look at these: labels of that day are probably missing. Add them, or leave the day out. If they are right, a "
    "light, crop or product of that day makes good parts look like other days' defective ones: add good parts under it"
)
_OVERLABELLED = (
    "look at these: either good parts were called defective, or days like this one lack such labels, or the day has a "
    "defect, a light, a crop or a product of its own"
)

Rows = NDArray[np.int64]
Name = tuple[str, str]  # day, site


@dataclass(frozen=True)
class Day:
    """One day at one site. `rows` of its images, `defective` [m] bool as labelled, `chance` [m] of a defect 0..1;
    `elsewhere`: mean and variance of the other days' chances, of images labelled good, then of defective ones."""

    name: Name
    rows: Rows
    defective: NDArray[np.bool_]
    chance: NDArray[np.float64]
    elsewhere: tuple[tuple[float, float], tuple[float, float]]

    @property
    def few(self) -> bool:
        """Whether fewer are labelled as defective than are expected."""
        return self.distance < 0

    @property
    def distance(self) -> float:
        """Labelled minus expected, in standard deviations of a Poisson-binomial count (and half an image)."""
        spread = np.sqrt((self.chance * (1 - self.chance)).sum() + 0.25)
        return float((self.defective.sum() - self.chance.sum()) / spread)

    @property
    def unlike(self) -> float:
        """The same where the share of defects may be the day's own and only good and defective images look as on the
        other days (label shift: Lipton, Wang & Smola, ICML 2018): weak heads expect the usual share of every day."""
        counts = (~self.defective).sum(), self.defective.sum()
        mean, variance = (float(np.dot(counts, moment)) for moment in zip(*self.elsewhere, strict=True))
        return float((mean - self.chance.sum()) / np.sqrt(variance + 0.25))


def odd_days(course: Course, material: Material) -> list[Finding]:
    """A finding for each day that its labels do not fit; none without the time of capture of enough days.

    The day that lacks most is put aside and the others are judged without it, since it makes days like it seem labelled
    too much."""
    several = len({example.site for example in material.examples}) > 1
    findings: list[Finding] = []
    days = misfits(_days(course, material))
    while len(findings) < _MOST_FOUND and (few := [day for day in days if day.few]):
        worst = min(few, key=lambda day: day.distance)
        findings.append(_finding(worst, course.good, material.examples, several))
        material = material.without(worst.rows.tolist())
        days = misfits(_days(course, material))
    many = [_finding(day, course.good, material.examples, several) for day in days if not day.few]
    return [*findings, *many][:_MOST_FOUND]


def _days(course: Course, material: Material) -> tuple[Day, ...]:
    defective = np.array([example.label not in course.good for example in material.examples])
    days = judged(material.examples, defective)
    if len(days) < _DAYS:
        return ()
    names = sorted(days)
    parts = [[int(row) for name in names[first::_MOST_PARTS] for row in days[name]] for first in range(_MOST_PARTS)]
    said = left_out(course, material, parts)
    passes = np.clip(said[:, course.good_mask().numpy()].sum(1), 1e-6, 1 - 1e-6)
    return measured(days, defective, np.log(1 / passes - 1))


def judged(examples: Sequence[Example], defective: NDArray[np.bool_]) -> dict[Name, Rows]:
    """Rows of each day at each site that has enough images, where without it there are enough of both kinds."""
    found: dict[Name, list[int]] = defaultdict(list)
    for row, example in enumerate(examples):
        if (moment := captured(example)) is not None:
            found[moment.date().isoformat(), example.site].append(row)
    counts = np.array([defective.sum(), (~defective).sum()])
    days = {name: np.array(rows) for name, rows in found.items() if len(rows) >= _FEWEST}
    return {
        name: rows
        for name, rows in days.items()
        if (counts - [defective[rows].sum(), (~defective[rows]).sum()]).min() >= _FEWEST
    }


def measured(days: dict[Name, Rows], defective: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[Day, ...]:
    """Each day with chances of a defect, from `scores` [n] (log odds by heads that never saw the image's day): a
    logistic line through the other judged days' scores and labels (Platt, 1999)."""
    from sklearn.linear_model import LogisticRegression

    found = []
    for name, rows in sorted(days.items()):
        others = np.concatenate([other for key, other in days.items() if key != name])
        labels = defective[others]
        if len(set(labels)) == 2:
            line = LogisticRegression(C=100.0).fit(scores[others, None], labels)
            there = line.predict_proba(scores[others, None])[:, 1]
            good, bad = ((float(part.mean()), float(part.var())) for part in (there[~labels], there[labels]))
            found.append(Day(name, rows, defective[rows], line.predict_proba(scores[rows, None])[:, 1], (good, bad)))
    return tuple(found)


def misfits(days: Sequence[Day]) -> tuple[Day, ...]:
    """Those too far from what is expected for any day of so many, and unlike the others' good and defective images,
    too, of which at most half of what is seen is labelled, be it defects or good images."""
    from scipy.stats import t

    if len(days) < _DAYS:
        return ()
    far, unlike = (_in_usual_ones(values) for values in zip(*((d.distance, d.unlike) for d in days), strict=True))
    limit, second = (float(t.isf(chance, len(days) - 1)) for chance in (_FALSE / (2 * len(days)), _FALSE))
    odd = (np.abs(far) > limit) & (np.sign(far) * unlike > second)
    return tuple(day for day, is_odd in zip(days, odd, strict=True) if is_odd and _matters(day))


def _in_usual_ones(distances: Sequence[float]) -> NDArray[np.float64]:
    """Each in units of the other days' usual distance: 1.4826 times their median, 1 at least."""
    values = np.array(distances)
    usual = [1.4826 * float(np.median(np.abs(np.delete(values, number)))) for number in range(len(values))]
    return np.asarray(values / np.maximum(1.0, usual))


def _matters(day: Day) -> bool:
    labelled = (day.defective if day.few else ~day.defective).sum()
    seen = (day.chance if day.few else 1 - day.chance).sum()
    return bool(labelled <= _HALF * seen and seen - labelled >= _GAP)


def _finding(day: Day, good: Sequence[str], examples: Sequence[Example], several: bool) -> Finding:
    doubtful = np.flatnonzero(~day.defective if day.few else day.defective)
    surest = doubtful[np.argsort(-day.chance[doubtful] if day.few else day.chance[doubtful], kind="stable")]
    name, site = day.name
    return Finding(
        kind="defects-unlabelled" if day.few else "defects-overlabelled",
        weight="warning",
        count=len(day.rows),
        images=shown([examples[day.rows[row]]] for row in surest),
        text=f"on {name}{f' at {site!r}' if several else ''} {day.defective.sum()} of {len(day.rows)} images are "
        f"labelled as other than {' or '.join(map(repr, good))}; judged by the other days about "
        f"{day.chance.sum():.0f} look so",
        remedy=_UNLABELLED if day.few else _OVERLABELLED,
        day=OddDay(
            day=date.fromisoformat(name),
            site=site if several else "",
            images=len(day.rows),
            labelled=int(day.defective.sum()),
            expected=float(day.chance.sum()),
        ),
    )
