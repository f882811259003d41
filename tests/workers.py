"""Two workers of pytest-xdist on one machine, and how one of them gets it for itself."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DOOR, MACHINE = "workers.py", "conftest.py"
"""Files beside this one, which are only locked."""


@contextmanager
def turn(*, alone: bool, folder: Path = Path(__file__).parent) -> Iterator[None]:
    """Wait until nobody else's turn is `alone`; for such a turn, until nobody else has one. The kernel lets go of what
    a worker held that has died."""
    lock = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    with (folder / DOOR).open() as door, (folder / MACHINE).open() as machine:
        fcntl.flock(door, lock)
        fcntl.flock(machine, lock)
        if not alone:  # else shut while this one waits for the machine: the others might never pause
            fcntl.flock(door, fcntl.LOCK_UN)
        try:
            yield
        finally:  # also for a child that was forked meanwhile
            fcntl.flock(machine, fcntl.LOCK_UN)
            fcntl.flock(door, fcntl.LOCK_UN)
