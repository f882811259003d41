"""`lineside benchmark`: which variant of a bundle this machine should serve, and what each of them costs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contracts.benchmark import Benchmark, Row
from contracts.errors import ConfigurationError, DatasetError
from lineside.benchmark_plot import plot
from lineside.progress import shown_progress
from runtime.benchmark import Labelled, Plan, benchmark
from runtime.bundle import Bundle, open_bundle
from runtime.durable import write_whole
from trainer.dataset import gather

_MOST_CORES = 4  # that are tried without being asked for


@dataclass(frozen=True)
class Options:
    """The command's; None for threads or callers: 1 and as many as there are cores."""

    bundle: Path
    variants: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    callers: tuple[int, ...] = ()
    runs: int = 200
    images: Path | None = None
    json: Path | None = None
    plot: Path | None = None
    submit: Path | None = None


def run_benchmark(options: Options) -> Benchmark:
    """Measure, print the table, write the files that were asked for. Raises BundleError or ConfigurationError."""
    bundle = open_bundle(options.bundle)
    plan = _plan(options)
    with shown_progress() as progress:
        found = benchmark(bundle, plan, progress=progress)
    console = Console(highlight=False)
    console.print(_heading(found, bundle), soft_wrap=True)
    for table in tables(found):
        console.print(table, "")
    for line in _gist(found):
        console.print(line, soft_wrap=True)
    for file, text in (
        (options.json, found.model_dump_json(indent=1) + "\n"),
        (options.submit, evidence(found).model_dump_json(indent=1) + "\n"),
        (options.plot, plot(found)),
    ):
        if file is not None:
            _write(file, text)
            console.print(f"written: {file}", soft_wrap=True)
    return found


def evidence(found: Benchmark) -> Benchmark:
    """What may be sent to others: without what your own images say about your parts, and with the day alone."""
    rows = tuple(row.model_copy(update={"images": None}) for row in found.rows)
    day = found.measured_at.replace(hour=0, minute=0, second=0, microsecond=0)
    reasons = dict.fromkeys(found.skipped, "does not run on this machine")
    return found.model_copy(update={"rows": rows, "measured_at": day, "skipped": reasons})


def _plan(options: Options) -> Plan:
    cores = min(os.cpu_count() or 1, _MOST_CORES)
    images: tuple[Labelled, ...] = ()
    if options.images is not None:
        gathered = gather(options.images)
        images = tuple(Labelled(example.path, example.label) for example in gathered.examples)
        if not images:
            raise DatasetError(f"{options.images} names no image that can be read; nothing can be compared with it")
    return Plan(
        variants=options.variants,
        threads=options.threads or tuple(sorted({1, cores})),
        callers=options.callers or (1,),
        runs=options.runs,
        images=images,
    )


def _heading(found: Benchmark, bundle: Bundle) -> str:
    machine = found.machine
    shape = "x".join(str(side) for side in found.input_shape)
    return (
        f"[bold]bundle {found.bundle_hash[:12]}[/] {escape(found.base_model)}, input {shape}, site "
        f"{escape(bundle.manifest.site)}\n{escape(str(machine.get('processor')))}, {machine.get('cores')} cores "
        f"({', '.join(machine.get('flags', []))}), {found.rounds} rounds side by side\n"
    )


def tables(found: Benchmark) -> tuple[Table, Table]:
    """A row for each variant, threads and callers, the chosen one marked: how fast, and what it takes and answers."""
    several = any(row.callers > 1 for row in found.rows)
    asked = ["callers"] if several else []
    speed = _table("", "variant", "thr.", *asked, "p50 ms", "p90", "p99", "img/s", "speed-up")
    energy = any(row.joules_per_image is not None for row in found.rows)
    images = any(row.images is not None for row in found.rows)
    further = [*(["J/image"] if energy else []), "golden", *(["balanced acc."] if images else [])]
    rest = _table("", "variant", "thr.", "start s", "memory MB", "file MB", *further)
    for row in found.rows:
        chosen = _is_chosen(found, row)
        first = ("→" if chosen else "", escape(row.variant), str(row.threads))
        latencies = (f"{1000 * seconds:.2f}" for seconds in (row.p50_seconds, row.p90_seconds, row.p99_seconds))
        speed.add_row(
            *first, *([str(row.callers)] if several else []), *latencies, f"{row.images_per_second:.0f}", _speedup(row),
            style="bold" if chosen else "",
        )  # fmt: skip
        if row.callers == min(each.callers for each in found.rows):
            rest.add_row(*first, *_taken(row, energy=energy, images=images), style="bold" if chosen else "")
    return speed, rest


def _table(*columns: str) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        left = column in ("", "variant", "golden", "balanced acc.")
        shown.add_column(
            column,
            justify="left" if left else "right",
            overflow="fold",
            no_wrap=column in ("variant", "golden", "speed-up"),
        )
    return shown


def _taken(row: Row, *, energy: bool, images: bool) -> list[str]:
    cells = [f"{row.cold_start_seconds:.2f}", f"{row.peak_bytes / 1e6:.0f}", f"{row.file_bytes / 1e6:.1f}"]
    if energy:
        cells.append("-" if row.joules_per_image is None else f"{row.joules_per_image:.3f}")
    return [*cells, _golden(row), *([_accuracy(row)] if images else [])]


def _speedup(row: Row) -> str:
    if row.speedup_interval is None:
        return f"{row.speedup:.2f}"
    return f"{row.speedup:.2f} ({row.speedup_interval[0]:.2f}-{row.speedup_interval[1]:.2f})"


def _golden(row: Row) -> str:
    """8/8 ±0.012: the certified class on all eight, no probability further away than that."""
    shown = f"{row.golden.same_class}/{row.golden.images} ±{row.golden.largest_difference:.3f}"
    shown = shown if row.golden.within_tolerance else f"[red]{shown}[/]"
    return shown if row.certified else f"{shown} [red]uncertified[/]"


def _accuracy(row: Row) -> str:
    if row.images is None or row.images.balanced_accuracy is None:
        return "-"
    low, high = row.images.balanced_interval or (0.0, 1.0)
    return f"{row.images.balanced_accuracy:.3f} ({low:.3f}-{high:.3f})"


def _is_chosen(found: Benchmark, row: Row) -> bool:
    return (row.variant, row.threads, row.callers) == (found.chosen, found.chosen_threads, 1)


def _gist(found: Benchmark) -> Sequence[str]:
    lines = [""]
    if found.chosen is not None:
        lines.append(f"[bold]serve {escape(found.chosen)} with {found.chosen_threads} thread(s)[/]")
    lines += [escape(remark) for remark in found.remarks]
    lines += [f"skipped {escape(variant)}: {escape(reason)}" for variant, reason in found.skipped.items()]
    lines.append(
        f"Batch 1 throughout: a model answers for one image. Speed-up: over {found.reference} with equal threads and "
        "callers, 95 % interval over rounds. Memory and start: of a process that does nothing else."
    )
    return lines


def _write(file: Path, text: str) -> None:
    try:
        write_whole(file, text)
    except OSError as error:
        raise ConfigurationError(f"cannot write {file}: {error.strerror}; choose another place") from error
