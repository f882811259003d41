"""The way of an export through quantisation-aware training, and whether its file is the better one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from contracts.errors import BundleError
from exporter.qat.learn import Learned, learn, lesson_of, network_of
from exporter.qat.settings import QatSettings
from exporter.qat.write import SYMMETRIC, write_symmetric, write_x86
from exporter.source import Labelled, Source, tensors
from runtime.session import Session
from trainer.network import Everything
from trainer.rounds.lesson import Lesson
from trainer.threshold import best_temperature

Way = Literal["ptq", "qat", "auto"]
PTQ, QAT, WHOLE = "ptq", "qat", "qat, whole range"
_WHOLE_RANGE_GAIN = 0.002  # of the accuracy, from which on a second calibration is worth having


@dataclass(frozen=True)
class Judged:
    """A file on the validation images: the trainer's loss at the best temperature, and the share that is right."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Choice:
    """Which file was taken, why, and how each was judged."""

    taken: str
    reason: str
    judged: Mapping[str, Judged]


def quantise_by_training(
    source: Source, int8: Path, scratch: Path, *, way: Way, settings: QatSettings, calibration: int,
    tell: Callable[[str], None],
) -> Choice:  # fmt: skip
    """Learn, write, and put the better file in the place of `int8`, which plain quantisation (PTQ) made.

    `qat` replaces it in any case, `auto` only where the validation images are answered with a lower loss. The test
    images decide nothing. Raises BundleError where the way is `qat` and the source is no training run.
    """
    try:
        network_of(source)
    except BundleError as error:
        if way == QAT:
            raise
        return _told(Choice(PTQ, f"plain quantisation stays: {error}", {}), tell)
    if way == "auto" and not source.validation:
        return _told(Choice(PTQ, "plain quantisation stays: no validation image could tell what is better", {}), tell)
    learned, made = candidates(source, scratch, settings=settings, calibration=calibration, tell=tell)
    files = {PTQ: int8, **made}
    judged = judge(source, files) if source.validation else {}
    choice = choose(judged, way, learned=learned.tuned.best.step > 0)
    if choice.taken != PTQ:
        shutil.copyfile(files[choice.taken], int8)
    return _told(choice, tell)


def choose(judged: Mapping[str, Judged], way: Way, *, learned: bool) -> Choice:
    """From how the files were judged to the one that is taken. `auto` keeps plain quantisation where nothing was
    `learned` (the start had the lowest loss: what differs then is chance) and where no trained file has a lower loss;
    of two calibrations of the same weights the second is taken only where it is right more often by 0.2 points."""
    if not judged:
        return Choice(QAT, "trained with rounding; no validation image could judge it", judged)
    said = ", ".join(f"{name} {each.loss:.4f} ({each.accuracy:.1%} right)" for name, each in judged.items())
    better = {name for name in (QAT, WHOLE) if way == "qat" or (learned and judged[name].loss < judged[PTQ].loss)}
    if judged[WHOLE].accuracy - judged[QAT].accuracy <= _WHOLE_RANGE_GAIN:
        better -= {WHOLE}
    if not better:
        return Choice(PTQ, f"plain quantisation stays, training with rounding brought nothing: loss {said}", judged)
    return Choice(WHOLE if WHOLE in better else QAT, f"trained with rounding: loss {said}", judged)


def judge(source: Source, files: Mapping[str, Path]) -> dict[str, Judged]:
    """Each int8 file on the validation images, through the runtime that will serve it."""
    lesson = lesson_of(source, source.validation)
    wanted = [source.labels.index(example.label) for example in source.validation]
    return {name: _judge(source, file, lesson, wanted) for name, file in files.items()}


def _judge(source: Source, file: Path, lesson: Lesson, wanted: list[int]) -> Judged:
    logits = logits_of(source, file, source.validation)
    _, loss = best_temperature(torch.from_numpy(logits), lesson.targets, lesson.weights)
    return Judged(loss, float((logits.argmax(1) == np.array(wanted)).mean()))


def logits_of(source: Source, file: Path, examples: Sequence[Labelled]) -> NDArray[np.float32]:
    """[n, k] float32, what the file answers to images as a station would ask it."""
    session = Session.of_model(file.read_bytes(), variant=file.stem, signature=source.signature)
    return np.stack([session.infer(tensor).logits for tensor in tensors(examples, source.preprocessing)])


def candidates(
    source: Source, scratch: Path, *, settings: QatSettings, calibration: int, tell: Callable[[str], None]
) -> tuple[Learned, dict[str, Path]]:
    """What was learned, and its files for x86 by name; the symmetric graph lies beside them as `SYMMETRIC`."""
    tell("training with the rounding of int8")
    learned = learn(
        source, settings, calibration=calibration, tick=lambda done: tell(f"training with rounding: {done:.0%}")
    )
    module = Everything(learned.network) if isinstance(source.module, Everything) else learned.network
    symmetric, same, whole = (scratch / name for name in (SYMMETRIC, "same.onnx", "whole.onnx"))
    write_symmetric(module, source.signature, symmetric)
    write_x86(symmetric, same)
    write_x86(symmetric, whole, whole_range=True)
    return learned, {QAT: same, WHOLE: whole}


def _told(choice: Choice, tell: Callable[[str], None]) -> Choice:
    tell(choice.reason)
    return choice
