"""What a doctor says: one thing that was looked at, how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How it is. `fault`: something that was asked for does not work; `warning`: it works, and will not for long or not
    as one would wish."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """One line. `remedy` tells what to do where it is not ok; `needed_for` what does not work without it."""

    name: str
    level: Level
    text: str
    remedy: str = ""
    needed_for: str = ""

    @property
    def good(self) -> bool:
        """Nothing is to be done."""
        return self.level is Level.OK


def ok(name: str, text: str) -> Finding:
    """All is well."""
    return Finding(name, Level.OK, text)


def warning(name: str, text: str, remedy: str) -> Finding:
    """It works, but somebody should look at it."""
    return Finding(name, Level.WARNING, text, remedy)


def fault(name: str, text: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(name, Level.FAULT, text, remedy)


def worst(findings: list[Finding]) -> Level:
    """Of all of them.

    >>> worst([ok("disk", "10 GiB free"), warning("clock", "not synchronised", "set it")])
    <Level.WARNING: 'warning'>
    """
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)
