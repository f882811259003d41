"""Hotelling's T2 of one window mean against the profile, with a limit that held-out windows confirm.

The limit at level p is that of a future observation under an estimated covariance (Montgomery, Introduction to
Statistical Quality Control, 7th ed., section 11.3): m (n + 1) (n - 1) / (n (n - m)) F(1 - p; m, n - m), n windows, m
entries. It is never below what the profile's held-out windows call for (see `limit`). Groups of entries are judged by
the same rule on their own; they say what moved.

Three windows in a row that are over by chance are p^3 rare where windows are unrelated, and as frequent as single ones
where they repeat each other. The level of a window is therefore lower the more they do (see `level_of`): how rare a run
is stays what it is without a wander.
"""

from __future__ import annotations

from functools import lru_cache
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from drift.persistence import Persistence
from drift.profile import Profile, groups, t2
from drift.quantile import f_quantile
from drift.vector import IMAGE_NAMES, group_of

LEVEL = 0.01


class Judgement(BaseModel):
    """One window against the profile. `groups` holds T2 over limit (1 is the limit) for `image`, `embedding`, `class`
    alone; `given` the same for all that is left once a group is known (Mason, Young and Tracy 1995, "Decomposition of
    T2 for multivariate control chart interpretation", Journal of Quality Technology 27): `given["class"]` <= 1 means
    that the shares of the answers explain the rest. `shifts` tells how far each entry moved, in standard deviations of
    window means. `changes` tells by what factor image statistics changed (logarithms; of `evenness` and
    `focus-evenness` the change relative to a value of at least 0.1): what a person would see, where `shifts` tells how
    sure it is."""

    model_config = ConfigDict(frozen=True)

    t2: float
    limit: float
    over: bool
    groups: dict[str, float]
    given: dict[str, float]
    shifts: dict[str, float]
    changes: dict[str, float]

    @property
    def ratio(self) -> float:
        """T2 over limit."""
        return self.t2 / self.limit

    @property
    def largest_ratio(self) -> float:
        """The largest of the ratios of all entries and of each group alone. Roll-ups are judged by it: a small shift of
        the mix of parts is lost among twenty other entries, and their lower level leaves room for four questions."""
        return max(self.ratio, *self.groups.values())


class HotellingT2:
    """A detector over window means: `update`, then `drift_detected` (k of n windows over the limit)."""

    def __init__(self, profile: Profile, *, p: float = LEVEL, persistence: Persistence | None = None) -> None:
        self.profile, self.p = profile, p
        self.persistence = persistence or Persistence()
        self._groups = groups(profile.names)
        sizes = {name: int(mask.sum()) for name, mask in self._groups.items()}
        held_out, windows = profile.held_out, profile.degrees or profile.windows
        level = level_of(p, self.persistence.k, profile.kinship)
        self._limits = {name: limit(size, windows, level, held_out[name]) for name, size in sizes.items()}
        self._rest = {
            name: limit(sizes["all"] - size, windows, level, _less(held_out["all"], held_out[name]))
            for name, size in sizes.items()
            if size < sizes["all"]
        }

    def judge(self, mean: NDArray[np.floating[Any]], images: int) -> Judgement:
        """Judge a window mean [m] of `images` images, remembering nothing. A window of fewer images than commissioning
        had is noisier, and its T2 counts for less in proportion."""
        profile = self.profile
        deviation = np.asarray(mean, np.float64) - np.array(profile.mean)  # [m]
        covariance = np.array(profile.covariance)
        weight = min(1.0, images / profile.images)
        values = {
            name: weight * float(t2(deviation[None, mask], covariance[np.ix_(mask, mask)])[0])
            for name, mask in self._groups.items()
        }
        shifts = deviation / np.sqrt(np.diag(covariance))
        return Judgement(
            t2=values["all"],
            limit=self._limits["all"],
            over=values["all"] > self._limits["all"],
            groups={name: values[name] / self._limits[name] for name in values if name != "all"},
            given={name: (values["all"] - values[name]) / limit for name, limit in self._rest.items()},
            shifts=dict(zip(profile.names, (round(float(shift), 3) for shift in shifts), strict=True)),
            changes=_changes(
                dict(zip(profile.names, profile.mean, strict=True)),
                dict(zip(profile.names, (float(value) for value in mean), strict=True)),
            ),
        )

    def ratios(self, means: NDArray[np.floating[Any]], group: str = "all") -> NDArray[np.floating[Any]]:
        """T2 over limit of many full windows [n, m] at once, of one group of entries or all, shape [n]; remembers
        nothing."""
        mask, covariance = self._groups[group], np.array(self.profile.covariance)
        deviations = np.asarray(means, np.float64) - np.array(self.profile.mean)
        return t2(deviations[:, mask], covariance[np.ix_(mask, mask)]) / self._limits[group]

    def largest_ratios(self, means: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """The largest of the ratios of all entries and of each group alone [n]: how roll-ups are judged."""
        largest: NDArray[np.floating[Any]] = np.max([self.ratios(means, group) for group in self._groups], axis=0)
        return largest

    def update(self, mean: NDArray[np.floating[Any]], images: int) -> Judgement:
        """Judge a window mean [m] and remember whether it was over."""
        judgement = self.judge(mean, images)
        self.persistence = self.persistence.update(judgement.over)
        return judgement

    @property
    def drift_detected(self) -> bool:
        """Whether k of the last n windows were over their limit."""
        return self.persistence.drift_detected


def _changes(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    changes = {}
    for name in IMAGE_NAMES:
        if name not in before:
            continue
        if name in ("mean", "contrast"):
            change = log(max(after[name], 1e-4) / max(before[name], 1e-4))
        elif name == "sharpness":
            change = after[name] - before[name]
        else:
            change = (after[name] - before[name]) / max(before[name], 0.1)
        changes[name] = round(change, 4)
    return changes


def _less(whole: tuple[float, ...], part: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(a - b for a, b in zip(whole, part, strict=True))


def level_of(p: float, k: int, kinship: float) -> float:
    """Level of one window so that k of them in a row are all over by chance as rarely as k unrelated ones at level p:
    `kinship` 0 leaves p, 1 (windows repeat each other) makes it p to the power of k.

    >>> level_of(0.01, 3, 0.0), round(level_of(0.01, 3, 1.0), 9)
    (0.01, 1e-06)
    """
    return float(p ** (k / (k - (k - 1) * kinship)))


@lru_cache(maxsize=4096)
def limit(entries: int, windows: int, p: float, held_out: tuple[float, ...]) -> float:
    """T2 limit at level p for `entries` entries and `windows` commissioning windows, never below the F-limit."""
    m, n = entries, windows
    degrees = max(n - m, 2)
    theory = m * (n + 1.0) * (n - 1.0) / (n * degrees) * f_quantile(1.0 - p, m, degrees)
    return max(theory, float(np.quantile(held_out, 1.0 - p)))


def contributions(judgement: Judgement) -> dict[str, float]:
    """Largest shift, in standard deviations, within each group: what a page shows beside T2."""
    largest: dict[str, float] = {}
    for name, shift in judgement.shifts.items():
        group = group_of(name)
        largest[group] = max(largest.get(group, 0.0), abs(shift))
    return largest
