"""Work in a thread that gives way."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from runtime.rank import behind


def rank() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a rank of their own on Linux")
def test_work_behind_gives_way_and_whoever_asks_for_it_does_not() -> None:
    before = rank()
    assert behind(rank) == 19
    assert rank() == before


def test_what_fails_behind_is_told() -> None:
    with pytest.raises(ZeroDivisionError):
        behind(lambda: 1 // 0)
