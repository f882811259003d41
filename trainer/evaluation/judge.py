"""The whole evaluation of a run: its test split as it is, by column, under faults, and beside simpler means."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from contracts.preprocessing import Preprocessing
from runtime.decision import Rule
from runtime.preprocessing import decode, prepare
from trainer.claim import FEWEST, claimed
from trainer.dataset import Example
from trainer.device import device_for, device_of, placed
from trainer.evaluation import figures
from trainer.evaluation.faults import FAULTS, befall
from trainer.evaluation.figures import Answers, estimate
from trainer.evaluation.foreign import judge_foreign
from trainer.evaluation.report import Baseline, Estimate, Evaluation, Failure, Foreign, Slice, UnderFault
from trainer.evaluation.scratch import from_scratch
from trainer.evaluation.simpler import differs, simpler_means
from trainer.evaluation.slices import slices
from trainer.evaluation.tasks import judge_tasks
from trainer.evaluation.words import figure
from trainer.progress import Progress, silent
from trainer.settings import DeviceName
from trainer.trained import TrainedModel

_FAULTED_IMAGES = 120  # of the test split, under every fault
_BATCH = 16
_MOST_FAILURES = 24
_SHOWN = {
    "brightness": "light=0.3",
    "contrast": "contrast=0.4",
    "blur": "blur=1.6",
    "noise": "noise=12",
    "rotation": "turn=5",
}
"""What of a training's jitter is like the faults that it can show."""
_BREAKS = 0.1  # balanced accuracy lost under a light fault
_PASSES = 0.1  # share of pictures without a part that may be called good unnoticed
_FEWEST_GROUPS = 5
_LEARNED_IMAGES = 160  # of those trained on, for the gap to the test
_BY_HEART = 0.15  # of balanced accuracy between images trained on and the test
_BEHIND = 0.1  # a slice's balanced accuracy below that of all


def evaluate(
    model: TrainedModel, *, baselines: bool = True, scratch_seconds: float | None = None,
    known: Sequence[Baseline] = (), foreign: Sequence[Path] = (), device: DeviceName = "cpu",
    progress: Progress = silent,
) -> Evaluation:  # fmt: skip
    """Judge a run on the test split of its snapshot, and on `foreign` pictures that show no part of its product. With
    `scratch_seconds` its network is also trained from random weights for so long; `known` are rows of an earlier
    evaluation that need not be measured again. The network is left on the device. Raises DatasetError where images are
    gone, ConfigurationError for a device that is not there."""
    placed(model.module, device_for(device))
    record, test = model.record, model.snapshot.of("test")
    rule = Rule(record.labels, record.good_labels, record.thresholds)
    spec = record.preprocessing
    progress("testing", 0.0)
    answers = Answers(test, _answer(model, test, spec), rule)
    parts, columns = slices(answers)
    faults = _under_faults(model, answers, progress)
    progress("foreign pictures", 0.7)
    strangers = judge_foreign(model, foreign)
    beside, curve = simpler_means(model, answers, device, progress) if baselines else ((), None)
    beside = (*beside, *known)
    if scratch_seconds is not None:
        beside = (*beside, from_scratch(model, seconds=scratch_seconds, progress=_last(progress)))
    overall = estimate(answers, figures.balanced_accuracy)
    learned = _on_learned(model, rule)
    enough = claimed(*_kinds(answers))
    evaluation = Evaluation(
        images=len(test),
        groups=len(set(answers.groups)),
        claimed=enough,
        model_sha256=record.model_sha256,
        accuracy=estimate(answers, figures.accuracy),
        balanced_accuracy=overall,
        recall_good=estimate(answers, figures.recall_good),
        recall_defect=estimate(answers, figures.recall_defect),
        learned=learned,
        auroc=estimate(answers, figures.area),
        average_precision=estimate(answers, figures.average_precision),
        macro_f1=estimate(answers, figures.macro_f1),
        cost_per_part=estimate(answers, figures.cost_per_part),
        smallest_difference=figures.smallest_difference(answers),
        classes=figures.class_figures(answers),
        confusion=figures.confusion(answers),
        calibration=figures.calibration(answers),
        tasks=judge_tasks(model.module, model.snapshot, spec, rule.good_labels) if record.tasks else None,
        slices=parts,
        columns=columns,
        faults=faults,
        foreign=strangers,
        baselines=beside,
        curve=curve,
        failures=_failures(answers),
        warnings=(
            *_too_few(answers),
            *(_by_heart(overall, learned) if enough else ()),
            *_behind(overall, parts),
            *_breaks(faults),
            *_fooled(strangers),
            *_ties(overall, differs(beside), enough),
        ),
    )
    progress("done", 1.0)
    return evaluation


def _last(progress: Progress) -> Progress:
    """The training from scratch comes after all else and takes longer: its own fraction is shown in its stage."""
    return lambda stage, fraction, note="": progress("from scratch", 0.97, f"{stage} {fraction:.0%} {note}".rstrip())


def _answer(
    model: TrainedModel, examples: Sequence[Example], spec: Preprocessing, fault: str = "", severity: int = 0
) -> NDArray[np.float64]:
    """Probabilities [n, k], of the images as they are or under a fault."""
    logits = []
    with torch.inference_mode():
        size = max(1, _BATCH // spec.inputs)
        for start in range(0, len(examples), size):
            images = [decode(example.path.read_bytes(), spec) for example in examples[start : start + size]]
            if fault:
                images = [befall(image, fault, severity, seed=start + n) for n, image in enumerate(images)]
            batch = torch.from_numpy(np.concatenate([prepare(image, spec) for image in images]))
            batch = batch.to(device_of(model.module), memory_format=torch.channels_last)
            logits.append(model.module(batch)[0].cpu())
    return np.asarray((torch.cat(logits) / model.record.temperature).double().softmax(1).numpy())


def _on_learned(model: TrainedModel, rule: Rule) -> Estimate:
    """Balanced accuracy on some of the images that the model was trained on."""
    train = model.snapshot.of("train")
    some = train[:: max(1, -(-len(train) // _LEARNED_IMAGES))]
    return estimate(Answers(some, _answer(model, some, model.record.preprocessing), rule), figures.balanced_accuracy)


def _under_faults(model: TrainedModel, answers: Answers, progress: Progress) -> tuple[UnderFault, ...]:
    rows = sorted(random.Random(0).sample(range(len(answers.examples)), min(len(answers.examples), _FAULTED_IMAGES)))
    chosen = answers.rows(rows)
    everything = np.arange(len(rows))
    plain = figures.balanced_accuracy(chosen, everything)
    found = []
    kinds = [(fault, severity) for fault in FAULTS for severity in (1, 2, 3)]
    for number, (fault, severity) in enumerate(kinds):
        progress("testing under faults", 0.1 + 0.6 * number / len(kinds), f"{fault} {severity}")
        said = _answer(model, chosen.examples, model.record.preprocessing, fault, severity)
        value = figures.balanced_accuracy(Answers(chosen.examples, said, chosen.rule), everything)
        lost = None if value is None or plain is None else plain - value
        found.append(UnderFault(fault=fault, severity=_severity(severity), balanced_accuracy=value, lost=lost))
    return tuple(found)


def _failures(answers: Answers) -> tuple[Failure, ...]:
    """Where a part would be let through or stopped wrongly, or is given another class: surest first."""
    said = answers.probabilities.argmax(1)
    wrong = np.flatnonzero((answers.stopped != answers.defect) | (said != answers.true))
    surest = wrong[np.argsort(answers.probabilities[wrong, answers.true[wrong]], kind="stable")][:_MOST_FAILURES]
    return tuple(
        Failure(
            path=str(answers.examples[row].path),
            label=answers.examples[row].label,
            answered=answers.rule.labels[int(said[row])],
            defect_score=float(np.clip(answers.scores[row], 0.0, 1.0)),
        )
        for row in surest
    )


def _kinds(answers: Answers) -> tuple[int, int]:
    """Good and defective images."""
    return int((~answers.defect).sum()), int(answers.defect.sum())


def _too_few(answers: Answers) -> list[str]:
    fewest, groups = min(_kinds(answers)), len(set(answers.groups))
    found = []
    if fewest < FEWEST:
        found.append(
            f"The test holds only {fewest} images of one kind: no accuracy is claimed. {FEWEST} of good and of defect "
            "each would do."
        )
    if groups < _FEWEST_GROUPS:
        found.append(
            f"The test has {groups} groups, fewer than {_FEWEST_GROUPS}: intervals are too narrow, or not there at all."
        )
    return found


def _by_heart(overall: Estimate, learned: Estimate) -> list[str]:
    """Where images that were trained on are answered much better than the test: more than its interval explains."""
    if overall.value is None or overall.high is None or learned.value is None:
        return []
    if learned.value - overall.value <= _BY_HEART or learned.value <= overall.high:
        return []
    return [
        f"Knows its training images by heart: balanced accuracy {learned.value:.2f} on them and {overall.value:.2f} on "
        "the test. More images, or a strategy that learns less of the network, would help."
    ]


def _behind(overall: Estimate, parts: Sequence[Slice]) -> list[str]:
    """Only slices whose whole interval lies below what is reached overall."""
    if overall.value is None:
        return []
    return [
        f"Worse where {part.column} is {part.value!r}: balanced accuracy {part.balanced_accuracy.value:.2f} "
        f"on {part.images} images, {overall.value:.2f} overall."
        for part in parts
        if part.balanced_accuracy.high is not None
        and part.balanced_accuracy.high < overall.value
        and (part.balanced_accuracy.value or 0.0) < overall.value - _BEHIND
    ]


def _breaks(faults: Sequence[UnderFault]) -> list[str]:
    return [
        f"Breaks under light {found.fault}: {found.lost:.0%} of balanced accuracy lost."
        + (f" Show it in training: --jitter {_SHOWN[found.fault]}." if found.fault in _SHOWN else "")
        for found in faults
        if found.severity == 1 and found.lost is not None and found.lost > _BREAKS
    ]


def _fooled(strangers: Sequence[Foreign]) -> list[str]:
    """Where pictures without a part pass, and not even their distance gives them away."""
    return [
        f"Of pictures without a part ({found.kind}) {found.unnoticed:.0%} are called good and do not stand out either: "
        "see that the station's checks of the image refuse them."
        for found in strangers
        if found.unnoticed > _PASSES
    ]


def _ties(overall: Estimate, beside: Sequence[Baseline], enough: bool) -> list[str]:
    """Where something simpler lies within the model's own interval."""
    near = [
        (item.name, item.balanced_accuracy.value)
        for item in beside
        if item.balanced_accuracy.value is not None
        and overall.low is not None
        and item.balanced_accuracy.value >= overall.low
    ]
    if not enough:
        names = ", ".join(repr(name) for name, _ in near)
        return [f"On so few images it cannot be told from {names}."] if near else []
    return [
        f"On these images it cannot be told from {name!r}: {figure(overall)} against {value:.3f}."
        for name, value in near
    ]


def _severity(number: int) -> Literal[1, 2, 3]:
    return cast(Literal[1, 2, 3], number)
