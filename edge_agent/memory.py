"""What a process that runs for years does with its memory: nothing is looked at twice, or while the line waits, and
large pieces go back."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable

_YOUNG, _OLDER, _NEVER = 10_000, 10, 1_000_000  # of gc.set_threshold
_QUIET_SECONDS, _LONGEST_SECONDS = 60.0, 900.0
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_LARGE_BYTES = 4 * 1024 * 1024


def set_aside_what_stays() -> None:
    """What is there now stays, so the collector need not look at it again: otherwise it stops all threads for 60 ms at
    a time, once in a while, to find nothing. What has become old since is left to a `Sweeper`; what is new is looked at
    once there is more of it than a few images need."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _OLDER, _NEVER)


class Sweeper:
    """Lets the collector look at all that was not set aside, which stops every thread for a while: once a minute while
    the line is quiet, every quarter of an hour where it never is. Most of what is no longer used goes without it."""

    def __init__(
        self,
        line_works: Callable[[], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
        collect: Callable[[], object] = gc.collect,
    ) -> None:
        self._line_works, self._clock, self._collect = line_works, clock, collect
        self._last = clock()

    def sweep(self) -> None:
        """Call it now and then."""
        if self._clock() - self._last >= (_LONGEST_SECONDS if self._line_works() else _QUIET_SECONDS):
            self._collect()
            self._last = self._clock()


def give_back_large_pieces() -> None:
    """Pieces of a large image go back to the system when it is done with, on glibc; elsewhere nothing is changed.

    By default glibc learns from the first large piece that is freed to keep such pieces, in each thread's heap: a few
    images of 49 million pixels left 460 MB behind for good.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return
    mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
    mallopt(_TRIM_THRESHOLD, 2 * _LARGE_BYTES)
