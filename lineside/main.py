"""The one command `lineside`. Each sub-command imports what it needs when it runs, so a station needs no torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lineside.commands.agent import agent_app
from lineside.commands.bundles import bundles_app
from lineside.commands.labels import labels_app
from lineside.commands.models import models_app
from lineside.commands.options import CIRCLE, SERVICES, START_HERE, Threads
from lineside.commands.services import services_app
from lineside.commands.trained import trained_app
from lineside.commands.training import training_app
from lineside.commands.transfer import transfer_app
from lineside.group import CommandGroup, carry_out

app = typer.Typer(
    name="lineside",
    cls=CommandGroup,
    help="Small vision models beside production lines: trained, certified, served, watched, and replaced on evidence.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(training_app)
app.add_typer(trained_app)
app.add_typer(transfer_app)
app.add_typer(bundles_app)
app.add_typer(models_app, name="models", rich_help_panel=CIRCLE)
app.add_typer(labels_app, name="labels", rich_help_panel=CIRCLE)
app.add_typer(agent_app, name="agent", rich_help_panel=SERVICES)
app.add_typer(services_app)


@app.command(rich_help_panel=START_HERE)
def demo(
    data: Annotated[
        Path | None, typer.Option(help="Your own pictures instead of the simulated line: a manifest CSV or a folder.")
    ] = None,
    site: Annotated[str | None, typer.Option(help="With --data: train on the rows of this site.")] = None,
    shift_to: Annotated[str | None, typer.Option(help="With --data: then parts of this site arrive.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Backbone weights (.safetensors); default: the small one.")
    ] = None,
    good: Annotated[list[str] | None, typer.Option(help="Classes that pass; may be given more than once.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the summary and all figures to this JSON file.")] = None,
    seed: Annotated[int, typer.Option(help="Everything that is drawn follows from it.")] = 1,
    keep: Annotated[Path | None, typer.Option(help="Keep the workspace in this folder.")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Shorter: for checks; satisfies no goal.")] = False,
    stay: Annotated[
        bool | None, typer.Option("--stay/--no-stay", help="Keep the pages up at the end. Default: in a terminal.")
    ] = None,
    fold: Annotated[int, typer.Option(help="With --shift-to: which third of the new groups is held out.", min=0)] = 0,
    wrong_labels: Annotated[
        float, typer.Option(help="Share of the labels that the demo's rater gets wrong.", min=0.0, max=0.5)
    ] = 0.03,
) -> None:
    """The whole circle on this machine: train, serve, drift, labels, retrain, shadow, release, withdrawal.

    Needs no other service and no network. Without --data its images come from a simulated line.
    """
    from lineside.demo.run import DemoOptions, run_demo

    options = DemoOptions(
        data=data, site=site, shift_to=shift_to, weights=weights, good_labels=tuple(good or ()), report=report,
        seed=seed, keep=keep, fast=fast, stay=sys.stdout.isatty() if stay is None else stay, fold=fold,
        wrong_labels=wrong_labels, command=" ".join(["lineside", *sys.argv[1:]]),
    )  # fmt: skip
    if not carry_out(run_demo, options):
        raise typer.Exit(3)


@app.command(rich_help_panel=START_HERE)
def start(
    folder: Annotated[Path, typer.Argument(help="Your pictures: one sub-folder a class, or good/ and bad/.")],
    good: Annotated[list[str] | None, typer.Option(help="Classes that pass, where the names do not tell.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Backbone weights (.safetensors); default: the small one.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the operator's page on this machine.")] = 8600,
    threads: Threads = 2,
    once: Annotated[bool, typer.Option("--once", help="Judge what lies in the inbox, then end.")] = False,
) -> None:
    """From your own pictures to verdicts: checks them, trains, exports, serves, and watches FOLDER/inbox."""
    from lineside.start import run_start

    carry_out(run_start, folder, good_labels=tuple(good or ()), weights=weights, port=port, threads=threads, once=once)


@app.command(rich_help_panel=START_HERE)
def doctor(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Says what is missing on this machine and how to get it. For a station: `lineside agent doctor`."""
    from lineside.doctor import run_doctor

    if not carry_out(run_doctor, Path.cwd(), as_json=as_json):
        raise typer.Exit(1)


@app.command(rich_help_panel=START_HERE)
def version() -> None:
    """The installed version."""
    from importlib import metadata

    print(metadata.version("lineside"))


def main() -> None:
    """Entry point of `python -m lineside`."""
    app()


if __name__ == "__main__":
    main()
