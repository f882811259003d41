"""The deployed rule over many windows at once: commissioning until it has what it asks for, settling after a pause, T2
of windows and of roll-ups, three in a row. What `monitor.rules` does one window at a time with the same pieces."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.plant import IMAGES, NAMES, Minutes
from drift.hotelling import HotellingT2
from drift.pause import settling
from drift.profile import ROLL_UP, Commissioning, Profile, ProfileKey

Floats = NDArray[np.floating[Any]]
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
_MERGED = 30  # minutes: alarms of one camera this close are one incident
_RUN = 3


def key(camera: int) -> ProfileKey:
    """What the profile of a planted camera is kept under."""
    return ProfileKey(bundle_hash="0" * 64, camera=f"agent/camera-{camera}/cap", product="cap", runtime="planted")


def settled(minutes: Minutes) -> NDArray[np.bool_]:
    """Which of the minutes are learned and judged [n]."""
    pauses, which = np.unique(minutes.pause, return_inverse=True)
    away = np.array([settling(timedelta(minutes=int(pause))).total_seconds() / 60.0 for pause in pauses])
    return np.asarray(minutes.running >= away[which])


@dataclass
class Learner:
    """One camera from its first window on; `profile` once it has one."""

    commissioning: Commissioning
    profile: Profile | None = None
    learned_at: int = 0

    def learn(self, minutes: NDArray[np.int64], means: Floats, spread: Floats) -> None:
        """More windows [n, m]; the profile is taken when commissioning says so."""
        if len(minutes) == 0:
            return
        at = [MONDAY + timedelta(minutes=int(minute)) for minute in (minutes[0], minutes[-1] + 1)]
        before = self.commissioning
        if before.began_at is None:
            before = before.model_copy(update={"began_at": at[0]})
        self.commissioning = before.add_all(NAMES, means, spread, IMAGES, at[1])
        if self.commissioning.complete:
            self.profile, self.learned_at = self.commissioning.profile(), int(minutes[-1]) + 1


class Watch:
    """A profile's two charts over rows of judged windows."""

    def __init__(self, profile: Profile) -> None:
        self.windows = HotellingT2(profile)
        self.rolled = HotellingT2(profile.rolled) if profile.rolled is not None else None

    def over(self, means: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Of windows [n, m]: which are over [n], which roll-ups are [n // ROLL_UP]."""
        over = self.windows.ratios(means) > 1.0
        blocks = means[: len(means) // ROLL_UP * ROLL_UP].reshape(-1, ROLL_UP, means.shape[1]).mean(axis=1)
        if self.rolled is None:
            return over, np.zeros(len(blocks), bool)
        return over, self.rolled.largest_ratios(blocks) > 1.0

    def alarms(self, means: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places in the row of windows at which three windows, and three roll-ups, were over."""
        over, rolled = self.over(means)
        return in_a_row(over), (in_a_row(rolled) + 1) * ROLL_UP - 1

    def false_drifts(self, minutes: NDArray[np.int64], means: Floats) -> int:
        """Drifts raised over windows in control, those close together counted once."""
        if len(minutes) < _RUN:
            return 0
        at = np.unique(np.concatenate(self.alarms(means)))
        return 0 if at.size == 0 else 1 + int((np.diff(minutes[at]) > _MERGED).sum())

    def delay(self, means: Floats) -> int | None:
        """Windows until a drift is raised, that one included; None where it is missed."""
        at = np.concatenate(self.alarms(means))
        return int(at.min()) + 1 if at.size else None


def in_a_row(over: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Places at which this one and the two before are over."""
    if len(over) < _RUN:
        return np.zeros(0, np.int64)
    return np.flatnonzero(over[2:] & over[1:-1] & over[:-2]) + 2
