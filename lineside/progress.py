"""How far long work is: a bar in a terminal, a few lines in a log."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

_LINE_SHARE, _LINE_SECONDS = 0.05, 30.0  # of progress, after which a log gets another line


@contextmanager
def shown_progress(*, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """A progress bar in a terminal, plain lines elsewhere, nothing where `quiet`; yields progress(stage, fraction,
    note)."""
    if quiet:
        yield lambda *_, **__: None
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        yield PlainProgress(partial(print, flush=True))
        return
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("starting", total=1.0, note="")

        def show(stage: str, fraction: float | None = None, note: str = "") -> None:
            bars.update(task, description=stage, completed=fraction, note=note)

        yield show


class PlainProgress:
    """Lines for a log: one where another stage begins, then one for each twentieth of the whole and each half minute,
    not one for each image."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._stage, self._share, self._at = "", math.nan, 0.0

    def __call__(self, stage: str, fraction: float | None = None, note: str = "") -> None:
        """Say it where it is worth a line."""
        share, now = -1.0 if fraction is None else fraction, self._clock()
        moved = not 0 <= share - self._share < _LINE_SHARE or share >= 1
        if stage == self._stage and not moved and now - self._at < _LINE_SECONDS:
            return
        self._stage, self._share, self._at = stage, share, now
        self._say(f"{'' if fraction is None else f'{fraction:4.0%} '}{stage} {note}".rstrip())
