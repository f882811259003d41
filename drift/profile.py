"""What a camera's windows look like when all is well: learned while commissioning, from the deployed session.

The covariance is that *between window means*, because neighbouring images are not independent: thresholds from single
images mean nothing on video. Few windows (60 in a demo, 300 in production) cannot carry a full covariance, so the
correlations are shrunk towards none (Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional
covariance matrices", on standardised entries), and no entry is believed to vary less than its images' own spread.
What shrinkage does to the T2 limit is measured, not assumed: each block of neighbouring windows is judged by a profile
of all others, and these held-out T2 values are kept.

A wander slower than a window (daylight, temperature, a belt that runs in) makes windows alike, so that many of them
tell little about how far it goes. Commissioning therefore reads off its own windows how many make one independent one
(`drift.course`), asks for as many as that takes, and widens what it could not see often: an entry with few independent
windows gets the upper bound of its variance. The same windows say how much three in a row repeat each other, which
sets the level of the limit (`drift.hotelling.level_of`). Cycles (day and night, shifts, the week) are in the covariance
because commissioning lasts over a whole one. Means over `ROLL_UP` windows are learned beside the windows: a small shift
that lasts stands out in them.
"""

from __future__ import annotations

from datetime import datetime
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from drift.course import Course
from drift.quantile import chi2_quantile
from drift.vector import group_of
from drift.window import WindowMean, rounded

PRODUCTION_WINDOWS = 300
DEMO_WINDOWS = 60
MOST_WINDOWS = 40_320  # four weeks of minutes
ROLL_UP = 10  # windows
BLOCKS = 6
_SPARE = 16  # windows more than entries: with fewer degrees of freedom the limit of T2 is beyond every fault
_INDEPENDENT = 17.0  # windows' worth of the slowest entry that commissioning asks for; what goes astray for ever has 16
_OFTEN, _OFTEN_WINDOWS = 60.0, 2_000  # as many, where that takes no more windows than these
_LEAST_ROLLED = 100  # blocks that a covariance of roll-ups is learned from
_SURE = 0.05  # one-sided: how often the variance of an entry may be beyond its bound
_KEPT_WINDOWS, _KEPT_ROLLED = 400, 160

Floats = NDArray[np.floating[Any]]


class ProfileKey(BaseModel):
    """A profile holds for one bundle on one camera and runtime looking at one product, and for nothing else."""

    model_config = ConfigDict(frozen=True)

    bundle_hash: str
    camera: str
    product: str
    runtime: str


class Profile(BaseModel):
    """Mean and covariance of window means in control. `held_out` holds, per group of entries, one T2 per window that
    was kept. Fields with a default are missing in profiles of before: those are judged as they were."""

    model_config = ConfigDict(frozen=True)

    key: ProfileKey
    names: tuple[str, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    windows: int
    images: int = Field(description="images of a typical window")
    shrinkage: float = Field(description="0: covariance as measured .. 1: entries taken for unrelated")
    held_out: dict[str, tuple[float, ...]]
    degrees: int | None = Field(default=None, description="windows that the covariance is of; None: all")
    kinship: float = Field(default=0.0, ge=0, le=1, description="how much neighbouring windows repeat each other")
    independent: float | None = Field(default=None, description="independent windows' worth of the slowest entry")
    rolled: Profile | None = Field(default=None, description="the same of means over ROLL_UP windows in a row")


class Commissioning(BaseModel):
    """Window means collected so far; a value. Add windows until `complete`, then take the `profile`."""

    model_config = ConfigDict(frozen=True)

    key: ProfileKey
    windows_needed: int = Field(default=PRODUCTION_WINDOWS, ge=20, description="at least")
    windows_most: int = Field(default=MOST_WINDOWS, description="taken as it is from here on, however slow the wander")
    cycle_hours: float = Field(default=0.0, ge=0, description="a whole cycle: from the first window to the last")
    names: tuple[str, ...] = ()
    windows: Course = Course(most=_KEPT_WINDOWS)
    rolled: Course = Course(most=_KEPT_ROLLED)
    rolling: tuple[tuple[float, ...], ...] = Field(default=(), description="windows of the roll-up that is not full")
    spread_total: tuple[float, ...] = Field(default=(), description="sum over windows of the within-window variances")
    image_total: int = 0
    began_at: datetime | None = None
    last_at: datetime | None = None

    def add(self, window: WindowMean, at: datetime | None = None) -> Commissioning:
        """One more window, which ended `at`. Entries that are not finite or named differently from before make it be
        left out."""
        if not np.isfinite(window.mean).all() or (self.names and window.names != self.names):
            return self
        return self.add_all(window.names, np.array([window.mean]), np.array(window.spread), window.images, at)

    def add_all(
        self, names: tuple[str, ...], means: Floats, spread: Floats, images: int, at: datetime | None = None
    ) -> Commissioning:
        """Many windows [n, m] of `images` images each and of one spread [m] at once, the last of which ended `at`."""
        before = np.array(self.spread_total or (0.0,) * len(names))
        row = np.vstack([np.array(self.rolling).reshape(-1, len(names)), means])
        full = len(row) // ROLL_UP * ROLL_UP
        changes = {
            "names": names,
            "windows": self.windows.add(means),
            "rolled": self.rolled.add(row[:full].reshape(-1, ROLL_UP, len(names)).mean(axis=1)),
            "rolling": tuple(tuple(mean) for mean in row[full:].tolist()),
            "spread_total": tuple((before + np.asarray(spread) * len(means)).tolist()),
            "image_total": self.image_total + images * len(means),
            "began_at": self.began_at or at,
            "last_at": at or self.last_at,
        }
        return self.model_copy(update=changes)

    @property
    def seen(self) -> int:
        """Windows so far."""
        return self.windows.seen

    @property
    def asked(self) -> int:
        """Windows needed in all, as far as can be told by now. It grows while a wander shows that is slower than what
        was seen so far, and is never so small that the limit would follow whatever comes."""
        least = max(self.windows_needed, len(self.names) + _SPARE if self.names else 0)
        wanted = max(least, self._of_wander(), self._of_cycle())
        return min(wanted, max(self.windows_most, least))

    def _of_wander(self) -> int:
        """Windows that show the slowest entry go its way often enough; a short memory is cheap to see more often, and
        has more occasions to be over."""
        slowest = float(self.windows.inefficiency().max()) if self.seen else 1.0
        often = min(_OFTEN * slowest, _OFTEN_WINDOWS) if slowest > 1.0 else 0.0
        return ceil(max(_INDEPENDENT * slowest, often))

    def _of_cycle(self) -> int:
        """Windows that a cycle has at the pace of before: at least one more than seen while it is not over."""
        if self.cycle_hours == 0.0 or self.began_at is None or self.last_at is None:
            return 0
        hours = (self.last_at - self.began_at).total_seconds() / 3600.0
        if hours >= self.cycle_hours:
            return 0
        pace = min(self.cycle_hours / hours, self.windows_most) if hours > 0.0 else 1.0
        return max(self.seen + 1, ceil(self.seen * pace))

    @property
    def complete(self) -> bool:
        """Whether enough windows were seen."""
        return self.seen >= self.asked

    def profile(self) -> Profile:
        """The profile of what was seen. Raises ValueError while it is not complete."""
        if not self.complete:
            raise ValueError(f"{self.seen} of {self.asked} commissioning windows seen")
        images = round(self.image_total / self.seen)
        whole = self._learned(self.windows, images)
        if self.rolled.seen < _LEAST_ROLLED:
            return whole
        return whole.model_copy(update={"rolled": self._learned(self.rolled, ROLL_UP * images)})

    def _learned(self, course: Course, images: int) -> Profile:
        names, means = self.names, np.array(course.kept)
        inefficiency = course.inefficiency()
        floor = least_variance(names, course.mean(), course.seen, np.array(self.spread_total) / self.seen, images)
        wide = widening(inefficiency, course.seen)
        slow = np.maximum(inefficiency / course.every, 1.0)  # of the means that were kept
        _, covariance, shrinkage = shrunk_covariance(means, floor, slow)
        return Profile(
            key=self.key,
            names=names,
            mean=rounded(course.mean()),
            covariance=tuple(rounded(row) for row in covariance * np.sqrt(np.outer(wide, wide))),
            windows=course.seen,
            images=images,
            shrinkage=shrinkage,
            held_out={name: rounded(found) for name, found in held_out_t2(names, means, floor, slow, wide).items()},
            degrees=len(means),
            kinship=round(course.kinship(), 3),
            independent=round(course.seen / float(inefficiency.max()), 1),
        )


def widening(inefficiency: Floats, seen: int) -> Floats:
    """Factor [m] >= 1 on the variances of entries of which `seen` windows were only seen / inefficiency independent
    ones: their upper bound over that of independent windows, and twice the doubt about their mean, by which the
    variance around it is also too small. The variance of a first-order wander has twice as many degrees of freedom as
    its mean."""
    independent = max(seen - 1, 2)
    degrees = np.maximum(np.where(inefficiency > 2.0, 2.0, inefficiency) * seen / inefficiency - 1.0, 2.0)
    beyond = [float(df) / chi2_quantile(_SURE, float(df)) for df in degrees]
    plain = independent / chi2_quantile(_SURE, float(independent))
    return np.maximum(np.array(beyond) / plain * (1.0 + 2.0 * (inefficiency - 1.0) / seen), 1.0)


def least_variance(names: tuple[str, ...], mean: Floats, windows: int, spread: Floats, images: int) -> Floats:
    """Variance [m] that a window mean has at least: the spread of single images over their number. A class that was
    never answered is taken to appear as often as three times in all that was seen (the rule of three)."""
    share = np.maximum(mean, 3.0 / (windows * images))
    rare = np.array([name.startswith("class-") for name in names])
    smallest = np.where(rare, share * (1.0 - np.minimum(share, 0.5)), 1e-12)
    return np.maximum(spread, smallest) / images


def shrunk_covariance(means: Floats, floor: Floats, inefficiency: Floats | float = 1.0) -> tuple[Floats, Floats, float]:
    """Mean [m], covariance [m, m] and shrinkage of window means [n, m] whose variances are at least `floor` [m] and of
    which so many (`inefficiency` [m], or one for all) are worth one independent one."""
    n, m = means.shape
    mean = means.mean(axis=0)
    deviations = means - mean
    scale = np.sqrt(np.maximum(deviations.var(axis=0) * n / (n - 1.0), floor))  # [m]
    z = deviations / scale
    correlation = z.T @ z / (n - 1.0)
    strength = _ledoit_wolf(z, correlation, np.broadcast_to(inefficiency, m))
    shrunk = (1.0 - strength) * correlation
    np.fill_diagonal(shrunk, 1.0)
    return mean, shrunk * np.outer(scale, scale), strength


def _ledoit_wolf(z: Floats, correlation: Floats, inefficiency: Floats) -> float:
    """Shrinkage intensity of standardised rows [n, m] towards the identity (Ledoit and Wolf 2004, section 3.3). A
    product of two entries that wander varies as if fewer rows had been seen."""
    n, m = z.shape
    distance = ((correlation - np.eye(m)) ** 2).sum()
    slow = np.maximum(np.sqrt(np.outer(inefficiency, inefficiency)) / 2.0, 1.0)
    sampling = (((z**2).T @ (z**2) / n - correlation**2) * slow).sum() / n
    return float(np.clip(sampling / distance, 0.0, 1.0)) if distance > 0 else 1.0


def t2(deviations: Floats, covariance: Floats) -> Floats:
    """Hotelling's T2 of deviations [n, m] from the mean, for one covariance [m, m]; shape [n]."""
    solved = np.linalg.solve(covariance, deviations.T)  # [m, n]
    values: Floats = np.einsum("nm,mn->n", deviations, solved)
    return values


def groups(names: tuple[str, ...]) -> dict[str, NDArray[np.bool_]]:
    """Masks [m] over the entries: `all`, and each of `image`, `embedding`, `class` that has entries."""
    kinds = np.array([group_of(name) for name in names])
    masks = {"all": np.ones(len(names), bool)}
    masks.update({kind: kinds == kind for kind in ("image", "embedding", "class") if (kinds == kind).any()})
    return masks


def held_out_t2(
    names: tuple[str, ...], means: Floats, floor: Floats, inefficiency: Floats | float = 1.0, wide: Floats | float = 1.0
) -> dict[str, Floats]:
    """T2 [n] of every window under a profile learned from the other blocks of neighbouring windows, per group."""
    n, m = means.shape
    block = np.arange(n) * BLOCKS // n
    masks = groups(names)
    values: dict[str, Floats] = {name: np.empty(n) for name in masks}
    root = np.sqrt(np.broadcast_to(wide, m))
    for held in range(BLOCKS):
        inside = block == held
        mean, covariance, _ = shrunk_covariance(means[~inside], floor, inefficiency)
        covariance = covariance * np.outer(root, root)
        for name, mask in masks.items():
            values[name][inside] = t2((means[inside] - mean)[:, mask], covariance[np.ix_(mask, mask)])
    return values
