"""How far long work is, and for how long: a bar in a terminal, a few lines in a log."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from lineside.time_left import TimeLeft, in_words

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
    left = TimeLeft()
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(),
        TimeElapsedColumn(),
        LeftColumn(left),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("starting", total=1.0, note="")

        def show(stage: str, fraction: float | None = None, note: str = "") -> None:
            left.told(stage, fraction, time.monotonic())
            bars.update(task, description=stage, completed=fraction, note=note)

        yield show


class LeftColumn(ProgressColumn):
    """What is left of the work, in words of a fixed width, so that what stands behind it does not move."""

    def __init__(self, left: TimeLeft, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._left, self._clock = left, clock

    def render(self, task: Task) -> Text:
        """Drawn again several times a second, so that it counts down between two calls."""
        return Text(f"{_words(self._left, self._clock(), task.fields['note']):<18}", style="progress.remaining")


class PlainProgress:
    """Lines for a log: one where another stage begins, then one for each twentieth of the whole and each half minute,
    not one for each image; with what is left, as soon as that can be said."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._stage, self._share, self._at = "", math.nan, 0.0
        self._left = TimeLeft()

    def __call__(self, stage: str, fraction: float | None = None, note: str = "") -> None:
        """Say it where it is worth a line."""
        share, now = -1.0 if fraction is None else fraction, self._clock()
        self._left.told(stage, fraction, now)
        moved = not 0 <= share - self._share < _LINE_SHARE or share >= 1
        if stage == self._stage and not moved and now - self._at < _LINE_SECONDS:
            return
        self._stage, self._share, self._at = stage, share, now
        line = f"{'' if fraction is None else f'{fraction:4.0%} '}{stage} {note}".rstrip()
        left = _words(self._left, now, note)
        self._say(f"{line}, {left}" if left else line)


def _words(left: TimeLeft, now: float, note: str) -> str:
    """Nothing where the note itself says what is left, as a search that ends by the clock does."""
    return "" if note.endswith(" left") else in_words(left.seconds(now))
