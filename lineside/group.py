"""What every command shares: what an installation lacks, and what Lineside refuses, is one line with its remedy and no
traceback."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from contracts.errors import LinesideError
from lineside.doctor import EXTRAS

Result = TypeVar("Result")


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


def carry_out(action: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
    """Carry out `action`; an error that Lineside raises on purpose becomes one line and exit status 1.

    SIGTERM ends it as Ctrl-C does, so that services started by a command never outlive it.
    """
    # Idle OpenMP threads sleep instead of spinning: on two cores that other services share, spinning made a training
    # with two threads six times slower. OpenMP reads it when torch is first imported, which is later than this.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return action(*arguments, **options)
    except LinesideError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]error[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(130) from error
