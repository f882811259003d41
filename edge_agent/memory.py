"""What a process that runs for years does with its memory: nothing is looked at twice, and large pieces go back."""

from __future__ import annotations

import ctypes
import gc

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_LARGE_BYTES = 4 * 1024 * 1024


def set_aside_what_stays() -> None:
    """What is there now stays, so the collector need not look at it again: otherwise it stops all threads for 60 ms at
    a time, once in a while, to find nothing."""
    gc.collect()
    gc.freeze()


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
