"""How training tells where it is: one call per step worth showing."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """`stage` is a few words, `fraction` the share of the whole training done, 0..1, `note` a figure worth reading."""

    def __call__(self, stage: str, fraction: float, note: str = "") -> None: ...


def silent(stage: str, fraction: float, note: str = "") -> None:
    """Tells nobody."""
