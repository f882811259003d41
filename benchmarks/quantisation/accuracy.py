"""Int8 of trained networks: fp32, quantised after the training, and by training on, on test images that chose nothing.

Two sets of real images, grouped splits. A training takes minutes, so what it gave is kept in `--folder` under a key of
its data, its settings and the code, and not measured again; `--older` also takes what other code gave of the same data
and settings, and the report says so. Which file is chosen is not kept: the exporter's rule decides it anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.cells import Cell, Kept, Shelf, code_hash
from benchmarks.accuracy.plan import inputs_of
from benchmarks.accuracy.protocols import grouped_fold, grouped_quarter, read_set
from benchmarks.harness import Measured
from benchmarks.quantisation.trained import FP32, play
from contracts.report import Figure
from exporter.qat.route import PTQ, QAT, WHOLE, Choice, choose
from exporter.qat.route import Judged as FileJudged
from exporter.qat.settings import QatSettings
from lineside.models import chosen_base
from runtime.metrics import bootstrap_interval
from trainer.dataset import Dataset
from trainer.settings import TrainingSettings
from trainer.split import group_of

CELLS = Path("benchmarks/results/quantisation")
SETS: dict[str, tuple[str, Callable[[Dataset], Dataset]]] = {
    "elpv": ("elpv", partial(grouped_quarter, seed=0)),
    "tiles": ("magnetic_tile", partial(grouped_fold, fold=0)),
}
"""By the name of their figures: the folder, and which images are the test."""

TRAINING: dict[str, Any] = {
    "strategy": "tail", "input_width": 160, "input_height": 160, "threads": 1, "max_seconds": 360.0,
}  # fmt: skip
LEARNING = QatSettings(fewest_steps=60, most_steps=60, max_seconds=360.0)
_NEEDED = 0.005  # what plain quantisation may lose before training on has to help


@dataclass(frozen=True)
class Judged:
    """One set's outcome: right or wrong [n] by file, the group of every image, and which file `auto` takes."""

    name: str
    found: dict[str, Any]
    right: dict[str, NDArray[np.bool_]]
    groups: tuple[str, ...]
    choice: Choice

    @classmethod
    def of(cls, name: str, found: dict[str, Any], dataset: Dataset) -> Judged:
        """From what a cell keeps."""
        known = {example.sha256: example for example in dataset.examples}
        examples = [known[image] for image in found["images"]]
        true = np.array([found["labels"].index(example.label) for example in examples])
        right = {file: np.array(logits).argmax(1) == true for file, logits in found["logits"].items()}
        judged = {file: FileJudged(**each) for file, each in found["judged"].items()}
        choice = choose(judged, "auto", learned=found["learning"]["kept_step"] > 0)
        return cls(name, found, right, tuple(map(group_of, examples)), choice)

    def lost(self, file: str, other: str) -> float:
        """Accuracy of `other` minus that of `file`."""
        return float(self.right[other].mean() - self.right[file].mean())

    def interval(self, file: str, other: str) -> tuple[float, float] | None:
        """Of `lost`, over groups."""
        difference = self.right[other].astype(float) - self.right[file]
        return bootstrap_interval(
            lambda rows: float(difference[rows].mean()), len(difference), groups=self.groups, resamples=1000
        )


def measure(options: argparse.Namespace) -> Measured:
    """Every set: train, quantise in both ways, ask; what `--folder` has is recalled."""
    shelf = Shelf(options.folder)
    figures: list[Figure] = []
    details: dict[str, Any] = {}
    kept: list[Judged] = []
    for name in list(SETS)[:1] if options.quick else SETS:
        dataset = _dataset(options.data, name)
        print(f"{name} ...", flush=True)
        wanted = cell(options.data, name, dataset)
        outcome = (shelf.recall(wanted, older=True) if options.older else None) or shelf.measure(wanted)
        kept.append(Judged.of(name, outcome.found, dataset))
        figures += figures_of(kept[-1])
        details[name] = _details(kept[-1], outcome)
    return Measured([*figures, *over_all(kept)], details)


def _dataset(data: Path, name: str) -> Dataset:
    folder, protocol = SETS[name]
    return protocol(read_set(data, folder))


def cell(data: Path, name: str, dataset: Dataset) -> Cell:
    """A set's training and its files."""
    base = chosen_base(weights=data / "weights" / "mobilenetv2_100_same.in1k.safetensors")
    settings = TrainingSettings.model_validate(TRAINING)
    inputs = {**inputs_of(dataset, base, settings), "qat": LEARNING.model_dump(mode="json", exclude_defaults=True)}
    return Cell(
        name, inputs, code_hash("benchmarks.quantisation.trained"), partial(play, dataset, base, settings, LEARNING)
    )


def figures_of(judged: Judged) -> Iterator[Figure]:
    """Of one set."""
    name, found, right = judged.name, judged.found, judged.right
    images = f"{len(judged.groups)} test images of {len(set(judged.groups))} groups"
    for file, said in ((FP32, "fp32"), (PTQ, "ptq"), (QAT, "qat"), (WHOLE, "whole_range")):
        yield Figure(name=f"{name}_{said}_accuracy", value=float(right[file].mean()), note=images)
    yield _difference(judged, "ptq_lost", PTQ, FP32, "fp32 minus plain quantisation")
    taken = judged.choice.taken
    yield _difference(judged, "chosen_lost", taken, FP32, f"fp32 minus what is chosen ({taken})")
    yield _difference(judged, "qat_gain", PTQ, QAT, "training on minus plain quantisation")
    yield _difference(judged, "whole_range_gain", QAT, WHOLE, "255 steps minus 127 for what is never negative")
    ratio = found["latency"][QAT] / found["latency"][PTQ]
    yield Figure(name=f"{name}_qat_latency", value=ratio, note="processor time, p50 over plain quantisation's, in turn")
    differ, compared = len(found["disagreements"]), found["compared"]
    note = f"x86 against symmetric, same weights: {differ} of {compared} images differ"
    yield Figure(name=f"{name}_targets_agree", value=1 - differ / compared, note=note)
    yield Figure(name=f"{name}_targets_images", value=float(compared))
    note = f"values above 127 steps; {found['saturating']['worst']:.2%} in the worst tensor, by at most 128 steps"
    yield Figure(name=f"{name}_saturating", value=found["saturating"]["share"], note=note)


def _difference(judged: Judged, figure: str, file: str, other: str, note: str) -> Figure:
    return Figure(
        name=f"{judged.name}_{figure}",
        value=judged.lost(file, other),
        interval=judged.interval(file, other),
        note=f"accuracy, paired: {note}",
    )


def over_all(kept: Sequence[Judged]) -> Iterator[Figure]:
    """Whether training on helps where it is needed: the least gain over the sets where plain quantisation loses more
    than half a point; 1 where there is none, since nothing was to be won back."""
    if len(kept) < len(SETS):
        return
    needed = {each.name: each.lost(PTQ, QAT) for each in kept if each.lost(PTQ, FP32) > _NEEDED}
    told = ", ".join(f"{name} {gain:+.4f}" for name, gain in needed.items())
    note = f"gain where plain quantisation loses more than 0.5 points: {told or 'on no set, so nothing to win back'}"
    yield Figure(name="qat_gain_where_needed", value=min(needed.values(), default=1.0), note=note)


def _details(judged: Judged, outcome: Kept) -> dict[str, Any]:
    kept = ("judged", "learning", "latency", "disagreements", "saturating")
    return {
        "commit": outcome.commit,
        "measured_by_other_code": outcome.outdated,
        "chosen": judged.choice.taken,
        "reason": judged.choice.reason,
        **{name: judged.found[name] for name in kept},
    }
