"""The one command `lineside`. Each sub-command imports what it needs when it runs, so a station needs no torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from lineside.agent_commands import agent_app
from lineside.group import CommandGroup, carry_out
from lineside.labels_commands import MonitorUrl, Token, labels_app
from lineside.models_commands import models_app

app = typer.Typer(
    name="lineside",
    cls=CommandGroup,
    help="Small vision models beside production lines: trained, certified, served, watched, and replaced on evidence.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
monitor_app = typer.Typer(help="The monitor: telemetry in, decisions and signed releases out.", no_args_is_help=True)
app.add_typer(agent_app, name="agent", rich_help_panel="Services")
app.add_typer(monitor_app, name="monitor", rich_help_panel="Services")
app.add_typer(labels_app, name="labels", rich_help_panel="Parts of the circle")
policy_app = typer.Typer(help="The rules that decide: what another policy would have done.", no_args_is_help=True)
app.add_typer(policy_app, name="policy", rich_help_panel="Services")
app.add_typer(models_app, name="models", rich_help_panel="Parts of the circle")

_PARTS = "Parts of the circle"
_FIRST = "Start here"
_SERVICES = "Services"

Threads = Annotated[int, typer.Option(help="Threads for computing.", min=1)]
Workspace = Annotated[Path, typer.Option(help="Folder for snapshots, runs and bundles; made when it is missing.")]
Components = Annotated[int | None, typer.Option(help="Principal components of the drift reference.", min=1, max=64)]
Base = Annotated[str | None, typer.Option(help="Base model by its id in the catalogue; see `lineside models list`.")]


@app.command(rich_help_panel=_FIRST)
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


@app.command(rich_help_panel=_FIRST)
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


@app.command(rich_help_panel=_FIRST)
def doctor(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Says what is missing on this machine and how to get it. For a station: `lineside agent doctor`."""
    from lineside.doctor import run_doctor

    if not carry_out(run_doctor, Path.cwd(), as_json=as_json):
        raise typer.Exit(1)


@app.command(rich_help_panel=_PARTS)
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


@app.command(rich_help_panel=_PARTS)
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
            "tiles": tiles,
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


@app.command("evaluate", rich_help_panel=_PARTS)
def evaluate_run(
    run: Annotated[Path, typer.Argument(help="Folder that `lineside train` wrote.")],
    baselines: Annotated[bool, typer.Option(help="Also train simpler means on the same images.")] = True,
    foreign: Annotated[
        Path | None, typer.Option(help="Folder of pictures that show no part of the product: do they pass?")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """How good a model is on its test images, how sure one can be of that, and under which faults it breaks."""
    from lineside.evaluation import run_evaluate

    carry_out(run_evaluate, run, baselines=baselines, foreign=foreign, as_json=as_json)


@app.command(rich_help_panel=_PARTS)
def correct(
    run: Annotated[Path, typer.Argument(help="Folder that `lineside train` wrote.")],
    corrections: Annotated[Path, typer.Argument(help="CSV with the columns path and label; no label: not used again.")],
    out: Annotated[Path, typer.Option(help="The manifest to write, for the next `lineside train`.")],
) -> None:
    """Put wrong labels right that a run's report has shown; every image stays in its split."""
    from lineside.correct import run_correct

    carry_out(run_correct, run, corrections, out)


@app.command(rich_help_panel=_PARTS)
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


@app.command(rich_help_panel=_PARTS)
def export(
    run: Annotated[Path, typer.Argument(help="Folder that `lineside train` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for the bundle.")],
    threads: Threads = 2,
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
        Literal["ptq", "qat", "auto"],
        typer.Option(help="int8 after the training, or by training on with its rounding; auto: the better one."),
    ] = "ptq",
) -> None:
    """Model -> bundle: fp32 and int8 ONNX, certified equal and measured on this machine."""
    from lineside.training import run_export

    changes = {
        "components": components,
        "max_drop": max_drop,
        "float_stem": False if all_int8 else None,
        "weight_bits": weight_bits,
        "sensitivity": sensitivity or None,
        "quantisation": quantisation,
    }
    carry_out(run_export, run, out, threads=threads, changes=changes)


@app.command(rich_help_panel=_PARTS)
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


@app.command(rich_help_panel=_PARTS)
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


@app.command(rich_help_panel=_PARTS)
def retrain(
    order: Annotated[Path, typer.Option(help="The order's JSON file.")],
    out: Annotated[Path, typer.Option(help="Folder for run/ and bundle/.")],
    workspace: Workspace = Path("workspace"),
    threads: Threads = 2,
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
    carry_out(run_retrain, order, out, workspace=workspace, threads=threads, components=components, changes=changes)


@app.command(rich_help_panel=_SERVICES)
def broker(
    config: Annotated[Path, typer.Option(help="The broker's TOML file.")],
    folder: Annotated[Path, typer.Option(help="Where its password file lies.")],
) -> None:
    """The embedded MQTT broker for one machine (loopback, passwords)."""
    from lineside.services import run_broker_service

    carry_out(run_broker_service, config, folder)


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


@app.command(rich_help_panel=_SERVICES)
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


@app.command(rich_help_panel=_SERVICES)
def changes(
    site: Annotated[str, typer.Option(help="Whose records.")],
    record: Annotated[int | None, typer.Option(help="Only this one, in full; default: a list of all.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with everything that was recorded.")] = False,
    monitor: MonitorUrl = "http://127.0.0.1:8500",
    token: Annotated[str | None, typer.Option(envvar="LINESIDE_TOKEN", help="The monitor's token.")] = None,
) -> None:
    """What came into service, why, on which evidence, who approved it: for auditors.

    The records of a site are a chain of hashes, which is checked: exit status 1 where one is not as it was written.
    """
    from lineside.changes import run_changes

    carry_out(run_changes, monitor, site=site, number=record, as_json=as_json, token=token)


@app.command(rich_help_panel=_FIRST)
def version() -> None:
    """The installed version."""
    from importlib import metadata

    print(metadata.version("lineside"))


def main() -> None:
    """Entry point of `python -m lineside`."""
    app()


if __name__ == "__main__":
    main()
