"""What a trained model is worth, and what follows it: `evaluate`, `correct`, `retrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lineside.commands.options import CIRCLE, Components, Device, Threads, Workspace
from lineside.group import carry_out

trained_app = typer.Typer()


@trained_app.command("evaluate", rich_help_panel=CIRCLE)
def evaluate_run(
    run: Annotated[Path, typer.Argument(help="Folder that `lineside train` wrote.")],
    baselines: Annotated[bool, typer.Option(help="Also train simpler means on the same images.")] = True,
    scratch: Annotated[
        bool,
        typer.Option(
            "--scratch", help="Also train the same network from random weights: what is its pretraining worth?"
        ),
    ] = False,
    scratch_seconds: Annotated[
        float, typer.Option(help="For that: it is cut short after so long, and says so.", min=1)
    ] = 600.0,
    foreign: Annotated[
        Path | None, typer.Option(help="Folder of pictures that show no part of the product: do they pass?")
    ] = None,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """How good a model is on its test images, how sure one can be of that, and under which faults it breaks."""
    from lineside.evaluation import run_evaluate

    carry_out(
        run_evaluate, run, baselines=baselines, scratch_seconds=scratch_seconds if scratch else None, foreign=foreign,
        device=device, as_json=as_json,
    )  # fmt: skip


@trained_app.command(rich_help_panel=CIRCLE)
def correct(
    run: Annotated[Path, typer.Argument(help="Folder that `lineside train` wrote.")],
    corrections: Annotated[Path, typer.Argument(help="CSV with the columns path and label; no label: not used again.")],
    out: Annotated[Path, typer.Option(help="The manifest to write, for the next `lineside train`.")],
) -> None:
    """Put wrong labels right that a run's report has shown; every image stays in its split."""
    from lineside.correct import run_correct

    carry_out(run_correct, run, corrections, out)


@trained_app.command(rich_help_panel=CIRCLE)
def retrain(
    order: Annotated[Path, typer.Option(help="The order's JSON file.")],
    out: Annotated[Path, typer.Option(help="Folder for run/ and bundle/.")],
    workspace: Workspace = Path("workspace"),
    threads: Threads = 2,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file: how the bundle is made, as in export.toml, and in [training] what is trained otherwise "
            "than in the first training, as in train.toml; see docs/settings.md."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="KEY=VALUE: a key of [training] with another value than in the first training; repeatable."
        ),
    ] = None,
    components: Components = None,
    replay: Annotated[
        int | None, typer.Option(help="Learn about so many old images again, whole groups; default: all.", min=1)
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None, typer.Option(help="Where networks compute; default: as the first model.")
    ] = None,
    evaluate: Annotated[
        bool,
        typer.Option(
            help="Judge the model, too, about as long as it is exported: faults of the camera, simpler means."
        ),
    ] = True,
) -> None:
    """Obey a retrain order: base snapshot + new labels -> candidate bundle. Started by the monitor.

    It trains as the site's first training did unless it is told otherwise: by an option, else by `--set`, else by the
    file of `--config`. The bundle's lineage and the run's card say what it was told.
    """
    from lineside.training import run_retrain

    changes = {name: value for name, value in {"replay": replay, "device": device}.items() if value is not None}
    carry_out(
        run_retrain, order, out, workspace=workspace, threads=threads, config=config, components=components,
        words=settings or (), changes=changes, evaluate=evaluate,
    )  # fmt: skip
