"""Pictures that show no part of this product: whether the model lets them through, and whether they stand out to the
drift reference of a bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from contracts.errors import DatasetError
from drift.vector import VectorReference, fit_reference
from runtime.decision import Rule, defect_scores
from runtime.preprocessing import prepare
from trainer.dataset import IMAGE_SUFFIXES, Example
from trainer.device import device_of
from trainer.evaluation.report import Foreign
from trainer.image import pixels_of
from trainer.trained import TrainedModel

Pixels = NDArray[np.uint8]  # [h, w, 3]

_COMPONENTS = 16  # of the reference, as an export has them
_TAUGHT, _TRIED = 300, 60  # images
_ATYPICAL = 0.99  # quantile of the test images' distances, beyond which an image stands out
YOUR_OWN = "your pictures"


def _dark(image: Pixels, rng: np.random.Generator) -> Pixels:
    return _clipped(rng.normal(6, 3, image.shape))


def _empty(image: Pixels, rng: np.random.Generator) -> Pixels:
    return _clipped(image.mean((0, 1)) + rng.normal(0, 3, image.shape))


def _scrambled(image: Pixels, rng: np.random.Generator) -> Pixels:
    """The same spectrum with random phases, the same for all channels: texture without a part."""
    turns = np.angle(np.fft.fft2(rng.random(image.shape[:2])))[..., None]
    spectrum = np.fft.fft2(image.astype(np.float64), axes=(0, 1))
    return _clipped(np.fft.ifft2(spectrum * np.exp(1j * turns), axes=(0, 1)).real)


def _clipped(values: NDArray[np.float64]) -> Pixels:
    return np.clip(values, 0, 255).astype(np.uint8)


KINDS: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "no light": _dark,
    "nothing in view": _empty,
    "scrambled parts": _scrambled,
}
"""Made from test images."""


@dataclass(frozen=True)
class _Answer:
    """Of one image: logits [k], embedding [d]."""

    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]


def judge_foreign(model: TrainedModel, pictures: Sequence[Path] = ()) -> tuple[Foreign, ...]:
    """The share let through, and the share that lies farther from the training images than 99 % of the test images do
    (None where a reference cannot be fitted), for each of `KINDS` and for the given pictures. Raises DatasetError for a
    picture that cannot be read."""
    spec = model.record.preprocessing
    test = [pixels_of(example.path, spec) for example in _some(model.snapshot.of("test"), _TRIED)]
    distance = _distance(model)
    sets = {
        name: [make(image, np.random.default_rng(number)) for number, image in enumerate(test)]
        for name, make in KINDS.items()
    }
    if pictures:
        sets[YOUR_OWN] = [pixels_of(path, spec) for path in pictures]
    limit = np.inf
    if distance is not None:
        limit = float(np.quantile([distance(image, answer) for image, answer in _answers(model, test)], _ATYPICAL))
    found = []
    for name, images in sets.items():
        answers = list(_answers(model, images))
        passed = np.array([_passes(model, answer) for _, answer in answers])
        beyond = np.array([distance is not None and distance(image, answer) > limit for image, answer in answers])
        found.append(
            Foreign(
                kind=name,
                images=len(images),
                let_through=float(passed.mean()),
                stands_out=None if distance is None else float(beyond.mean()),
                unnoticed=float((passed & ~beyond).mean()),
            )
        )
    return tuple(found)


def pictures_in(folder: Path) -> list[Path]:
    """The image files of a folder and its sub-folders. Raises DatasetError where there is none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise DatasetError(f"{folder} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    return found


def _distance(model: TrainedModel) -> Callable[[Pixels, _Answer], float] | None:
    """Mahalanobis distance from the training images of the answered class, as a station measures it."""
    spec, record = model.record.preprocessing, model.record
    taught = [pixels_of(example.path, spec) for example in _some(model.snapshot.of("train"), _TAUGHT)]
    answers = [answer for _, answer in _answers(model, taught)]
    logits = np.stack([answer.logits for answer in answers])
    try:
        arrays = fit_reference(
            np.stack([answer.embedding for answer in answers]), logits, logits.argmax(1), components=_COMPONENTS
        )
    except ValueError:
        return None
    reference = VectorReference.of(arrays)
    place = reference.names(record.labels).index("mahalanobis")
    return lambda image, answer: float(reference.vector(image, answer)[place])


def _answers(model: TrainedModel, images: Sequence[Pixels]) -> Iterator[tuple[Pixels, _Answer]]:
    for image in images:
        with torch.inference_mode():
            inputs = torch.from_numpy(prepare(image, model.record.preprocessing)).to(device_of(model.module))
            logits, embedding = model.module(inputs)
        yield image, _Answer(logits[0].cpu().numpy(), embedding[0].cpu().numpy())


def _passes(model: TrainedModel, answer: _Answer) -> bool:
    record = model.record
    rule = Rule(record.labels, record.good_labels, record.thresholds)
    scaled = torch.from_numpy(answer.logits / record.temperature).double().softmax(0).numpy()
    return bool(defect_scores(scaled[np.newaxis], rule)[0] < record.thresholds.review_from)


def _some(examples: Sequence[Example], most: int) -> Sequence[Example]:
    return examples[:: max(1, -(-len(examples) // most))]
