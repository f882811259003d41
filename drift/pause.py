"""After a pause the line runs in: lamps warm up, a new product's first parts are set up. These windows are neither
learned nor judged; hard camera rules go on.

A known change is better named than modelled: learned with the rest, an hour on a Monday would either widen every limit
or be a false drift each week.
"""

from __future__ import annotations

from datetime import timedelta

PAUSE_MINUTES = 10.0
SETTLE_MINUTES = 45.0
_SHARE = 0.25


def settling(
    pause: timedelta, *, least_minutes: float = PAUSE_MINUTES, most_minutes: float = SETTLE_MINUTES
) -> timedelta:
    """How long to look away after a pause: nothing below `least_minutes`, else a quarter of it, at most `most_minutes`.

    >>> [settling(timedelta(minutes=m)).seconds // 60 for m in (5, 60, 2400)]
    [0, 15, 45]
    """
    if pause < timedelta(minutes=least_minutes):
        return timedelta()
    return min(_SHARE * pause, timedelta(minutes=most_minutes))
