"""One camera: its windows against its profile. LEARNING -> OK -> SUSPECT -> DRIFT; from there its incident leads it on.

The state is keyed by bundle x camera x product x runtime: a window under another key starts a new LEARNING, or takes up
the profile learned for that key before (after a rollback).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from contracts.names import Label, Moment
from contracts.telemetry import Window
from drift.hotelling import HotellingT2
from drift.persistence import Persistence
from drift.profile import Commissioning, Profile, ProfileKey
from drift.window import WindowMean, window_mean
from monitor.rules.action import Phase, PhaseChanged
from monitor.rules.happening import WindowSeen
from monitor.rules.reason import Reason, because
from monitor.rules.settings import RuleSettings

_REMEMBERED_WINDOWS = 8
_REMEMBERED_PROFILES = 3
WATCHING = frozenset({Phase.OK, Phase.SUSPECT, Phase.DRIFT})
"""Phases that the camera leads itself; in all later ones it follows its incident."""


class Seen(BaseModel):
    """One judged window. `ratio` is T2 over its limit; the dictionaries are those of `drift.hotelling.Judgement`."""

    model_config = ConfigDict(frozen=True)

    started_at: Moment
    at: Moment
    ratio: float
    groups: dict[str, float]
    given: dict[str, float]
    shifts: dict[str, float]
    changes: dict[str, float]
    answers: dict[Label, int]

    @property
    def over(self) -> bool:
        """Whether the window was over its limit."""
        return self.ratio > 1.0


class CameraState(BaseModel):
    """All that is remembered of one camera."""

    model_config = ConfigDict(frozen=True)

    camera: str
    line: str
    phase: Phase = Phase.LEARNING
    since: Moment
    commissioning: Commissioning
    profile: Profile | None = None
    archive: tuple[Profile, ...] = ()
    persistence: Persistence
    recent: tuple[Seen, ...] = ()
    last_at: Moment | None = None
    onset: Moment | None = Field(default=None, description="start of the first window over, of the present run")
    waited: int = Field(default=0, description="windows since DRIFT")
    quiet: int = Field(default=0, description="windows in a row that were not over")
    repaired_at: Moment | None = None
    foreign: int = Field(default=0, description="windows in a row from another bundle than the served one")

    @property
    def key(self) -> ProfileKey:
        """What the state holds for."""
        return self.commissioning.key

    def since_onset(self) -> tuple[Seen, ...]:
        """Judged windows that began at the onset or later."""
        return tuple(seen for seen in self.recent if self.onset is not None and seen.started_at >= self.onset)


def key_of(happening: WindowSeen) -> ProfileKey:
    """What a window's profile is keyed by."""
    window = happening.window
    return ProfileKey(
        bundle_hash=window.bundle_hash, camera=happening.camera, product=window.product, runtime=window.runtime
    )


def first_state(happening: WindowSeen, settings: RuleSettings) -> CameraState:
    """A camera seen for the first time."""
    return CameraState(
        camera=happening.camera,
        line=happening.line,
        since=happening.at,
        commissioning=Commissioning(key=key_of(happening), windows_needed=settings.commissioning_windows),
        persistence=Persistence(k=settings.windows_over, n=settings.windows_looked_at),
    )


def see(state: CameraState, happening: WindowSeen, settings: RuleSettings) -> tuple[CameraState, list[PhaseChanged]]:
    """The camera after one more window, which ended after the last one."""
    mean = window_mean(happening.window)
    state = state.model_copy(update={"last_at": happening.at, "line": happening.line})
    actions: list[PhaseChanged] = []
    if key_of(happening) != state.key:
        state, actions = under_key(state, key_of(happening), happening.at, settings)
    if mean is None:
        return state, actions
    profile = state.profile
    if profile is None:
        state, more = _learn(state, mean, happening.at)
    elif mean.names != profile.names:
        state, more = relearn(state, happening.at, because("vector-changed"), settings)
    else:
        state, more = _watch(state, profile, mean, happening.window, settings)
    return state, actions + more


def under_key(
    state: CameraState, key: ProfileKey, at: Moment, settings: RuleSettings
) -> tuple[CameraState, list[PhaseChanged]]:
    """The camera under another bundle or runtime: with the profile it once learned for it, or LEARNING."""
    archive = state.archive
    if state.profile is not None:
        archive = (*(old for old in archive if old.key != state.key), state.profile)[-_REMEMBERED_PROFILES:]
    known = next((profile for profile in archive if profile.key == key), None)
    fresh = state.model_copy(
        update={
            "commissioning": Commissioning(key=key, windows_needed=settings.commissioning_windows),
            "profile": known,
            "archive": archive,
            **_forgotten(state),
        }
    )
    if known is not None:
        return moved(fresh, Phase.OK, at, because("profile-known", bundle_hash=key.bundle_hash))
    return moved(fresh, Phase.LEARNING, at, because("new-key", bundle_hash=key.bundle_hash, runtime=key.runtime))


def relearn(
    state: CameraState, at: Moment, reason: Reason, settings: RuleSettings
) -> tuple[CameraState, list[PhaseChanged]]:
    """The camera with its profile thrown away: the present state becomes the new normal."""
    fresh = state.model_copy(
        update={
            "commissioning": Commissioning(key=state.key, windows_needed=settings.commissioning_windows),
            "profile": None,
            "archive": tuple(old for old in state.archive if old.key != state.key),
            **_forgotten(state),
        }
    )
    return moved(fresh, Phase.LEARNING, at, reason)


def released(state: CameraState, at: Moment, reason: Reason) -> tuple[CameraState, list[PhaseChanged]]:
    """The camera back to watching, with an empty memory: its incident is over."""
    fresh = state.model_copy(update=_forgotten(state))
    return moved(fresh, Phase.OK if state.profile is not None else Phase.LEARNING, at, reason)


def moved(state: CameraState, phase: Phase, at: Moment, reason: Reason) -> tuple[CameraState, list[PhaseChanged]]:
    """The camera in another phase, and the record of it; nothing where it is there already."""
    if state.phase is phase:
        return state, []
    change = PhaseChanged(camera=state.camera, before=state.phase, after=phase, reason=reason)
    return state.model_copy(update={"phase": phase, "since": at}), [change]


def _forgotten(state: CameraState) -> dict[str, object]:
    return {
        "persistence": state.persistence.cleared(),
        "recent": (),
        "onset": None,
        "waited": 0,
        "quiet": 0,
        "repaired_at": None,
        "foreign": 0,
    }


def _learn(state: CameraState, mean: WindowMean, at: Moment) -> tuple[CameraState, list[PhaseChanged]]:
    commissioning = state.commissioning.add(mean)
    if not commissioning.complete:
        return state.model_copy(update={"commissioning": commissioning}), []
    emptied = Commissioning(key=state.key, windows_needed=commissioning.windows_needed)
    learned = state.model_copy(update={"commissioning": emptied, "profile": commissioning.profile()})
    if state.phase is not Phase.LEARNING:
        return learned, []
    return moved(learned, Phase.OK, at, because("commissioned", windows=len(commissioning.means)))


def _watch(
    state: CameraState, profile: Profile, mean: WindowMean, window: Window, settings: RuleSettings
) -> tuple[CameraState, list[PhaseChanged]]:
    seen = judged(profile, mean, window, settings.level)
    persistence = state.persistence.update(seen.over)
    changes = {
        "persistence": persistence,
        "recent": (*state.recent, seen)[-_REMEMBERED_WINDOWS:],
        "quiet": 0 if seen.over else state.quiet + 1,
        "waited": state.waited + (state.phase is Phase.DRIFT),
        "onset": state.onset or (seen.started_at if seen.over else None),
    }
    state = state.model_copy(update=changes)
    if state.phase not in WATCHING:
        return state, []
    if state.phase is not Phase.DRIFT and persistence.drift_detected:
        reason = because("drift", over=persistence.over, of=persistence.n, ratio=seen.ratio)
        return moved(state, Phase.DRIFT, seen.at, reason)
    if state.phase is Phase.OK and seen.over:
        return moved(state, Phase.SUSPECT, seen.at, because("over-limit", ratio=seen.ratio))
    if state.phase is Phase.SUSPECT and persistence.over == 0:
        return moved(state.model_copy(update={"onset": None}), Phase.OK, seen.at, because("back-in-control"))
    if state.phase is Phase.SUSPECT and persistence.k == persistence.n and not seen.over:
        return moved(state.model_copy(update={"onset": None}), Phase.OK, seen.at, because("back-in-control"))
    return state, []


def judged(profile: Profile, mean: WindowMean, window: Window, level: float) -> Seen:
    """One window against a profile."""
    judgement = _detector(profile.model_dump_json(), level).judge(np.array(mean.mean), mean.images)
    return Seen(
        started_at=window.started_at,
        at=window.ended_at,
        ratio=judgement.t2 / judgement.limit,
        groups=judgement.groups,
        given=judgement.given,
        shifts=judgement.shifts,
        changes=judgement.changes,
        answers=window.labels,
    )


@lru_cache(maxsize=256)
def _detector(profile: str, level: float) -> HotellingT2:
    return HotellingT2(Profile.model_validate_json(profile), p=level)
