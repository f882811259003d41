"""Windows that come after newer ones of their camera, because the agent was away: they tell what was.

They are judged by the profile of their key and shown at their own time. What is now has been decided by newer windows:
no phase, no incident and no profile changes by them. A drift that came and went meanwhile is recorded as one that was.
The parts that they count stand against the served release like all others.
"""

from __future__ import annotations

from contracts.telemetry import Window
from drift.persistence import Persistence
from drift.profile import Profile
from drift.window import window_mean
from monitor.rules import serving
from monitor.rules.action import PastDrift
from monitor.rules.camera import CameraState, key_of
from monitor.rules.happening import WindowSeen
from monitor.rules.judging import judged
from monitor.rules.reason import because
from monitor.rules.settings import RuleSettings
from monitor.rules.turn import Turn


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
    ratio = _ratio(profile_of(camera, happening), happening.window, turn.settings)
    if ratio is None:
        return camera
    settings = turn.settings
    before = Persistence(k=settings.windows_over, n=settings.windows_looked_at, recent=camera.late_over)
    after = before.update(ratio > 1.0)
    if after.drift_detected and not before.drift_detected:
        reason = because("past-drift", over=after.over, of=after.n, ratio=ratio)
        turn.actions.append(PastDrift(camera=camera.camera, reason=reason))
    return camera.model_copy(update={"late_over": after.recent})


def _ratio(profile: Profile | None, window: Window, settings: RuleSettings) -> float | None:
    mean = window_mean(window)
    if profile is None or mean is None or mean.names != profile.names:
        return None
    return judged(profile, mean, window, settings).ratio
