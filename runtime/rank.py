"""Work that is in no hurry gets the processor time that nobody else wants, beside what is, in one process."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
_LAST = 19  # nice(2)


def behind(call: Callable[[], Result]) -> Result:
    """What `call` returns or raises; it runs in a thread that gives way to all others (on Linux; elsewhere it is one
    like them). For work that lets go of the interpreter: one that holds it and waits for the processor would hold up
    everybody. Threads that it starts stay behind for good."""
    with ThreadPoolExecutor(1, initializer=_give_way) as pool:
        return pool.submit(call).result()


def _give_way() -> None:
    if sys.platform == "linux":  # where a thread has a rank of its own
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LAST)
