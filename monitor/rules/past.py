"""Windows that come after newer ones of their camera, because the agent was away: they tell what was.

They are judged by the profile of their key and shown at their own time. What is now has been decided by newer windows:
no phase, no incident and no profile changes by them. A drift that came and went meanwhile is recorded as one that was.
The parts that they count stand against the served release like all others.
"""

from __future__ import annotations

from drift.persistence import Persistence
from drift.profile import Profile
from drift.rolling import Rolling
from drift.window import WindowMean, window_mean
from monitor.rules import serving
from monitor.rules.action import PastDrift
from monitor.rules.camera import CameraState, key_of
from monitor.rules.happening import WindowSeen
from monitor.rules.judging import judged
from monitor.rules.reason import because
from monitor.rules.turn import Turn

_NO_ROLL_UP: dict[str, object] = {"late_rolling": Rolling(), "late_rolled_over": ()}


def is_past(camera: CameraState, happening: WindowSeen) -> bool:
    """Whether a window comes after newer ones of its camera."""
    return happening.late and camera.last_at is not None and happening.at < camera.last_at


def look_back(turn: Turn, camera: CameraState, happening: WindowSeen) -> None:
    """Take a window of the past. Those come in their own order; one that was taken changes nothing."""
    if camera.late_at is not None and happening.at <= camera.late_at:
        return
    turn.set_camera(_judged(turn, camera, happening).model_copy(update={"late_at": happening.at}))
    serving.inspected(turn, happening)


def profile_of(camera: CameraState, happening: WindowSeen) -> Profile | None:
    """What the camera had learned for a window's key, if it still knows it."""
    known = (*camera.archive, *(() if camera.profile is None else (camera.profile,)))
    return next((profile for profile in known[::-1] if profile.key == key_of(happening)), None)


def _judged(turn: Turn, camera: CameraState, happening: WindowSeen) -> CameraState:
    profile, mean = profile_of(camera, happening), window_mean(happening.window)
    if profile is None or mean is None or mean.names != profile.names:
        return camera
    ratio = judged(profile, mean, happening.window, turn.settings).ratio
    over, drifted = _noted(turn, camera, camera.late_over, ratio, "past-drift")
    camera = camera.model_copy(update={"late_over": over.recent})
    if drifted or profile.rolled is None:  # what single windows show is told: no roll-up holds them
        return camera.model_copy(update=_NO_ROLL_UP)
    return _rolled(turn, camera, profile.rolled, mean, happening)


def _rolled(turn: Turn, camera: CameraState, profile: Profile, mean: WindowMean, happening: WindowSeen) -> CameraState:
    """A small drift that lasts shows in means over ten windows alone."""
    if camera.late_key != key_of(happening):
        camera = camera.model_copy(update={**_NO_ROLL_UP, "late_key": key_of(happening)})
    rolling, whole = camera.late_rolling.add(mean)
    camera = camera.model_copy(update={"late_rolling": rolling})
    if whole is None:
        return camera
    ratio = judged(profile, whole, happening.window, turn.settings, rolled=True).ratio
    over, _ = _noted(turn, camera, camera.late_rolled_over, ratio, "past-slow-drift")
    return camera.model_copy(update={"late_rolled_over": over.recent})


def _noted(
    turn: Turn, camera: CameraState, recent: tuple[bool, ...], ratio: float, code: str
) -> tuple[Persistence, bool]:
    """The rule with one more answer, and whether it sees a drift; when that begins, it is recorded."""
    settings = turn.settings
    before = Persistence(k=settings.windows_over, n=settings.windows_looked_at, recent=recent)
    after = before.update(ratio > 1.0)
    if after.drift_detected and not before.drift_detected:
        reason = because(code, over=after.over, of=after.n, ratio=ratio)
        turn.actions.append(PastDrift(camera=camera.camera, reason=reason))
    return after, after.drift_detected
