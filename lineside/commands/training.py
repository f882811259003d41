"""From pictures to a trained model: `check`, `train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from lineside.commands.options import (
    CIRCLE,
    Base,
    Device,
    Flips,
    MaxSeconds,
    OnlySite,
    Size,
    SplitBy,
    Threads,
    TileGrid,
    Workspace,
    unsaid,
)
from lineside.group import carry_out

training_app = typer.Typer()


@training_app.command(rich_help_panel=CIRCLE)
def check(
    data: Annotated[
        Path, typer.Argument(help="A manifest CSV (path, label, ...) or a folder with one folder a class.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for quality.html (with the pictures) and quality.json.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit status 1 when an error is found.")] = False,
    labels: Annotated[bool, typer.Option(help="Also look for labels that are probably wrong.")] = True,
    good: Annotated[list[str] | None, typer.Option(help="Classes that pass, where the names do not tell.")] = None,
    only_site: OnlySite = None,
    split: SplitBy = "group",
    seed: Annotated[int, typer.Option(help="The split that a training with this seed would make is checked.")] = 0,
    workspace: Workspace = Path("workspace"),
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """What is wrong with the images: leaks between splits, copies, wrong labels, light, sizes, missing groups."""
    from lineside.check import run_check
    from trainer.parting import Parting

    parting = Parting(seed=seed, only_site=only_site, by=split, workspace=workspace)
    report = carry_out(
        run_check, data, out=out, parting=parting, good=tuple(good or ()), labels=labels, device=device,
        as_json=as_json,
    )  # fmt: skip
    if strict and report.worst() == "error":
        raise typer.Exit(1)


@training_app.command(rich_help_panel=CIRCLE)
def train(
    context: typer.Context,
    data: Annotated[
        Path, typer.Argument(help="A manifest CSV (path, label, ...) or a folder with one folder a class.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the run: model, metrics, curves, card.")],
    site: Annotated[str, typer.Option(help="Name of the site the model is for.")] = "site-1",
    only_site: OnlySite = None,
    product: Annotated[str, typer.Option(help="Name of the product.")] = "default",
    workspace: Workspace = Path("workspace"),
    config: Annotated[
        Path | None, typer.Option(help="A TOML file (train.toml) with a table [training]; see docs/settings.md.")
    ] = None,
    base: Base = None,
    weights: Annotated[
        Path | None, typer.Option(help="File with the base model's weights; alone, its hash names the model.")
    ] = None,
    good: Annotated[list[str] | None, typer.Option(help="Classes that pass, where the names do not tell.")] = None,
    owner: Annotated[str, typer.Option(help="Who owns the images.")] = "unknown",
    licence: Annotated[str, typer.Option(help="Licence of the images; default: what lies beside them.")] = "",
    permitted_use: Annotated[str, typer.Option(help="What the images may be used for.")] = "unknown",
    split: SplitBy = "group",
    strategy: Annotated[
        Literal["auto", "probe", "tail", "full", "gradual", "lora", "scratch"],
        typer.Option(
            help="What is learned: a head; the last blocks too; everything; everything from the head back; "
            "low-rank adapters everywhere; everything from random weights. auto: two compete within --max-seconds."
        ),
    ] = "tail",
    lora_rank: Annotated[int, typer.Option(help="Rank of the adapters of --strategy lora.", min=1, max=256)] = 8,
    size: Size = None,
    resize: Annotated[
        Literal["stretch", "pad"],
        typer.Option(help="How an image comes to the input's shape; pad: with edges, so that nothing is stretched."),
    ] = "stretch",
    pooling: Annotated[
        Literal["mean", "gem"],
        typer.Option(help="Of all places of the picture; gem: the generalised mean, which a small defect moves more."),
    ] = "mean",
    flips: Flips = "auto",
    average: Annotated[
        bool,
        typer.Option("--average", help="The line averages over these mirrorings: steadier, as many times the compute."),
    ] = False,
    jitter: Annotated[
        str | None,
        typer.Option(
            help="What the camera may change from part to part, which training then shows: 'light=0.2 contrast=0.3 "
            "turn=5 shift=0.05 zoom=0.1 blur=1.5 noise=8'; default: place, light and contrast a little."
        ),
    ] = None,
    graft: Annotated[
        bool,
        typer.Option("--graft", help="While it learns, marked defects (boxes or masks) are also shown on good parts."),
    ] = False,
    smallest_defect: Annotated[
        float | None,
        typer.Option(
            help="Side of the smallest defect that matters, pixels of the image: chooses the tiles, or with --size "
            "auto the size.",
            min=0.1,
        ),
    ] = None,
    tiles: TileGrid = None,
    region_of_interest: Annotated[
        str | None,
        typer.Option(help="left,top,right,bottom: the rectangle, in pixels of the image, that is seen and kept."),
    ] = None,
    region_polygon: Annotated[
        str | None, typer.Option(help="'x,y x,y x,y': the polygon, in pixels of the image, that shows the part.")
    ] = None,
    hidden: Annotated[
        list[str] | None, typer.Option(help="'x,y x,y x,y': an area that is neither seen nor kept; repeatable.")
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(help="Answered beside the class: severity (a level), location (box, heat map); repeatable."),
    ] = None,
    severity_column: Annotated[
        str, typer.Option(help="With --task severity: the manifest's column of levels, or of a measure.")
    ] = "severity",
    severity_levels: Annotated[
        int | None,
        typer.Option(help="So many levels, none included; default: the column's whole numbers, or 4.", min=2, max=20),
    ] = None,
    task_weights: Annotated[
        str, typer.Option(help="fixed (each loss counts 1), learned, or numbers: 'severity=0.5 location=2'.")
    ] = "fixed",
    compare_tasks: Annotated[
        bool,
        typer.Option(
            "--compare-tasks", help="Also train each alone (as long again for each); the card says what is worse."
        ),
    ] = False,
    cost_escape: Annotated[float, typer.Option(help="Cost of a defect that is let through, against the other.")] = 1.0,
    cost_false_reject: Annotated[float, typer.Option(help="Cost of a good part that is stopped.")] = 1.0,
    defect_share: Annotated[
        float, typer.Option(help="Share of defects on the line, which the costs count by.", min=0.0001, max=0.9999)
    ] = 0.5,
    review_fraction: Annotated[
        float, typer.Option(help="Share of the parts, nearest below the line, that a person shall see.", min=0, max=0.5)
    ] = 0.0,
    cost_review: Annotated[
        float | None,
        typer.Option(help="Cost of a part that a person looks at: REVIEW is where that is cheapest.", min=0.0001),
    ] = None,
    most_reviewed: Annotated[
        float, typer.Option(help="With --cost-review: share of the parts that people have time for.", min=0, max=1)
    ] = 1.0,
    max_seconds: MaxSeconds = 3600.0,
    tune: Annotated[
        int, typer.Option(help="Try so many other values of the recipe within --max-seconds; 20 is a start.", min=0)
    ] = 0,
    rate_factor: Annotated[float, typer.Option(help="Times the learning rates of the recipe.", min=0.01, max=10)] = 1.0,
    depth_ratio: Annotated[
        float | None, typer.Option(help="Rate of the deepest trained stage over the top one's.", min=0.001, max=1)
    ] = None,
    steps_factor: Annotated[float, typer.Option(help="Times the steps of the recipe.", min=0.01, max=10)] = 1.0,
    label_noise: Annotated[float, typer.Option(help="Share of labels that may be wrong.", min=0, max=0.49)] = 0.03,
    seed: Annotated[int, typer.Option(help="Same seed, same model (on the same CPU).")] = 0,
    threads: Threads = 2,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(
            help="Where networks compute; auto: on a GPU if there is one. torchrun --nproc-per-node N -m lineside "
            "train ... shares each batch among N processes of one machine (with cuda a GPU each): --strategy tail or "
            "lora, not the others, nor --tune, --resume and --compare-tasks."
        ),
    ] = "auto",
    yardstick: Annotated[
        bool, typer.Option(help="Also measure random weights: does the base model help at all?")
    ] = True,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a killed training of the same images left off.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run in --out.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Train nothing where `lineside check` finds an error.")
    ] = False,
    evaluate: Annotated[
        bool, typer.Option(help="Then judge it: intervals, faults of the camera, simpler means.")
    ] = True,
) -> None:
    """Images -> fine-tuned model, with metrics, curves, a model card and a report on the images.

    What an option says goes before what the file of `--config` says.
    """
    from lineside.check import check_before_training
    from lineside.evaluation import run_evaluate
    from lineside.train_options import TrainOptions, refuse_early
    from lineside.training import run_train, together

    options = TrainOptions(
        data=data, out=out, site=site, only_site=only_site, product=product, workspace=workspace, base=base,
        weights=weights, good_labels=tuple(good or ()), owner=owner, licence=licence, permitted_use=permitted_use,
        split_by=split, seed=seed, threads=threads, yardstick=yardstick, resume=resume, overwrite=overwrite, tune=tune,
        size=size, config=config, unsaid=unsaid(context),
        settings={
            "strategy": strategy, "lora_rank": lora_rank, "resize": resize, "pooling": pooling,
            "max_seconds": max_seconds, "flips": flips, "average": average, "smallest_defect": smallest_defect,
            "tiles": tiles, "graft": graft, "jitter": jitter or {},
            "region_of_interest": region_of_interest, "region_polygon": region_polygon, "hidden": hidden or (),
            "tasks": tuple(task or ()), "severity_column": severity_column, "severity_levels": severity_levels,
            "task_weights": task_weights, "compare_tasks": compare_tasks,
            "cost_escape": cost_escape, "cost_false_reject": cost_false_reject, "defect_share": defect_share,
            "review_fraction": review_fraction, "cost_review": cost_review, "most_reviewed": most_reviewed,
            "rate_factor": rate_factor, "depth_ratio": depth_ratio,
            "device": device, "steps_factor": steps_factor, "label_noise": label_noise,
        },
    )  # fmt: skip
    chosen = carry_out(refuse_early, options)
    with together(chosen.device) as leads:
        if leads:
            parting = replace(options.parting, seed=chosen.seed)
            carry_out(check_before_training, data, out, parting=parting, strict=strict)
        carry_out(run_train, options)
        if evaluate and leads:
            carry_out(run_evaluate, out, baselines=True, device=chosen.device)
