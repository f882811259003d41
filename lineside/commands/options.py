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
Size = Annotated[
    str | None,
    typer.Option(
        help="Pixels a side of the network's input, WIDTHxHEIGHT, or auto: up to twice the base model's where "
        "that shows more, or the --smallest-defect; default: the base model's."
    ),
]
Flips = Annotated[
    Literal["auto", "none", "horizontal", "vertical", "both", "square"],
    typer.Option(help="Mirrorings that leave a part what it is; square: quarter turns too; auto: tries."),
]
TileGrid = Annotated[
    str | None,
    typer.Option(
        "--tiles",
        help="COLUMNSxROWS: windows that the network sees one by one in its full size; COLUMNSxROWS@0.25: a quarter of "
        "a side in common, 0.15 without it.",
    ),
]
MaxSeconds = Annotated[float, typer.Option(help="A training that takes longer is cut short, and says so.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Where networks compute; auto: on a GPU if there is one.")
]
MonitorUrl = Annotated[str, typer.Option("--monitor", help="Address of the monitor.")]
Token = Annotated[str | None, typer.Option(envvar="LINESIDE_TOKEN", help="The monitor's token.")]


def unsaid(context: typer.Context) -> frozenset[str]:
    """Names of the parameters that nobody gave: they hold their defaults, and a file goes before them."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(name for name, source in sources.items() if source is None or source.name == "DEFAULT")
