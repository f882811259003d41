"""How fast a camera's device answers, against itself under the release before. Other devices are no yardstick: a
station with an old processor is slow under every release."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from contracts.telemetry import Window
from monitor.rules.reason import Reason, because
from monitor.rules.settings import RuleSettings

_REMEMBERED = 60  # windows that the mean reaches back, about
_ENOUGH = 10  # windows before a mean is a yardstick
SLOW_SHARE = 0.2
"""Share of the cameras that serve a release which must be slow for it to be at fault."""


class Pace(BaseModel):
    """Mean seconds an image, window by window; a value. `before`: the same under the release before."""

    model_config = ConfigDict(frozen=True)

    windows: int = 0
    seconds: float = 0.0
    before: float | None = None
    slow: int = Field(default=0, description="windows in a row that were too slow against `before`")


def paced(pace: Pace, window: Window, settings: RuleSettings) -> Pace:
    """After one more window; one without images or times says nothing."""
    if window.images < 1 or window.latency_seconds_sum <= 0.0:
        return pace
    mean = window.latency_seconds_sum / window.images
    windows = pace.windows + 1
    limit = None if pace.before is None else max(settings.latency_factor * pace.before, settings.latency_floor_seconds)
    return pace.model_copy(
        update={
            "windows": windows,
            "seconds": pace.seconds + (mean - pace.seconds) / min(windows, _REMEMBERED),
            "slow": pace.slow + 1 if limit is not None and mean > limit else 0,
        }
    )


def renewed(pace: Pace) -> Pace:
    """Another release serves: what was measured so far is what it is held against."""
    return Pace(before=pace.seconds if pace.windows >= _ENOUGH else pace.before)


def slower(paces: Iterable[tuple[str, Pace]], settings: RuleSettings) -> list[Reason]:
    """Proof that the served release is slower than the one before, given (camera, pace) of all cameras that serve it;
    empty without."""
    known = list(paces)
    slow = [(name, pace) for name, pace in known if pace.slow >= settings.latency_windows]
    if not slow or len(slow) < SLOW_SHARE * len(known):
        return []
    name, worst = max(slow, key=lambda found: found[1].seconds / (found[1].before or 1.0))
    return [
        because(
            "harm-latency",
            camera=name,
            seconds=worst.seconds,
            before=worst.before,
            windows=settings.latency_windows,
            slow=len(slow),
            cameras=len(known),
        )
    ]
