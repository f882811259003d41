"""The commands of `lineside agent`; what they do is imported when one runs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from lineside.group import carry_out

agent_app = typer.Typer(invoke_without_command=True)
bundle_app = typer.Typer(help="Models that are brought by hand.", no_args_is_help=True)
telemetry_app = typer.Typer(help="Reports that are carried to the monitor by hand.", no_args_is_help=True)
records_app = typer.Typer(help="The record of verdicts.", no_args_is_help=True)
agent_app.add_typer(records_app, name="records")
agent_app.add_typer(bundle_app, name="bundle")
agent_app.add_typer(telemetry_app, name="telemetry")
thresholds_app = typer.Typer(help="Thresholds that decide at this station.", no_args_is_help=True)
agent_app.add_typer(thresholds_app, name="thresholds")
Config = Annotated[Path, typer.Option(help="The agent's TOML file.")]
_CONFIG = Path("/etc/lineside/agent.toml")
_MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]


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


@agent_app.command("key")
def agent_key(
    name: Annotated[str, typer.Argument(help="Of the program: a-z, 0-9 and -.")],
    may: Annotated[
        list[str] | None,
        typer.Option(help="What it may do: inspect, outcomes or read; may be given more than once. [default: inspect]"),
    ] = None,
) -> None:
    """Make a key for a program that uses the agent's HTTP door, and the lines for the agent's settings.

    The settings hold its SHA-256 only: what is shown here is shown once. The program sends `Authorization: Bearer KEY`.
    """
    from lineside.station import run_agent_key

    carry_out(run_agent_key, name, tuple(may or ("inspect",)))


@records_app.command("export")
def records_export(
    out: Annotated[Path, typer.Argument(help="The file to write.")],
    since: Annotated[
        datetime | None, typer.Option("--from", formats=_MOMENTS, help="First moment, by this box's clock.")
    ] = None,
    until: Annotated[datetime | None, typer.Option("--to", formats=_MOMENTS, help="Up to, not including.")] = None,
    camera: Annotated[str | None, typer.Option(help="Only of this camera.")] = None,
    verdict: Annotated[
        Literal["OK", "NG", "REVIEW", "NO_VERDICT"] | None, typer.Option(help="Only with this answer.")
    ] = None,
    part: Annotated[str | None, typer.Option(help="Only of the part with this id.")] = None,
    file_format: Annotated[
        Literal["csv", "parquet"], typer.Option("--format", help="parquet needs the extra [parquet].")
    ] = "csv",
    config: Config = _CONFIG,
) -> None:
    """Write verdicts with what their parts turned out to be into a file, whether the agent runs or not."""
    from lineside.station import run_records_export

    words = {"camera": camera, "decision": verdict, "part_id": part}
    carry_out(run_records_export, out, config, since=since, until=until, words=words, file_format=file_format)


@bundle_app.command("import")
def bundle_import(
    place: Annotated[Path, typer.Argument(help="A stick of `lineside monitor export`, or the repository on it.")],
    config: Config = _CONFIG,
    wait: Annotated[float, typer.Option(help="Seconds for the agent to try and to install it.", min=1)] = 180.0,
) -> None:
    """Bring a release to a station without a network: verified, tried and installed as over the network.

    Nothing is believed for lying on a stick: signatures, expiry and the floor of what was believed before hold.
    """
    from lineside.carrying import run_bundle_import

    if not carry_out(run_bundle_import, place, config, wait=wait):
        raise typer.Exit(1)


@telemetry_app.command("export")
def telemetry_export(
    place: Annotated[Path, typer.Argument(help="Where the stick is mounted.")], config: Config = _CONFIG
) -> None:
    """Take acknowledgements off a stick, and put the messages that wait for the monitor onto it.

    They stay in the outbox until their acknowledgement comes back: a stick that is lost costs nothing but time.
    """
    from lineside.carrying import run_telemetry_export

    carry_out(run_telemetry_export, place, config)


@thresholds_app.command("preview")
def thresholds_preview(
    config: Config = _CONFIG,
    product: Annotated[str | None, typer.Option(help="Default: the newest on record.")] = None,
    days: Annotated[int, typer.Option(help="Of the record, up to now.", min=1, max=31)] = 7,
    ng: Annotated[float | None, typer.Option(help="NG at this defect score or above.", min=0, max=1)] = None,
    review_from: Annotated[float | None, typer.Option(help="REVIEW from here on, OK below.", min=0, max=1)] = None,
    cost_escape: Annotated[float | None, typer.Option(help="Of a missed defect, against the others.", min=1e-9)] = None,
    cost_false_reject: Annotated[float, typer.Option(help="Of a good part that is stopped.", min=1e-9)] = 1.0,
    cost_review: Annotated[float | None, typer.Option(help="Of a part that a person looks at.", min=1e-9)] = None,
    most_reviewed: Annotated[float, typer.Option(help="Share that people have time for.", min=0, max=1)] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """What other thresholds, or the cheapest ones, would have said on this station's record.

    Changes nothing: thresholds come signed, from the monitor or on a stick.
    """
    from lineside.thresholds import run_preview
    from runtime.band import Prices

    prices = None if cost_escape is None else Prices(cost_escape, cost_false_reject, cost_review, most_reviewed)
    carry_out(
        run_preview, config, product=product, days=days, ng=ng, review_from=review_from, prices=prices, as_json=as_json
    )
