"""One camera: its windows against its profile. LEARNING -> OK -> SUSPECT -> DRIFT; from there its incident leads it on.

The state is keyed by bundle x camera x product x runtime: a window under another key starts a new LEARNING, or takes up
the profile learned for that key before (after a rollback).
"""

from __future__ import annotations

from datetime import timedelta

from contracts.names import Moment
from contracts.telemetry import Window
from drift.pause import settling
from drift.profile import Profile, ProfileKey
from drift.window import WindowMean, window_mean
from monitor.rules.action import Phase, PhaseChanged
from monitor.rules.camera import (
    REMEMBERED_WINDOWS,
    WATCHING,
    CameraState,
    Seen,
    commissioning_of,
    forgotten,
    key_of,
)
from monitor.rules.happening import WindowSeen
from monitor.rules.judging import judged, rolled_up
from monitor.rules.pace import paced, renewed
from monitor.rules.reason import Reason, because
from monitor.rules.settings import RuleSettings
from monitor.rules.size import UsualSize

_REMEMBERED_PROFILES = 3


def see(state: CameraState, happening: WindowSeen, settings: RuleSettings) -> tuple[CameraState, list[PhaseChanged]]:
    """The camera after one more window, which ended after the last one."""
    mean = window_mean(happening.window)
    settles_until = _settles_until(state, happening.window, settings)
    changes = {"last_at": happening.at, "line": happening.line, "settles_until": settles_until}
    state = state.model_copy(update=changes)
    actions: list[PhaseChanged] = []
    if key_of(happening) != state.key:
        state, actions = under_key(state, key_of(happening), happening.at, settings)
    state = state.model_copy(update={"pace": paced(state.pace, happening.window, settings)})
    if mean is None or settles_until is not None:
        return state, actions
    profile = state.profile
    if profile is None:
        state, more = _learn(state, mean, happening.window, settings)
    elif mean.names != profile.names:
        state, more = relearn(state, happening.at, because("vector-changed"), settings)
    else:
        state, more = _watch(state, profile, mean, happening.window, settings)
    return state, actions + more


def _settles_until(state: CameraState, window: Window, settings: RuleSettings) -> Moment | None:
    """When the line will have run in, as long as that is after the window's start."""
    until = state.settles_until
    if state.last_at is not None:
        away = settling(
            window.started_at - state.last_at,
            least_minutes=settings.pause_minutes,
            most_minutes=settings.settle_minutes,
        )
        until = window.started_at + away if away > timedelta() else until
    return until if until is not None and window.started_at < until else None


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
            "commissioning": commissioning_of(key, settings),
            "profile": known,
            "archive": archive,
            "pace": renewed(state.pace) if key.bundle_hash != state.key.bundle_hash else state.pace,
            "usual_size": UsualSize(),
            **forgotten(state),
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
            "commissioning": commissioning_of(state.key, settings),
            "profile": None,
            "archive": tuple(old for old in state.archive if old.key != state.key),
            "usual_size": UsualSize(),
            **forgotten(state),
        }
    )
    return moved(fresh, Phase.LEARNING, at, reason)


def released(state: CameraState, at: Moment, reason: Reason) -> tuple[CameraState, list[PhaseChanged]]:
    """The camera back to watching, with an empty memory: its incident is over."""
    fresh = state.model_copy(update=forgotten(state))
    return moved(fresh, Phase.OK if state.profile is not None else Phase.LEARNING, at, reason)


def moved(state: CameraState, phase: Phase, at: Moment, reason: Reason) -> tuple[CameraState, list[PhaseChanged]]:
    """The camera in another phase, and the record of it; nothing where it is there already."""
    if state.phase is phase:
        return state, []
    change = PhaseChanged(camera=state.camera, before=state.phase, after=phase, reason=reason)
    return state.model_copy(update={"phase": phase, "since": at}), [change]


def _learn(
    state: CameraState, mean: WindowMean, window: Window, settings: RuleSettings
) -> tuple[CameraState, list[PhaseChanged]]:
    before = state.commissioning
    if before.began_at is None:
        before = before.model_copy(update={"began_at": window.started_at})
    commissioning = before.add(mean, window.ended_at)
    state = state.model_copy(update={"usual_size": state.usual_size.with_one(window.size)})
    if not commissioning.complete:
        return state.model_copy(update={"commissioning": commissioning}), []
    changes = {"commissioning": commissioning_of(state.key, settings), "profile": commissioning.profile()}
    learned = state.model_copy(update=changes)
    if state.phase is not Phase.LEARNING:
        return learned, []
    return moved(learned, Phase.OK, window.ended_at, because("commissioned", windows=commissioning.seen))


def _watch(
    state: CameraState, profile: Profile, mean: WindowMean, window: Window, settings: RuleSettings
) -> tuple[CameraState, list[PhaseChanged]]:
    seen = judged(profile, mean, window, settings)
    state = rolled_up(state, profile, mean, window, settings)
    persistence = state.persistence.update(seen.over)
    lasts = state.slow and (not state.rolled or state.rolled[-1].over)
    changes = {
        "persistence": persistence,
        "recent": (*state.recent, seen)[-REMEMBERED_WINDOWS:],
        "quiet": 0 if seen.over or lasts else state.quiet + 1,
        "waited": state.waited + (state.phase is Phase.DRIFT),
        "onset": state.onset or (seen.started_at if seen.over else None),
        "usual_size": state.usual_size if seen.over else state.usual_size.with_one(seen.size),
    }
    return _led_on(state.model_copy(update=changes), seen)


def _led_on(state: CameraState, seen: Seen) -> tuple[CameraState, list[PhaseChanged]]:
    """The camera in the phase that its last window calls for."""
    persistence = state.persistence
    if state.phase not in WATCHING:
        return state, []
    if state.phase is not Phase.DRIFT and persistence.drift_detected:
        reason = because("drift", over=persistence.over, of=persistence.n, ratio=seen.ratio)
        return moved(state, Phase.DRIFT, seen.at, reason)
    if state.phase is not Phase.DRIFT and state.drift_detected:
        slow = state.model_copy(update={"slow": True, "onset": state.rolled[-persistence.k].started_at})
        reason = because("slow-drift", over=persistence.k, of=persistence.n, ratio=state.rolled[-1].ratio)
        return moved(slow, Phase.DRIFT, seen.at, reason)
    if state.phase is Phase.OK and seen.over:
        return moved(state, Phase.SUSPECT, seen.at, because("over-limit", ratio=seen.ratio))
    if state.phase is Phase.SUSPECT and persistence.over == 0:
        return moved(state.model_copy(update={"onset": None}), Phase.OK, seen.at, because("back-in-control"))
    if state.phase is Phase.SUSPECT and persistence.k == persistence.n and not seen.over:
        return moved(state.model_copy(update={"onset": None}), Phase.OK, seen.at, because("back-in-control"))
    return state, []
