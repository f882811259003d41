"""One window, or a roll-up of windows, against a camera's profile."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from contracts.telemetry import Window
from drift.hotelling import HotellingT2
from drift.persistence import Persistence
from drift.profile import Profile
from drift.window import WindowMean
from monitor.rules.camera import NO_ROLL_UP, REMEMBERED_WINDOWS, CameraState, Seen
from monitor.rules.settings import RuleSettings


def judged(profile: Profile, mean: WindowMean, window: Window, settings: RuleSettings, *, rolled: bool = False) -> Seen:
    """One window, or a roll-up that ended with it, against a profile."""
    detector = _detector(profile.model_dump_json(exclude={"rolled"}), settings.level, settings.windows_over)
    judgement = detector.judge(np.array(mean.mean), mean.images)
    return Seen(
        started_at=window.started_at,
        at=window.ended_at,
        ratio=judgement.largest_ratio if rolled else judgement.ratio,
        groups=judgement.groups,
        given=judgement.given,
        shifts=judgement.shifts,
        changes=judgement.changes,
        answers=window.labels,
        size=window.size,
    )


@lru_cache(maxsize=256)
def _detector(profile: str, level: float, windows_over: int) -> HotellingT2:
    persistence = Persistence(k=windows_over, n=windows_over)
    return HotellingT2(Profile.model_validate_json(profile), p=level, persistence=persistence)


def rolled_up(
    state: CameraState, profile: Profile, mean: WindowMean, window: Window, settings: RuleSettings
) -> CameraState:
    """The camera with the window in its roll-up, which is judged once it is full."""
    if profile.rolled is None:
        return state
    rolling, whole = state.rolling.add(mean)
    since = state.rolling_since or window.started_at
    answers = dict(state.rolling_answers)
    for label, count in window.labels.items():
        answers[label] = answers.get(label, 0) + count
    if whole is None:
        changes = {"rolling": rolling, "rolling_since": since, "rolling_answers": answers}
        return state.model_copy(update=changes)
    span = window.model_copy(update={"started_at": since, "labels": answers})
    seen = judged(profile.rolled, whole, span, settings, rolled=True)
    return state.model_copy(update={"rolled": (*state.rolled, seen)[-REMEMBERED_WINDOWS:], **NO_ROLL_UP})
