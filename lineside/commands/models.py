"""The commands of `lineside models`; what they do is in `lineside.models`, which is imported when one runs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from lineside.commands.options import Device, OnlySite, SplitBy
from lineside.group import carry_out

models_app = typer.Typer(
    help="Base models: where each comes from, and whether the policy lets a site be trained from it.",
    no_args_is_help=True,
)
OwnCatalogue = Annotated[Path, typer.Option("--catalogue", help="Your own models, beside Lineside's.")]


@models_app.command("list")
def models_list(
    catalogue: OwnCatalogue = Path("workspace/catalogue.toml"),
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """The base models there are, with the policy's judgement."""
    from lineside.models import run_list

    carry_out(run_list, catalogue, as_json=as_json)


@models_app.command("show")
def models_show(
    model: Annotated[str, typer.Argument(help="Its id.")],
    catalogue: OwnCatalogue = Path("workspace/catalogue.toml"),
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """One base model: licence, training data, limits, review, and why the policy allows or refuses it."""
    from lineside.models import run_show

    carry_out(run_show, catalogue, model, as_json=as_json)


@models_app.command("rank")
def models_rank(
    data: Annotated[Path, typer.Argument(help="A manifest CSV or a folder with one folder a class.")],
    weights: Annotated[Path | None, typer.Option(help="The file of a model that comes without one.")] = None,
    only_site: OnlySite = None,
    split: SplitBy = "group",
    seed: Annotated[int, typer.Option(help="Of the split, as in training, and of the random weights.")] = 0,
    catalogue: OwnCatalogue = Path("workspace/catalogue.toml"),
    device: Device = "auto",
) -> None:
    """Which base model fits these images best, before any training; test images of that training are left out."""
    from lineside.models import run_rank
    from trainer.parting import Parting

    parting = Parting(seed=seed, only_site=only_site, by=split, workspace=catalogue.parent)
    carry_out(run_rank, catalogue, data, weights=weights, parting=parting, device=device)


@models_app.command("add")
def models_add(
    name: Annotated[str, typer.Option("--id", help="What the model is called from now on.")],
    weights: Annotated[
        Path | None,
        typer.Argument(
            help="A .safetensors file with timm's names; a run's folder; or a bundle whose run the catalogue's "
            "workspace knows. None: fetched from --hub."
        ),
    ] = None,
    hub: Annotated[str, typer.Option(help="OWNER/NAME on the Hugging Face hub from which the weights come.")] = "",
    revision: Annotated[str, typer.Option(help="With --hub: the commit, all 40 digits of its hash.")] = "",
    hub_file: Annotated[str, typer.Option(help="With --hub: its file; default: model.safetensors.")] = "",
    sha256: Annotated[str, typer.Option(help="What the file's SHA-256 has to be; default: what it is.")] = "",
    architecture: Annotated[str, typer.Option(help="Its name in timm.")] = "",
    model_args: Annotated[str, typer.Option(help="More arguments of the architecture, as JSON.")] = "",
    licence: Annotated[str, typer.Option(help="SPDX identifier of the weights' licence.")] = "",
    owner: Annotated[str, typer.Option(help="Who owns the weights; default: unknown.")] = "",
    permitted_use: Annotated[str, typer.Option(help="What they may be used for; default: unknown.")] = "",
    training_data: Annotated[str, typer.Option(help="What they were learned from.")] = "",
    documentation: Annotated[str, typer.Option(help="Where that is described; of a run: besides its card.")] = "",
    limit: Annotated[list[str] | None, typer.Option(help="A known limit; may be given more than once.")] = None,
    bias: Annotated[list[str] | None, typer.Option(help="A known bias; may be given more than once.")] = None,
    reviewer: Annotated[str, typer.Option(help="Who has read all this; a pseudonym will do.")] = "",
    expires: Annotated[
        datetime | None,
        typer.Option(help="Last day of the review; default: as the policy says.", formats=["%Y-%m-%d"]),
    ] = None,
    size: Annotated[str, typer.Option(help="Pixels a side of its input, or WIDTHxHEIGHT; default: 224.")] = "",
    mean: Annotated[
        str,
        typer.Option(
            help="Taken from the channels, of values in 0..1: a number, or three as in 0.485,0.456,0.406; default: 0.5."
        ),
    ] = "",
    std: Annotated[
        str,
        typer.Option(help="The channels are divided by it: a number, or three as in 0.229,0.224,0.225; default: 0.5."),
    ] = "",
    catalogue: OwnCatalogue = Path("workspace/catalogue.toml"),
) -> None:
    """Weights, or a site's own run, become a base model; the policy says what is still missing. A run tells all but
    --limit, --bias, --documentation, --reviewer and --expires itself, and inherits what its base model says."""
    from lineside.models import run_add

    said = {
        "id": name, "hub": hub, "revision": revision, "hub_file": hub_file, "sha256": sha256,
        "architecture": architecture, "model_args": model_args, "licence": licence, "owner": owner,
        "permitted_use": permitted_use, "training_data": training_data, "documentation": documentation,
        "limits": tuple(limit or ()), "biases": tuple(bias or ()), "reviewer": reviewer, "expires": expires,
        "size": size, "mean": mean, "std": std,
    }  # fmt: skip
    carry_out(run_add, catalogue, weights, said)


@models_app.command("verify")
def models_verify(
    model: Annotated[list[str] | None, typer.Argument(help="Ids; default: all.")] = None,
    weights: Annotated[Path | None, typer.Option(help="The file of a model that comes without one.")] = None,
    catalogue: OwnCatalogue = Path("workspace/catalogue.toml"),
) -> None:
    """The file is the one described, timm loads it, it answers, and the policy allows it; else exit status 1. Of all
    models, one whose weights are not on this machine is told with the way to get them, and is no fault."""
    from lineside.models import run_verify

    if not carry_out(run_verify, catalogue, list(model or ()), weights):
        raise typer.Exit(1)


@models_app.command("accept")
def models_accept(
    model: Annotated[str, typer.Argument(help="Its id.")],
    by: Annotated[str, typer.Option(help="Who takes the responsibility.")],
    risk: Annotated[str, typer.Option(help="What is accepted, in a sentence.")],
    until: Annotated[datetime | None, typer.Option(help="Last day.", formats=["%Y-%m-%d"])] = None,
    catalogue: OwnCatalogue = Path("workspace/catalogue.toml"),
) -> None:
    """Put a name under what the policy refuses in a model; it lands on the card of everything trained from it."""
    from lineside.models import run_accept

    carry_out(run_accept, catalogue, model, by=by, risk=risk, until=until)
