"""Options and panels that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

START_HERE = "Start here"
CIRCLE = "Parts of the circle"
SERVICES = "Services"

Threads = Annotated[int, typer.Option(help="Threads for computing.", min=1)]
Workspace = Annotated[Path, typer.Option(help="Folder for snapshots, runs and bundles; made when it is missing.")]
OnlySite = Annotated[str | None, typer.Option(help="Use only the manifest's rows of this site.")]
SplitBy = Annotated[
    Literal["group", "time"], typer.Option(help="time: train on the past, test on the last days (captured_at).")
]
Components = Annotated[int | None, typer.Option(help="Principal components of the drift reference.", min=1, max=64)]
ExportConfig = Annotated[
    Path | None,
    typer.Option("--config", help="A TOML file (export.toml) of how the bundle is made; see docs/settings.md."),
]
Base = Annotated[str | None, typer.Option(help="Base model by its id in the catalogue; see `lineside models list`.")]
MonitorUrl = Annotated[str, typer.Option("--monitor", help="Address of the monitor.")]
Token = Annotated[str | None, typer.Option(envvar="LINESIDE_TOKEN", help="The monitor's token.")]
