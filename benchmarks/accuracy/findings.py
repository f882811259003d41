"""What the cells say together: a figure for each claim, with its interval over groups; none where a cell is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.plan import FOLDS, LABELS, SEEDS, STRATEGIES, Sets
from benchmarks.accuracy.tasks import TASKS, TOGETHER, measured
from contracts.report import Figure
from contracts.thresholds import Thresholds
from runtime.decision import Rule
from runtime.metrics import bootstrap_interval
from trainer.dataset import Dataset
from trainer.evaluation.figures import Answers, Statistic, accuracy, area, balanced_accuracy, macro_f1
from trainer.quality.alike import near_duplicates
from trainer.quality.leaks import leak
from trainer.quality.survey import survey
from trainer.split import group_of, split

_FALSE_ALARMS = 0.05  # at which tiled and squashed are compared
_WORSE = -0.02  # a task over a shared trunk against alone
_ENDS = ("together", "alone", "gain", "not_worse")
_IN_WORDS = {
    "class": "AUROC",
    "severity": "share of pairs of pit areas in the right order",
    "location": "share of marked pits whose box overlaps a mark by 0.3",
}

Found = dict[str, dict[str, Any]]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Findings:
    """The outcomes of cells by their names."""

    found: Found
    sets: Sets

    def figures(self) -> Iterator[Figure]:
        """All of them."""
        yield from self._elpv()
        yield from self._tiles()
        yield from self._leaks()
        yield from self._spindle()
        yield from self._pits()
        yield from self._strategies()
        yield from self._ways()
        yield from self._tasks()

    def _elpv(self) -> Iterator[Figure]:
        random = [f"elpv-random/seed-{seed}" for seed in SEEDS]
        note = "random quarter, mean of 3 seeds, interval over modules"
        yield self._figure("elpv_random_accuracy", random, self.sets.elpv, accuracy, note)
        yield self._figure("elpv_random_accuracy_float", random, self.sets.elpv, accuracy, note, variant="float")
        yield self._largest("elpv_random_train_seconds", random, "train_seconds")
        yield self._largest("elpv_random_latency_seconds", random, "latency_seconds")
        probes, full = ([f"elpv-blocks/{strategy}-{seed}" for seed in SEEDS] for strategy in ("probe", "full"))
        note = "quarter of the modules, mean of 3 seeds"
        yield self._figure("elpv_blocks_accuracy", full, self.sets.elpv, accuracy, note)
        yield self._figure("elpv_blocks_accuracy_probe", probes, self.sets.elpv, accuracy, f"frozen features; {note}")
        yield self._gain(
            "elpv_blocks_gain", full, probes, self.sets.elpv, accuracy, f"above frozen features, same images; {note}"
        )

    def _tiles(self) -> Iterator[Figure]:
        names = [f"tiles/fold-{fold}" for fold in FOLDS]
        note = "tile-disjoint, 5 folds, 6 classes"
        yield self._figure("tiles_macro_f1", names, self.sets.tiles, macro_f1, note)
        yield self._figure("tiles_accuracy", names, self.sets.tiles, right_class, note)
        yield self._figure("tiles_accuracy_float", names, self.sets.tiles, right_class, note, variant="float")
        yield self._largest("tiles_train_seconds", names, "train_seconds")

    def _leaks(self) -> Iterator[Figure]:
        """Whether the split by image is found to leak and the one by tile is not."""
        measured = survey(self.sets.tiles.examples)
        alike = near_duplicates([item.looks for item in measured])
        alone = [replace(example, group="") for example in self.sets.tiles.examples]
        for name, examples in (("random", alone), ("grouped", self.sets.tiles.examples)):
            parted = split(examples, seed=0)
            (finding,) = leak([replace(item, example=e) for item, e in zip(measured, parted, strict=True)], alike)
            yield Figure(name=f"tiles_leak_flagged_{name}", value=float(finding.weight == "error"), note=finding.text)

    def _spindle(self) -> Iterator[Figure]:
        names = [f"spindle/fold-{fold}" for fold in FOLDS]
        yield self._figure("spindle_auroc", names, self.sets.spindle, area, "position-disjoint, 5 folds together")
        later, note = ["spindle/later"], "the days after 7 September; 4 x 2 tiles; to the 6th and 60 labels of the 7th"
        yield self._figure("spindle_later_balanced_accuracy", later, self.sets.spindle, balanced_accuracy, note)
        yield self._figure("spindle_later_auroc", later, self.sets.spindle, area, note)

    def _pits(self) -> Iterator[Figure]:
        """The smallest quarter of the pits, found in tiles and in the squashed image at the same share of false
        alarms."""
        squashed, tiled = ([f"{name}/fold-{fold}" for fold in FOLDS] for name in ("spindle", "spindle-tiled"))
        areas = [float(e.attributes["pit_area_px2"]) for e in self.sets.spindle.examples if e.label == "pitting"]
        statistic = partial(_recall_of_small, largest=float(np.quantile(areas, 0.25)))
        note = f"smallest quarter of the pits, {_FALSE_ALARMS:.0%} false alarms, 5 folds together"
        yield self._figure("pits_small_recall_squashed", squashed, self.sets.spindle, statistic, f"224 px; {note}")
        yield self._figure("pits_small_recall_tiled", tiled, self.sets.spindle, statistic, f"4 x 2 tiles; {note}")
        yield self._gain("pits_small_gain", tiled, squashed, self.sets.spindle, statistic, note)
        yield self._largest("pits_squashed_latency_seconds", squashed, "latency_seconds")
        yield self._largest("pits_tiled_latency_seconds", tiled, "latency_seconds")

    def _strategies(self) -> Iterator[Figure]:
        for name, dataset in (("elpv", self.sets.elpv), ("tiles", self.sets.tiles), ("spindle", self.sets.spindle)):
            cells = [f"strategies/{name}-{strategy}" for strategy in STRATEGIES]
            figures = [
                self._figure(f"strategies_{name}_{strategy}", [cell], dataset, balanced_accuracy, "160 px, 3 minutes")
                for strategy, cell in zip(STRATEGIES, cells, strict=True)
            ]
            yield from figures
            values = [figure.value for figure in figures if figure.value is not None]
            behind = max(values[:-1]) - values[-1] if len(values) == len(figures) else None
            note = f"balanced accuracy, {self._contest(cells[-1])}"
            yield Figure(name=f"strategies_{name}_auto_behind_best", value=behind, note=note)
            yield self._largest(f"strategies_{name}_auto_seconds", cells[-1:], "train_seconds")
        seen = self.found.get("strategies/pass")
        ratio = seen["cached_seconds"] / seen["uncached_seconds"] if seen else None
        yield Figure(name="cached_pass_share", value=ratio, note="of an uncached one; 400 images, 5 views, 160 px")

    def _contest(self, cell: str) -> str:
        said = (self.found.get(cell, {}).get("details", {}).get("contest") or {}).get("reasons", ["not measured"])
        return str(said[-1])

    def _ways(self) -> Iterator[Figure]:
        for labels in LABELS:
            found = self.found.get(f"ways/{labels}")
            if found is None:
                yield Figure(name=f"ways_{labels}_behind_best", value=None, note="not measured")
                continue
            reached = {}
            for name, cell in found["ways"].items():
                answers = answers_of([cell], self.sets.elpv)
                reached[name] = balanced_accuracy(answers, np.arange(len(answers.examples))) or 0.0
                for kind, statistic in (("balanced_accuracy", balanced_accuracy), ("auroc", area)):
                    title = f"ways_{labels}_{name.replace(' ', '_')}_{kind}"
                    yield self._of(title, answers, statistic, f"poly, {found['labels_used']} labels")
                    if name == found["chosen"]:
                        yield self._of(f"ways_{labels}_chosen_{kind}", answers, statistic, found["why"])
            behind = max(reached.values()) - reached[found["chosen"]]
            note = f"balanced accuracy; chosen: {found['chosen']}"
            yield Figure(name=f"ways_{labels}_behind_best", value=behind, note=note)

    def _tasks(self) -> Iterator[Figure]:
        """Each task over the shared trunk, alone, and the paired difference with its interval over positions."""
        for name in TASKS:
            shared, single = ([f"tasks/{kind}-{fold}" for fold in FOLDS] for kind in (TOGETHER, name))
            note = f"BSData, position-disjoint, 5 folds together, float; {_IN_WORDS[name]}"
            if not self._known([*shared, *single]):
                yield from (Figure(name=f"tasks_{name}_{end}", value=None, note="not measured") for end in _ENDS)
                continue
            yield from self._together(
                name, [self.found[cell] for cell in shared], [self.found[c] for c in single], note
            )

    def _together(self, name: str, shared: list[Any], single: list[Any], note: str) -> Iterator[Figure]:
        known = {example.sha256: example for example in self.sets.spindle.examples}
        examples = [known[image] for cell in shared for image in cell["images"]]
        groups, everything = [group_of(example) for example in examples], np.arange(len(examples))

        def gained(rows: Rows) -> float | None:
            one, other = (measured(name, cells, examples, rows) for cells in (shared, single))
            return None if one is None or other is None else one - other

        difference = gained(everything)
        interval = bootstrap_interval(gained, len(examples), groups=groups, resamples=1000)
        for end, cells in (("together", shared), ("alone", single)):
            yield Figure(name=f"tasks_{name}_{end}", value=measured(name, cells, examples, everything), note=note)
        yield Figure(name=f"tasks_{name}_gain", value=difference, interval=interval, note=f"above alone; {note}")
        holds = None if interval is None else float(not_worse(interval))
        yield Figure(name=f"tasks_{name}_not_worse", value=holds, note=f"1 where the interval lies above {_WORSE} and "
                     f"does not lie below 0; {note}")  # fmt: skip

    def _known(self, cells: Sequence[str]) -> bool:
        return all(cell in self.found for cell in cells)

    def _figure(
        self, name: str, cells: Sequence[str], dataset: Dataset, statistic: Statistic, note: str,
        *, variant: str = "int8",
    ) -> Figure:  # fmt: skip
        """A statistic over all cells' answers together."""
        if not self._known(cells):
            return Figure(name=name, value=None, note=f"not all cells measured: {note}")
        answers = answers_of([self.found[cell] for cell in cells], dataset, variant=variant)
        return self._of(name, answers, statistic, note if variant == "int8" else f"{variant}; {note}")

    def _of(self, name: str, answers: Answers, statistic: Statistic, note: str) -> Figure:
        value = statistic(answers, np.arange(len(answers.examples)))
        return Figure(name=name, value=value, interval=_over_groups(partial(statistic, answers), answers), note=note)

    def _gain(
        self, name: str, cells: Sequence[str], against: Sequence[str], dataset: Dataset, statistic: Statistic, note: str
    ) -> Figure:
        """A statistic of some cells above that of others on the same images."""
        if not self._known([*cells, *against]):
            return Figure(name=name, value=None, note=f"not all cells measured: {note}")
        ours, theirs = (answers_of([self.found[cell] for cell in names], dataset) for names in (cells, against))

        def gained(rows: Rows) -> float | None:
            one, other = statistic(ours, rows), statistic(theirs, rows)
            return None if one is None or other is None else one - other

        value = gained(np.arange(len(ours.examples)))
        return Figure(name=name, value=value, interval=_over_groups(gained, ours), note=note)

    def _largest(self, name: str, cells: Sequence[str], key: str) -> Figure:
        values = [float(self.found[cell][key]) for cell in cells if cell in self.found]
        return Figure(name=f"{name}_largest", value=max(values) if len(values) == len(cells) else None, unit="s")


def answers_of(cells: Sequence[dict[str, Any]], dataset: Dataset, *, variant: str = "int8") -> Answers:
    """The answers of several cells as one, each image with its group in `dataset`; an image that several cells judged
    counts several times, under its one group. Raises ValueError where the cells do not decide alike."""
    known = {example.sha256: example for example in dataset.examples}
    examples = [known[image] for cell in cells for image in cell["images"]]
    said = np.concatenate([np.asarray(cell[variant], dtype=np.float64) for cell in cells])
    first = cells[0]
    if any(cell[part] != first[part] for cell in cells for part in ("labels", "good")) or any(
        cell["thresholds"]["review_from"] != first["thresholds"]["review_from"] for cell in cells
    ):
        raise ValueError("cells of one figure name other classes or draw other lines; judge each by itself")
    rule = Rule(tuple(first["labels"]), tuple(first["good"]), Thresholds.model_validate(first["thresholds"]))
    return Answers(tuple(examples), said, rule)


def not_worse(interval: tuple[float, float]) -> bool:
    """Whether a paired difference is not below 0 for sure, and surely not below what would be a loss.

    >>> not_worse((-0.01, 0.03)), not_worse((-0.03, 0.04)), not_worse((-0.015, -0.005))
    (True, False, False)
    """
    return interval[0] > _WORSE and interval[1] >= 0


def right_class(answers: Answers, rows: Rows) -> float | None:
    """Share of images whose most probable class is the true one."""
    return float((answers.probabilities[rows].argmax(1) == answers.true[rows]).mean()) if len(rows) else None


def _recall_of_small(answers: Answers, rows: Rows, *, largest: float) -> float | None:
    """Share of the pits of at most that area that score above all but 5 % of the healthy images."""
    areas = np.array([float(example.attributes["pit_area_px2"] or 0) for example in answers.examples])[rows]
    scores, defect = answers.scores[rows], answers.defect[rows]
    small = defect & (areas <= largest)
    if not small.any() or defect.all():
        return None
    return float((scores[small] > np.quantile(scores[~defect], 1 - _FALSE_ALARMS)).mean())


def _over_groups(statistic: Callable[[Rows], float | None], answers: Answers) -> tuple[float, float] | None:
    return bootstrap_interval(statistic, len(answers.examples), groups=answers.groups, resamples=1000)
