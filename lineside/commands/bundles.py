"""From a model to verdicts: `export`, `inspect`, `benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lineside.commands.options import CIRCLE, Components, ExportConfig, Threads
from lineside.group import carry_out

bundles_app = typer.Typer()


@bundles_app.command(rich_help_panel=CIRCLE)
def export(
    run: Annotated[Path, typer.Argument(help="Folder that `lineside train` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for the bundle.")],
    threads: Threads = 2,
    config: ExportConfig = None,
    components: Components = None,
    max_drop: Annotated[
        float | None,
        typer.Option(help="Balanced accuracy that int8 may lose; layers stay in float for it.", min=0.0, max=1.0),
    ] = None,
    all_int8: Annotated[
        bool, typer.Option("--all-int8", help="No layer stays in float from the start, not even a sensitive stem.")
    ] = False,
    weight_bits: Annotated[
        int | None,
        typer.Option(
            help="8, or 7 for stations whose x86 processors have no VNNI: fast there, less accurate.", min=7, max=8
        ),
    ] = None,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="What eight bits cost in each layer, as a table.")
    ] = False,
    quantisation: Annotated[
        Literal["ptq", "qat", "auto"] | None,
        typer.Option(help="int8 after the training (ptq, the default), or by training on (qat); auto: the better one."),
    ] = None,
) -> None:
    """Model -> bundle: fp32 and int8 ONNX, certified equal and measured on this machine.

    What an option says goes before what the file of `--config` says.
    """
    from lineside.training import run_export

    changes = {
        "components": components,
        "max_drop": max_drop,
        "float_stem": False if all_int8 else None,
        "weight_bits": weight_bits,
        "sensitivity": sensitivity or None,
        "quantisation": quantisation,
    }
    carry_out(run_export, run, out, threads=threads, config=config, changes=changes)


@bundles_app.command(rich_help_panel=CIRCLE)
def inspect(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    images: Annotated[list[Path], typer.Argument(help="Pictures to judge.")],
    variant: Annotated[
        str | None,
        typer.Option(help="For example onnxruntime-cpu/fp32; default: the bundle's, or the best that runs here."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a picture.")] = False,
) -> None:
    """Bundle + pictures -> verdicts, without any service."""
    from lineside.inspection import run_inspect

    if not carry_out(run_inspect, bundle, images, variant=variant, as_json=as_json):
        raise typer.Exit(2)


@bundles_app.command(rich_help_panel=CIRCLE)
def benchmark(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    variant: Annotated[
        list[str] | None,
        typer.Option(help="Only this variant; may be given more than once. Default: all that run here."),
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(help="Threads of one answer; may be given more than once. Default: 1 and the cores.", min=1),
    ] = None,
    callers: Annotated[
        list[int] | None,
        typer.Option(help="So many ask the same model at once (it answers one image each). Default: 1.", min=1),
    ] = None,
    runs: Annotated[int, typer.Option(help="Answers that are timed, of each.", min=10, max=100_000)] = 200,
    images: Annotated[
        Path | None, typer.Option(help="Labelled images (manifest CSV, or a folder a class): also how right each is.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything to this JSON file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw accuracy against latency into this SVG file.")] = None,
    submit: Annotated[
        Path | None,
        typer.Option(
            help="Write what others may see to this JSON file: figures, kind of machine, versions, bundle hash; "
            "no host, user, site or class, nothing of --images."
        ),
    ] = None,
) -> None:
    """Which variant of a bundle this machine should serve: speed, start, memory, energy and answers, side by side.

    Every variant runs in a process of its own, and all are asked in turn, so that a busy machine is unfair to none.
    """
    from lineside.benchmark import Options, run_benchmark

    options = Options(
        bundle=bundle, variants=tuple(variant or ()), threads=tuple(threads or ()), callers=tuple(callers or ()),
        runs=runs, images=images, json=json_file, plot=plot, submit=submit,
    )  # fmt: skip
    carry_out(run_benchmark, options)
