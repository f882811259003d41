"""The command itself: what an installation lacks is said with its remedy, not shown as a traceback."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from lineside.doctor import EXTRAS


class CommandGroup(TyperGroup):
    """Turns the missing module of an extra into one line; any other missing module is a fault of ours and rises."""

    def invoke(self, ctx: Any) -> Any:
        """Run the sub-command."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            extra = extra_of(error.name or "")
            if extra is None:
                raise
            text = f"this needs {error.name}, which is not installed here; run: pip install 'lineside[{extra}]'"
            console = Console(stderr=True, highlight=False, soft_wrap=True)
            console.print(f"[bold red]error[/] {escape(text)} (with -c constraints.txt)")
            raise typer.Exit(1) from error


def extra_of(module: str) -> str | None:
    """The smallest extra that brings the module, or None.

    >>> extra_of("torch"), extra_of("torch.nn"), extra_of("lineside.nothing")
    ('train', 'train', None)
    """
    for extra, modules in EXTRAS.items():
        if any(module == known or module.startswith(f"{known}.") for known in modules):
            return extra
    return None
