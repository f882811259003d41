"""How long work at an agent's database keeps others from it, in steps of SQLite's machine: no clock, no disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edge_agent.store import Store

_STEPS = 10


class Turns:
    """`steps` of each turn at the database since `watched` began; a transaction is one turn."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    @property
    def longest(self) -> int:
        """Steps of the longest turn; a row that is looked at takes about ten."""
        return max(self.steps, default=0)


@contextmanager
def watched(store: Store) -> Iterator[Turns]:
    """Counts inside the block."""
    turns, lock, depth = Turns(), store._lock, 0
    held = lock.held

    @contextmanager
    def counted(*, first: bool = False) -> Iterator[None]:
        nonlocal depth
        with held(first=first):
            if depth == 0:
                turns.steps.append(0)
            depth += 1
            try:
                yield
            finally:
                depth -= 1

    def note() -> None:
        turns.steps[-1] += _STEPS

    lock.held = counted  # type: ignore[method-assign]
    store._db.set_progress_handler(note, _STEPS)
    try:
        yield turns
    finally:
        store._db.set_progress_handler(None, _STEPS)
        lock.held = held  # type: ignore[method-assign]


def commits(store: Store) -> int:
    """Transactions in the write-ahead log so far: the last frame of each carries the size of the database."""
    log = store.path.with_name(store.path.name + "-wal").read_bytes()
    page = int.from_bytes(log[8:12], "big")
    frames = (log[at : at + 24] for at in range(32, len(log), 24 + page))
    return sum(frame[4:8] != bytes(4) and frame[8:16] == log[16:24] for frame in frames)
