"""Tells the story while it happens: with colours and a live line in a terminal, in plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Moment:
    """One entry of the timeline."""

    seconds: float  # since the story began
    chapter: str
    text: str


@dataclass
class Narrator:
    """Prints chapters and events, and keeps them as the report's timeline."""

    stream: TextIO = field(default_factory=lambda: sys.stdout)
    quiet: bool = False
    timeline: list[Moment] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._console = Console(file=self.stream, highlight=False, soft_wrap=not self.stream.isatty())
        self._started = time.monotonic()
        self._chapter = ""

    @property
    def seconds(self) -> float:
        """Since the story began."""
        return time.monotonic() - self._started

    def chapter(self, title: str, text: str = "") -> None:
        """A new part of the story."""
        self._chapter = title
        self._keep(text or title)
        if not self.quiet:
            self._console.print(f"\n[bold cyan]{self._clock()}  {title}[/]")
            if text:
                self._console.print(f"         {text}", style="dim")

    def say(self, text: str, *, mark: str = "·") -> None:
        """Something happened."""
        self._keep(text)
        if not self.quiet:
            self._console.print(f"{self._clock()}  {mark} {text}", markup=False)

    def good(self, text: str) -> None:
        """Something turned out as it should."""
        self.say(text, mark="✓")

    def bad(self, text: str) -> None:
        """Something turned out as it should not."""
        self.say(text, mark="✗")

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """A live line in a terminal while something takes its time; nothing elsewhere."""
        if self.quiet or not self._console.is_terminal:
            yield
            return
        with self._console.status(text):
            yield

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        """A table, for example of figures."""
        if self.quiet:
            return
        table = Table(title=title, title_justify="left", title_style="bold")
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
        for row in rows:
            table.add_row(*row)
        self._console.print(table)

    def _keep(self, text: str) -> None:
        self.timeline.append(Moment(round(self.seconds, 2), self._chapter, text))

    def _clock(self) -> str:
        whole = int(self.seconds)
        return f"{whole // 60:3d}:{whole % 60:02d}"
