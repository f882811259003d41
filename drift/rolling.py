"""Windows roll up: the mean over some in a row, added up one at a time. A small shift that lasts stands out in it."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from drift.profile import ROLL_UP
from drift.window import WindowMean, rounded


class Rolling(BaseModel):
    """The windows of a roll-up that is not full yet; a value, so that a monitor can store it."""

    model_config = ConfigDict(frozen=True)

    windows: tuple[WindowMean, ...] = ()

    def add(self, window: WindowMean) -> tuple[Rolling, WindowMean | None]:
        """With one more window; and the mean of all once it is the last. Each window counts alike, as it did while
        commissioning. Windows with other names than before start a new roll-up."""
        windows = self.windows if self.windows and self.windows[0].names == window.names else ()
        windows = (*windows, window)
        return (Rolling(windows=windows), None) if len(windows) < ROLL_UP else (Rolling(), rolled_up(windows))


def rolled_up(windows: tuple[WindowMean, ...]) -> WindowMean:
    """The mean of window means [m], with the mean spread of their images and the sum of them."""
    return WindowMean(
        names=windows[0].names,
        mean=rounded(np.mean([window.mean for window in windows], axis=0)),
        spread=rounded(np.mean([window.spread for window in windows], axis=0)),
        images=sum(window.images for window in windows),
    )
