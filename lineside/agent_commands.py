"""The commands of `lineside agent`; what they do is imported when one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lineside.group import carry_out

agent_app = typer.Typer(invoke_without_command=True)
Config = Annotated[Path, typer.Option(help="The agent's TOML file.")]
_CONFIG = Path("/etc/lineside/agent.toml")


@agent_app.callback()
def agent(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="The agent's TOML file.")] = None,
    stream: Annotated[Path | None, typer.Option(help="TOML file of a simulated or dealt-out line to watch.")] = None,
) -> None:
    """Serve bundles beside the line: images -> verdicts -> telemetry."""
    if context.invoked_subcommand is not None:
        return
    if config is None:
        raise typer.BadParameter("the agent's TOML file is needed, or one of the commands below", param_hint="--config")
    from lineside.services import run_agent_service

    carry_out(run_agent_service, config, stream)


@agent_app.command("doctor")
def agent_doctor(
    config: Config = _CONFIG,
    unit: Annotated[str, typer.Option(help="The service of systemd that runs the agent.")] = "lineside-agent.service",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """What is wrong with this station and what to do: settings, disk, clock, model, broker, monitor, cameras, service.

    Exit status 0: all is well; 1: there are warnings; 2: something does not work. Changes nothing.
    """
    from lineside.station import run_agent_doctor

    raise typer.Exit(carry_out(run_agent_doctor, config, unit=unit, as_json=as_json))
