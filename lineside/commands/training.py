"""From pictures to a trained model: `check`, `train`, `evaluate`, `correct`, `transfer`, `retrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lineside.commands.options import CIRCLE, Base, Components, ExportConfig, Threads, Workspace
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
    seed: Annotated[int, typer.Option(help="The split that a training with this seed would make is checked.")] = 0,
    workspace: Workspace = Path("workspace"),
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """What is wrong with the images: leaks between splits, copies, wrong labels, light, sizes, missing groups."""
    from lineside.check import run_check

    report = carry_out(
        run_check, data, out=out, seed=seed, good=tuple(good or ()), labels=labels, workspace=workspace, as_json=as_json
    )
    if strict and report.worst() == "error":
        raise typer.Exit(1)


@training_app.command(rich_help_panel=CIRCLE)
def train(
    data: Annotated[
        Path, typer.Argument(help="A manifest CSV (path, label, ...) or a folder with one folder a class.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the run: model, metrics, curves, card.")],
    site: Annotated[str, typer.Option(help="Name of the site the model is for.")] = "site-1",
    only_site: Annotated[str | None, typer.Option(help="Use only the manifest's rows of this site.")] = None,
    product: Annotated[str, typer.Option(help="Name of the product.")] = "default",
    workspace: Workspace = Path("workspace"),
    base: Base = None,
    weights: Annotated[
        Path | None, typer.Option(help="File with the base model's weights; alone, its hash names the model.")
    ] = None,
    good: Annotated[list[str] | None, typer.Option(help="Classes that pass, where the names do not tell.")] = None,
    owner: Annotated[str, typer.Option(help="Who owns the images.")] = "unknown",
    licence: Annotated[str, typer.Option(help="Licence of the images; default: what lies beside them.")] = "",
    permitted_use: Annotated[str, typer.Option(help="What the images may be used for.")] = "unknown",
    split: Annotated[
        Literal["group", "time"], typer.Option(help="time: train on the past, test on the last days (captured_at).")
    ] = "group",
    strategy: Annotated[
        Literal["auto", "probe", "tail", "full", "gradual", "lora", "scratch"],
        typer.Option(
            help="What is learned: a head; the last blocks too; everything; everything from the head back; "
            "low-rank adapters everywhere; everything from random weights. auto: two compete within --max-seconds."
        ),
    ] = "tail",
    lora_rank: Annotated[int, typer.Option(help="Rank of the adapters of --strategy lora.", min=1, max=256)] = 8,
    size: Annotated[
        str | None,
        typer.Option(
            help="Pixels a side of the network's input, WIDTHxHEIGHT, or auto: up to twice the base model's where "
            "that shows more; default: the base model's."
        ),
    ] = None,
    resize: Annotated[
        Literal["stretch", "pad"],
        typer.Option(help="How an image comes to the input's shape; pad: with edges, so that nothing is stretched."),
    ] = "stretch",
    pooling: Annotated[
        Literal["mean", "gem"],
        typer.Option(help="Of all places of the picture; gem: the generalised mean, which a small defect moves more."),
    ] = "mean",
    flips: Annotated[
        Literal["auto", "none", "horizontal", "vertical", "both", "square"],
        typer.Option(help="Mirrorings that leave a part what it is; square: quarter turns too; auto: tries."),
    ] = "auto",
    average: Annotated[
        bool,
        typer.Option("--average", help="The line averages over these mirrorings: steadier, as many times the compute."),
    ] = False,
    graft: Annotated[
        bool,
        typer.Option("--graft", help="While it learns, marked defects (boxes or masks) are also shown on good parts."),
    ] = False,
    smallest_defect: Annotated[
        float | None,
        typer.Option(help="Side of the smallest defect that matters, pixels of the image: chooses the tiles.", min=0.1),
    ] = None,
    tiles: Annotated[
        str | None, typer.Option(help="COLUMNSxROWS: windows that the network sees one by one in its full size.")
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
    max_seconds: Annotated[
        float, typer.Option(help="A training that takes longer is cut short, and says so.")
    ] = 3600.0,
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
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where networks compute; auto: on a GPU if there is one.")
    ] = "cpu",
    yardstick: Annotated[
        bool, typer.Option(help="Also measure random weights: does the base model help at all?")
    ] = True,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a killed training of the same images left off.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Train nothing where `lineside check` finds an error.")
    ] = False,
    evaluate: Annotated[
        bool, typer.Option(help="Then judge it: intervals, faults of the camera, simpler means.")
    ] = True,
) -> None:
    """Images -> fine-tuned model, with metrics, curves, a model card and a report on the images."""
    from lineside.check import check_before_training
    from lineside.evaluation import run_evaluate
    from lineside.train_options import TrainOptions, refuse_early
    from lineside.training import run_train, together

    options = TrainOptions(
        data=data, out=out, site=site, only_site=only_site, product=product, workspace=workspace, base=base,
        weights=weights, good_labels=tuple(good or ()), owner=owner, licence=licence, permitted_use=permitted_use,
        split_by=split, seed=seed, threads=threads, yardstick=yardstick, resume=resume, tune=tune, size=size,
        settings={
            "strategy": strategy, "lora_rank": lora_rank, "resize": resize, "pooling": pooling,
            "max_seconds": max_seconds, "flips": flips, "average": average, "smallest_defect": smallest_defect,
            "tiles": tiles, "graft": graft,
            "region_polygon": region_polygon, "hidden": hidden or (),
            "tasks": tuple(task or ()), "severity_column": severity_column, "severity_levels": severity_levels,
            "task_weights": task_weights, "compare_tasks": compare_tasks,
            "cost_escape": cost_escape, "cost_false_reject": cost_false_reject, "defect_share": defect_share,
            "review_fraction": review_fraction, "cost_review": cost_review, "most_reviewed": most_reviewed,
            "rate_factor": rate_factor, "depth_ratio": depth_ratio,
            "device": device, "steps_factor": steps_factor, "label_noise": label_noise,
        },
    )  # fmt: skip
    carry_out(refuse_early, options)
    with together(device) as leads:
        if leads:
            carry_out(check_before_training, data, out, only_site=only_site, seed=seed, strict=strict)
        carry_out(run_train, options)
        if evaluate and leads:
            carry_out(run_evaluate, out, baselines=True)


@training_app.command("evaluate", rich_help_panel=CIRCLE)
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
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """How good a model is on its test images, how sure one can be of that, and under which faults it breaks."""
    from lineside.evaluation import run_evaluate

    carry_out(
        run_evaluate, run, baselines=baselines, scratch_seconds=scratch_seconds if scratch else None, foreign=foreign,
        as_json=as_json,
    )  # fmt: skip


@training_app.command(rich_help_panel=CIRCLE)
def correct(
    run: Annotated[Path, typer.Argument(help="Folder that `lineside train` wrote.")],
    corrections: Annotated[Path, typer.Argument(help="CSV with the columns path and label; no label: not used again.")],
    out: Annotated[Path, typer.Option(help="The manifest to write, for the next `lineside train`.")],
) -> None:
    """Put wrong labels right that a run's report has shown; every image stays in its split."""
    from lineside.correct import run_correct

    carry_out(run_correct, run, corrections, out)


@training_app.command(rich_help_panel=CIRCLE)
def transfer(
    data: Annotated[Path, typer.Argument(help="A manifest CSV with a column `site`.")],
    out: Annotated[Path, typer.Option(help="Folder for every site's run and transfer.json.")],
    target: Annotated[
        list[str] | None, typer.Option(help="Advise for this site; may be given more than once. Default: all.")
    ] = None,
    labels: Annotated[
        int | None, typer.Option(help="Use at most so many labelled images of the target.", min=10)
    ] = None,
    base: Base = None,
    weights: Annotated[Path | None, typer.Option(help="File with the base model's weights.")] = None,
    good: Annotated[list[str] | None, typer.Option(help="Classes that pass, where the names do not tell.")] = None,
    strategy: Annotated[
        Literal["probe", "tail", "full", "gradual", "lora"],
        typer.Option(help="How every model is trained; probe takes seconds."),
    ] = "tail",
    workspace: Annotated[Path, typer.Option(help="Its catalogue.toml is read.")] = Path("workspace"),
    seed: Annotated[int, typer.Option(help="Of the split and the trainings.")] = 0,
    threads: Threads = 2,
) -> None:
    """Which sites can help each other: every model on every site, and for one site alone, from a sister, or pooled."""
    from lineside.transfer import TransferOptions, run_transfer

    options = TransferOptions(
        data=data, out=out, workspace=workspace, targets=tuple(target or ()), labels=labels, base=base,
        weights=weights, good_labels=tuple(good or ()), strategy=strategy, seed=seed, threads=threads,
    )  # fmt: skip
    carry_out(run_transfer, options)


@training_app.command(rich_help_panel=CIRCLE)
def retrain(
    order: Annotated[Path, typer.Option(help="The order's JSON file.")],
    out: Annotated[Path, typer.Option(help="Folder for run/ and bundle/.")],
    workspace: Workspace = Path("workspace"),
    threads: Threads = 2,
    config: ExportConfig = None,
    components: Components = None,
    replay: Annotated[
        int | None, typer.Option(help="Learn about so many old images again, whole groups; default: all.", min=1)
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None, typer.Option(help="Where networks compute; default: as the first model.")
    ] = None,
) -> None:
    """Obey a retrain order: base snapshot + new labels -> candidate bundle. Started by the monitor."""
    from lineside.training import run_retrain

    changes = {name: value for name, value in {"replay": replay, "device": device}.items() if value is not None}
    carry_out(
        run_retrain, order, out, workspace=workspace, threads=threads, config=config, components=components,
        changes=changes,
    )  # fmt: skip
