"""Between sites: `transfer`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lineside.commands.options import CIRCLE, Base, Device, Flips, MaxSeconds, Size, Threads, TileGrid
from lineside.group import carry_out

transfer_app = typer.Typer()


@transfer_app.command(rich_help_panel=CIRCLE)
def transfer(
    data: Annotated[Path, typer.Argument(help="A manifest CSV with a column `site`.")],
    out: Annotated[Path, typer.Option(help="Folder for every model's run, transfer.html and transfer.json.")],
    target: Annotated[
        list[str] | None, typer.Option(help="Advise for this site; may be given more than once. Default: all.")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            help="Use at most so many labelled images of the target; 50,100,200 (or repeated) shows how the advice "
            "changes."
        ),
    ] = None,
    base: Base = None,
    weights: Annotated[Path | None, typer.Option(help="File with the base model's weights.")] = None,
    good: Annotated[list[str] | None, typer.Option(help="Classes that pass, where the names do not tell.")] = None,
    strategy: Annotated[
        Literal["probe", "tail", "full", "gradual", "lora"],
        typer.Option(help="How every model is trained; probe takes seconds."),
    ] = "tail",
    size: Size = None,
    tiles: TileGrid = None,
    flips: Flips = "auto",
    max_seconds: MaxSeconds = 3600.0,
    workspace: Annotated[Path, typer.Option(help="Its catalogue.toml is read.")] = Path("workspace"),
    seed: Annotated[int, typer.Option(help="Of the split and the trainings.")] = 0,
    threads: Threads = 2,
    device: Device = "auto",
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Finished models in --out of the same images and settings are not made again."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Which sites can help each other: every model on every site, and for one site alone, from a sister, or pooled."""
    from lineside.train_options import TrainOptions
    from lineside.transfer import TransferOptions, run_transfer

    training = TrainOptions(
        data=data, out=out, workspace=workspace, base=base, weights=weights, good_labels=tuple(good or ()), seed=seed,
        threads=threads, resume=resume, size=size,
        settings={
            "strategy": strategy, "tiles": tiles, "flips": flips, "max_seconds": max_seconds, "device": device,
        },
    )  # fmt: skip
    options = TransferOptions(
        training=training, targets=tuple(target or ()), labels=tuple(labels or ()), as_json=as_json
    )
    carry_out(run_transfer, options)
