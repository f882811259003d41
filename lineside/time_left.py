"""For how long work goes on, from the share of it that is done: steady enough to plan a coffee by."""

from __future__ import annotations

import math

_SHARE, _SECONDS = 0.05, 5.0  # of the work, and of time, before a pace means anything
_MEMORY = 0.25  # of the time that the work has taken: how fast the expected end follows what is seen
_CERTAIN = 0.995  # done: nothing more is worth saying


class TimeLeft:
    """When the work ends. Every stage goes at its own pace, and what comes is mostly more of the stage that is under
    way: its pace counts as soon as it has done a twentieth of the whole, and until then that of the stage before. What
    was done before the first call of a stage, by a run that was killed, does not count as fast. The expected end moves
    slowly towards what is seen, so that it does not jump where the pace changes. Work that begins anew (its share
    falls) is timed anew.

    >>> left = TimeLeft()
    >>> left.told("training", 0.0, 0.0)
    >>> left.told("training", 0.25, 100.0)
    >>> left.seconds(100.0), left.seconds(160.0)
    (300.0, 240.0)
    """

    def __init__(self) -> None:
        self._stage, self._share = "", 0.0
        self._began, self._stage_began = math.nan, (math.nan, 0.0)  # second; second and share
        self._pace: float | None = None  # seconds of the whole
        self._end: float | None = None
        self._at = 0.0

    def told(self, stage: str, share: float | None, now: float) -> None:
        """`share` of the whole is done, 0..1, None where nobody knows; `now` in seconds of any clock."""
        if share is None or share < self._share or math.isnan(self._began):
            self._stage, self._began, self._pace, self._end = "", now, None, None
        if stage != self._stage:
            self._stage, self._stage_began = stage, (now, share or 0.0)
        self._share = share or 0.0
        self._pace = _pace(self._stage_began, now, self._share) or self._pace
        if self._pace is not None:
            self._follow(now + (1 - self._share) * self._pace, now)

    def seconds(self, now: float) -> float | None:
        """What is left; None where it cannot be said."""
        if self._end is None or self._share >= _CERTAIN:
            return None
        return max(0.0, self._end - now)

    def _follow(self, seen: float, now: float) -> None:
        """Move the expected end towards the one that is `seen`."""
        if self._end is None:
            self._end = seen
        else:
            memory = _MEMORY * max(now - self._began, 1e-9)
            self._end += (seen - self._end) * (1 - math.exp(-(now - self._at) / memory))
        self._at = now


def _pace(began: tuple[float, float], now: float, share: float) -> float | None:
    """Seconds of the whole, at the pace since then; None where too little has been done."""
    seconds, done = now - began[0], share - began[1]
    return seconds / done if seconds >= _SECONDS and done >= _SHARE - 1e-9 else None


def in_words(seconds: float | None) -> str:
    """In steps as coarse as such a forecast is: it counts down in quarters of minutes, minutes, or five minutes.

    >>> [in_words(seconds) for seconds in (None, 3, 50, 100, 1000, 3000, 9000)]
    ['', 'a moment left', 'about 1 min left', 'about 2 min left', 'about 17 min left', 'about 50 min left', \
'about 2 h 30 min left']
    """
    if seconds is None:
        return ""
    if seconds < 7.5:
        return "a moment left"
    if seconds < 45:
        return f"about {15 * round(seconds / 15)} s left"
    minutes = max(1, round(seconds / 60))
    if minutes >= 20:
        minutes = 5 * round(seconds / 300)
    hours = f"{minutes // 60} h " if minutes >= 60 else ""
    return f"about {hours}{minutes % 60} min left"
