"""What people ask of a station by command."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from pydantic import ValidationError
from rich.console import Console

from contracts.errors import ConfigurationError
from contracts.finding import Level, worst
from edge_agent.web.clients import Right, new_key
from lineside.findings import show


def run_agent_doctor(config: Path, *, unit: str, as_json: bool) -> int:
    """`lineside agent doctor`; returns the exit status: 0 ok, 1 warning, 2 fault."""
    from edge_agent.doctor.examination import examine

    return list(Level).index(worst(show(examine(config, unit_name=unit), as_json=as_json)))


def run_agent_key(name: str, may: Iterable[str]) -> None:
    """`lineside agent key`."""
    try:
        made = new_key(name, may)
    except ValidationError as error:
        if error.errors()[0]["loc"][0] == "name":
            raise ConfigurationError(f"a client cannot be called {name!r}; use 1 to 64 of a-z 0-9 -") from error
        raise ConfigurationError(f"a client may {', '.join(get_args(Right))}; not {', '.join(may)}") from error
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"the key of {name}, shown this once; the program sends it as `Authorization: Bearer KEY`:\n")
    console.print(f"    {made.key}\n")
    console.print("for the agent's settings; it counts once the agent is started again:\n")
    console.print(made.toml, end="")
