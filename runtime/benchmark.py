"""Every variant of a bundle on this machine, side by side: how fast, how large, how right.

Each variant with each number of threads is a process of its own, and all are asked in turn, a few answers at a time in
alternating order: what else the machine does hits all of them alike, and speeds are compared within a round.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from contracts.benchmark import Benchmark, GoldenAnswers, ImageAnswers, Row
from contracts.bundle import Variant
from contracts.certificate import Certificate
from contracts.errors import BundleError, ConfigurationError
from runtime.bundle import Bundle
from runtime.choice import candidates, choose, paired_ratio
from runtime.energy import EnergyMeter
from runtime.machine import describe_machine, device_class
from runtime.metrics import task_metrics, wilson_interval
from runtime.probe import expected_answer
from runtime.runner import Block, Runner
from runtime.trial import Limits, try_bundle

ROUNDS = 20
_PATIENT = Limits(seconds=600.0)  # who gives way to others waits for them
Progress = Callable[..., None]


@dataclass(frozen=True)
class Labelled:
    """An image whose truth is known."""

    path: Path
    label: str


@dataclass(frozen=True)
class Plan:
    """What to measure. Without `variants` all that run here; every one of `threads` with every one of `callers`, which
    ask the same loaded model at once; `runs` inferences a caller, spread over ROUNDS; `starts` cold starts. `incumbent`
    is the variant whose place another takes only where it is surely faster (default: the bundle's default one),
    `engines` where an agent keeps built ones; in the `background` all processes are behind the machine's other work.
    """

    variants: tuple[str, ...] = ()
    threads: tuple[int, ...] = (1,)
    callers: tuple[int, ...] = (1,)
    runs: int = 200
    starts: int = 3
    images: tuple[Labelled, ...] = ()
    incumbent: str | None = None
    engines: Path | None = None
    background: bool = False


@dataclass
class Measured:
    """Of one row, as it grows."""

    runner: Runner
    callers: int
    blocks: list[Block] = field(default_factory=list)
    joules: list[float] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, int, int]:
        """variant, threads, callers."""
        return self.runner.variant, self.runner.threads, self.callers

    @property
    def medians(self) -> list[float]:
        """Seconds of an answer, a value a round."""
        return [statistics.median(block.seconds) for block in self.blocks]


def benchmark(
    bundle: Bundle, plan: Plan, *, progress: Progress = lambda *_, **__: None, meter: EnergyMeter | None = None
) -> Benchmark:
    """Try, start, measure, judge. Raises BundleError where no variant runs here, ConfigurationError where the plan
    names one that the bundle lacks or a label that its model does not know."""
    _check_plan(bundle, plan)
    skipped = _tried(bundle, plan, progress)
    meter = meter if meter is not None else EnergyMeter()
    with contextlib.ExitStack() as held:
        runners, starts = _started(bundle, plan, skipped, held, progress)
        measured = [Measured(runner, callers) for runner in runners for callers in plan.callers]
        _measure(measured, plan, meter, progress)
        golden = {runner.variant: _golden(bundle, runner) for runner in runners if runner.threads == plan.threads[0]}
        images = _labelled(bundle, runners, plan, progress)
    reference = _reference(bundle, [runner.variant for runner in runners])
    rows = [_row(bundle, each, measured, reference, starts, golden, images) for each in measured]
    incumbent = plan.incumbent or bundle.manifest.default_variant
    chosen, remarks = choose(incumbent, rows, {each.key: each.medians for each in measured})
    return Benchmark(
        bundle_hash=bundle.hash,
        base_model=bundle.manifest.lineage.base_model,
        default_variant=bundle.manifest.default_variant,
        input_shape=(bundle.manifest.preprocessing.inputs, 3, *_sides(bundle)),
        measured_at=datetime.now(UTC),
        machine=describe_machine(),
        rounds=len(measured[0].blocks),
        reference=reference,
        rows=tuple(rows),
        skipped=skipped,
        chosen=None if chosen is None else chosen.variant,
        chosen_threads=None if chosen is None else chosen.threads,
        remarks=(*remarks, *_said(meter)),
    )


def _check_plan(bundle: Bundle, plan: Plan) -> None:
    known = [variant.name for variant in bundle.manifest.variants]
    if unknown := set(plan.variants) - set(known):
        raise ConfigurationError(f"bundle {bundle.hash[:12]} has no variant {min(unknown)!r}; it has {known}")
    if foreign := {image.label for image in plan.images} - set(bundle.manifest.labels):
        raise ConfigurationError(
            f"the model does not know the label {min(foreign)!r}; it knows {list(bundle.manifest.labels)}"
        )


def _chosen(bundle: Bundle, plan: Plan) -> list[Variant]:
    return [each for each in bundle.manifest.variants if not plan.variants or each.name in plan.variants]


def _tried(bundle: Bundle, plan: Plan, progress: Progress) -> dict[str, str]:
    """Variants that do not run here, with the reason. Raises BundleError where none does."""
    skipped = {}
    for variant in (chosen := _chosen(bundle, plan)):
        progress("trying", None, variant.name)
        try:
            try_bundle(
                bundle,
                variant=variant.name,
                engines=plan.engines,
                limits=_PATIENT if plan.background else Limits(),
                background=plan.background,
            )
        except BundleError as error:
            skipped[variant.name] = str(error)
    if len(skipped) == len(chosen):
        raise BundleError("no variant runs here: " + "; ".join(skipped.values()))
    return skipped


def _started(
    bundle: Bundle, plan: Plan, skipped: Mapping[str, str], held: contextlib.ExitStack, progress: Progress
) -> tuple[list[Runner], dict[tuple[str, int], list[float]]]:
    """All processes, and the cold starts of each, taken in turn."""
    wanted = [
        (variant.name, threads)
        for variant in _chosen(bundle, plan)
        if variant.name not in skipped
        for threads in plan.threads
    ]
    starts: dict[tuple[str, int], list[float]] = {each: [] for each in wanted}
    runners = []
    for turn in range(plan.starts):
        for variant, threads in wanted:
            progress("starting", turn / plan.starts, variant)
            runner = Runner(bundle, variant, threads=threads, engines=plan.engines, background=plan.background)
            starts[variant, threads].append(runner.cold_start_seconds)
            if turn < plan.starts - 1:
                runner.close()
            else:
                runners.append(held.enter_context(runner))
    return runners, starts


def _measure(measured: list[Measured], plan: Plan, meter: EnergyMeter, progress: Progress) -> None:
    rounds = min(ROUNDS, plan.runs)
    blocks = rounds * len(measured)
    for each in measured:  # caches are cold
        each.runner.run(3, callers=each.callers)
    for turn in range(rounds):
        count = plan.runs * (turn + 1) // rounds - plan.runs * turn // rounds
        for each in measured if turn % 2 == 0 else reversed(measured):
            before = meter.read()
            each.blocks.append(each.runner.run(count, callers=each.callers))
            joules = meter.joules(before, meter.read())
            if joules is not None:
                each.joules.append(joules)
            progress("measuring", sum(len(one.blocks) for one in measured) / blocks)


def _golden(bundle: Bundle, runner: Runner) -> GoldenAnswers:
    samples = bundle.manifest.golden_samples
    answers = runner.answer([bundle.path / sample.file for sample in samples]).rows
    same, largest, within = 0, 0.0, True
    for sample, answer in zip(samples, answers, strict=True):
        expected = expected_answer(sample, runner.variant)
        if answer is None or expected is None or len(expected) != len(answer):
            raise BundleError(f"golden sample {sample.file} has no answer for {runner.variant}; export again")
        difference = float(np.abs(np.subtract(answer, expected)).max())
        same += int(np.argmax(answer) == np.argmax(expected))
        largest, within = max(largest, difference), within and difference <= sample.tolerance
    return GoldenAnswers(images=len(samples), same_class=same, largest_difference=largest, within_tolerance=within)


def _labelled(bundle: Bundle, runners: Sequence[Runner], plan: Plan, progress: Progress) -> dict[str, ImageAnswers]:
    """On the user's own images: every variant, with the first number of threads (they all answer alike)."""
    if not plan.images:
        return {}
    asked = [runner for runner in runners if runner.threads == plan.threads[0]]
    answers: dict[str, list[tuple[float, ...] | None]] = {runner.variant: [] for runner in asked}
    for done, image in enumerate(plan.images):
        for runner in asked:
            answers[runner.variant] += runner.answer([image.path]).rows
        progress("judging images", (done + 1) / len(plan.images))
    return {variant: _judged(bundle, plan.images, rows) for variant, rows in answers.items()}


def _judged(bundle: Bundle, images: Sequence[Labelled], rows: Sequence[tuple[float, ...] | None]) -> ImageAnswers:
    read = [(row, image.label) for row, image in zip(rows, images, strict=True) if row is not None]
    if not read:
        raise ConfigurationError("none of the labelled images can be read; name images as the camera writes them")
    metrics = task_metrics(np.asarray([row for row, _ in read]), [label for _, label in read], bundle.manifest)
    return ImageAnswers(
        images=len(read),
        unreadable=len(rows) - len(read),
        accuracy=metrics.accuracy,
        balanced_accuracy=metrics.balanced_accuracy,
        balanced_interval=_balanced_interval(metrics.recall_good, metrics.recall_defect, [y for _, y in read], bundle),
        auroc=metrics.auroc,
    )


def _balanced_interval(
    good: float | None, defect: float | None, labels: Sequence[str], bundle: Bundle
) -> tuple[float, float] | None:
    """Of the mean of two shares: their intervals' halves, squared and added."""
    if good is None or defect is None:
        return None
    passing = sum(label in bundle.manifest.good_labels for label in labels)
    value, below, above = (good + defect) / 2, 0.0, 0.0
    for share, count in ((good, passing), (defect, len(labels) - passing)):
        low, high = wilson_interval(round(share * count), count)
        below, above = below + (share - low) ** 2 / 4, above + (high - share) ** 2 / 4
    return max(value - below**0.5, 0.0), min(value + above**0.5, 1.0)


def _row(
    bundle: Bundle, mine: Measured, all_measured: Sequence[Measured], reference: str,
    starts: Mapping[tuple[str, int], Sequence[float]], golden: Mapping[str, GoldenAnswers],
    images: Mapping[str, ImageAnswers],
) -> Row:  # fmt: skip
    variant, threads, callers = mine.key
    against = next(each for each in all_measured if each.key == (reference, threads, callers))
    seconds = [value for block in mine.blocks for value in block.seconds]
    p50, p90, p99 = np.percentile(seconds, [50, 90, 99])
    speedup, interval = paired_ratio(against.medians, mine.medians)
    certificate = _certificate(bundle.manifest.certificates, variant)
    return Row(
        variant=variant,
        threads=threads,
        callers=callers,
        cold_start_seconds=statistics.median(starts[variant, threads]),
        p50_seconds=float(p50),
        p90_seconds=float(p90),
        p99_seconds=float(p99),
        runs=len(seconds),
        images_per_second=len(seconds) / sum(block.wall_seconds for block in mine.blocks),
        peak_bytes=max(block.peak_bytes for block in mine.blocks),
        file_bytes=bundle.manifest.files[bundle.manifest.variant(variant).file].bytes,
        joules_per_image=sum(mine.joules) / len(seconds) if len(mine.joules) == len(mine.blocks) else None,
        speedup=speedup,
        speedup_interval=interval,
        golden=golden[variant],
        certified=variant in {each.variant.name for each in candidates(bundle.manifest).certified},
        certified_accuracy=None if certificate is None else certificate.metrics.balanced_accuracy,
        images=images.get(variant),
    )


def _certificate(certificates: Sequence[Certificate], variant: str) -> Certificate | None:
    """The variant's; of this class of devices where there is one."""
    mine = [each for each in certificates if each.variant == variant]
    return next((each for each in mine if each.device_class == device_class()), mine[0] if mine else None)


def _reference(bundle: Bundle, running: Sequence[str]) -> str:
    """The float file in onnxruntime, else the first that runs."""
    floats = [name for name in running if bundle.manifest.variant(name).precision == "fp32"]
    return next((name for name in floats if name.startswith("onnxruntime-cpu/")), (floats or list(running))[0])


def _sides(bundle: Bundle) -> tuple[int, int]:
    return bundle.manifest.preprocessing.height, bundle.manifest.preprocessing.width


def _said(meter: EnergyMeter) -> list[str]:
    return [] if meter.present else ["no energy: this machine does not tell, or only its administrator"]
