"""The monitor and what a person says to it: `monitor`, `policy`, `rollback`, `changes`; the broker for one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lineside.commands.options import SERVICES, MonitorUrl, Token
from lineside.group import carry_out

services_app = typer.Typer()
monitor_app = typer.Typer(help="The monitor: telemetry in, decisions and signed releases out.", no_args_is_help=True)
policy_app = typer.Typer(help="The rules that decide: what another policy would have done.", no_args_is_help=True)
services_app.add_typer(monitor_app, name="monitor", rich_help_panel=SERVICES)
services_app.add_typer(policy_app, name="policy", rich_help_panel=SERVICES)


@services_app.command(rich_help_panel=SERVICES)
def broker(
    config: Annotated[Path, typer.Option(help="The broker's TOML file.")],
    folder: Annotated[Path, typer.Option(help="Where its password file lies.")],
) -> None:
    """The embedded MQTT broker for one machine (loopback, passwords)."""
    from lineside.services import run_broker_service

    carry_out(run_broker_service, config, folder)


@services_app.command(rich_help_panel=SERVICES)
def rollback(
    reason: Annotated[str, typer.Option(help="Why; it is recorded and shown to everybody.")],
    site: Annotated[str, typer.Option(help="Which site goes back.")],
    to: Annotated[int | None, typer.Option(help="Release number; default: the one before.")] = None,
    monitor: MonitorUrl = "http://127.0.0.1:8500",
    token: Token = None,
) -> None:
    """Bring an earlier release back, with a reason."""
    from lineside.services import run_rollback

    carry_out(run_rollback, monitor, site=site, to=to, reason=reason, token=token)


@services_app.command(rich_help_panel=SERVICES)
def changes(
    site: Annotated[str, typer.Option(help="Whose records.")],
    record: Annotated[int | None, typer.Option(help="Only this one, in full; default: a list of all.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with everything that was recorded.")] = False,
    monitor: MonitorUrl = "http://127.0.0.1:8500",
    token: Token = None,
) -> None:
    """What came into service, why, on which evidence, who approved it: for auditors.

    The records of a site are a chain of hashes, which is checked: exit status 1 where one is not as it was written.
    """
    from lineside.changes import run_changes

    carry_out(run_changes, monitor, site=site, number=record, as_json=as_json, token=token)


@monitor_app.command("init")
def monitor_init(
    folder: Annotated[Path, typer.Argument(help="Folder for registry, keys and data.")],
    site: Annotated[list[str], typer.Option(help="Name of a site; may be given more than once.")],
) -> None:
    """Make signing keys and an empty registry. Move the offline keys away afterwards."""
    from lineside.services import run_monitor_init

    carry_out(run_monitor_init, folder, site)


@monitor_app.command("run")
def monitor_run(config: Annotated[Path, typer.Option(help="The monitor's TOML file.")]) -> None:
    """Run the monitor: ingest, decisions, pages, registry."""
    from lineside.services import run_monitor_service

    carry_out(run_monitor_service, config)


@monitor_app.command("rater")
def monitor_rater(
    name: Annotated[str, typer.Argument(help="To sign in with, for example ann; others see a pseudonym only.")],
) -> None:
    """Make a key for a person who labels, and show what the settings must say of them."""
    from lineside.services import run_monitor_rater

    carry_out(run_monitor_rater, name)


@monitor_app.command("export")
def monitor_export(
    place: Annotated[Path, typer.Argument(help="Where a stick is mounted.")],
    config: Annotated[Path, typer.Option(help="The monitor's TOML file.")],
    site: Annotated[str | None, typer.Option(help="Only this site; default: all.")] = None,
    days: Annotated[float, typer.Option(help="How long the stick may be on its way.", min=0.01, max=60)] = 14.0,
) -> None:
    """Put what a site should run onto a stick, signed, for stations without a network."""
    from lineside.carrying import run_monitor_export

    carry_out(run_monitor_export, place, config, site=site, days=days)


@monitor_app.command("import")
def monitor_import(
    place: Annotated[Path, typer.Argument(help="Where a stick is mounted.")],
    config: Annotated[Path, typer.Option(help="The TOML file of the running monitor.")],
    site: Annotated[str | None, typer.Option(help="Only this site; default: all.")] = None,
    by: Annotated[
        str | None, typer.Option(help="Who vouches for the stick; default: the user of this machine.")
    ] = None,
) -> None:
    """Take the reports of stations off a stick, and put the acknowledgements onto it."""
    from lineside.carrying import run_monitor_import

    carry_out(run_monitor_import, place, config, site=site, by=by)


@policy_app.command("replay")
def policy_replay(
    config: Annotated[Path, typer.Option(help="The monitor's TOML file: the policy of now, and where its history is.")],
    policy: Annotated[Path, typer.Option(help="TOML file: a table `rules` with the keys to change.")],
    site: Annotated[str | None, typer.Option(help="Only this site; default: all.")] = None,
    days: Annotated[float, typer.Option(help="How far back.", min=0.01, max=90)] = 14.0,
    as_json: Annotated[bool, typer.Option("--json", help="Every decision of both policies, as JSON.")] = False,
) -> None:
    """A dry run: which decisions a changed policy would have taken over the stored history, and when and why.

    Both policies run through the monitor's own rules over its stored windows, labels and clicks.

    Nothing is written; the monitor may run meanwhile. Labels that nobody asked for are missing in both histories.
    """
    from lineside.policy import run_replay

    carry_out(run_replay, config, policy, site=site, days=days, as_json=as_json)
