"""The clock by which a training keeps to its limits: the wall's, or the processor's where other work must not count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_seconds: Callable[[], float] = time.monotonic


def now() -> float:
    """Seconds since some moment; only differences mean something."""
    return _seconds()


@contextmanager
def of_the_processor(threads: int) -> Iterator[None]:
    """Within it, seconds are those of this process's processors over its `threads`: a comparison under a limit then has
    the same outcome beside other work. For the whole process; a person who waits wants the wall's."""
    global _seconds
    before, _seconds = _seconds, lambda: time.process_time() / threads
    try:
        yield
    finally:
        _seconds = before
