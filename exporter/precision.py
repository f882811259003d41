"""The story of the int8 file: ranges -> best calibrator -> corrected biases -> what is lost -> layers left in float.

Nothing here sees the test split: ranges come from training images, their comparison from calibration images held out
of them, the loss from validation images (and training images that calibrated nothing, where those are too few).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from contracts.quantisation import CalibratorError, LayerError, Quantisation
from exporter.bias_correction import correct_biases
from exporter.graph import quiet, shrink_file
from exporter.mixed import Loss, loss, search
from exporter.quantise import OPERATORS, sensitive_stem, simplify, write_int8
from exporter.ranges import Ranges, observe, ranges
from exporter.sensitivity import Layer, called, logit_error, logits, sensitivity, shares
from exporter.settings import ExportSettings
from exporter.source import Inputs, Labelled, Source, balanced, some, tensors
from runtime.decision import defect_scores
from runtime.session import Session

_HELD_OUT_SHARE, _HELD_OUT_MOST = 4, 16


def make_int8(
    source: Source, fp32: Path, out: Path, scratch: Path, *, settings: ExportSettings,
    tell: Callable[[str], None] = lambda _: None,
) -> Quantisation:  # fmt: skip
    """Write `out`, the int8 file of `fp32`; returns how it was made and what was measured on the way. Raises
    BundleError where it shall be trained and the source is no training run."""
    simplified = scratch / "simplified.onnx"
    simplify(fp32, simplified)
    stem = sensitive_stem(simplified) if settings.float_stem else []
    chosen = balanced(source.train, settings.calibration_images + _HELD_OUT_MOST, seed=settings.seed)
    compared, reached = _calibrated(source, simplified, chosen, stem, scratch, settings)
    jury = _Jury.of(source, fp32, chosen, settings)
    few = list(tensors(chosen[: settings.correction_images], source.preprocessing))

    def attempt(keep_float: Collection[str]) -> Loss:
        write_int8(simplified, out, reached, keep_float={*stem, *keep_float}, weight_bits=settings.weight_bits)
        correct_biases(simplified, out, few)
        return jury.loss(out)

    found, kept, layers = attempt(()), list[Layer](), list[Layer]()
    if settings.sensitivity or not found.within(settings.max_drop):
        some_images = Inputs(chosen[-_HELD_OUT_MOST:], source.preprocessing)
        layers = sensitivity(simplified, reached, some_images, weight_bits=settings.weight_bits)
    if not found.within(settings.max_drop):
        others = [layer for layer in layers if layer.name not in stem]
        kept, found = search(others, attempt, most=settings.max_drop, budget=settings.float_budget)
    shrink_file(out)
    graph = onnx.load(simplified).graph
    known, names = called(graph), {*stem, *(layer.name for layer in kept)}
    plain = Quantisation(
        weight_bits=settings.weight_bits,
        calibrator=min(compared, key=lambda each: each.error).calibrator if compared else settings.calibrators[0],
        calibrators=compared,
        **_in_float(graph, names),
        drop=found.drop,
        drop_error=found.error,
        max_drop=settings.max_drop,
        images=len(jury.examples),
        reasons=_reasons(found, settings, len(jury.examples)),
        layers=tuple(
            LayerError(name=known[each.name], error=each.error, share=each.share, kept_float=each.name in names)
            for each in sorted(layers, key=lambda each: -each.error)
        ),
    )
    if settings.quantisation == "ptq":
        return plain
    learned = _trained_on(source, out, scratch, plain, jury, settings, tell)
    kept_stem = settings.learning.float_stem and learned.way == "qat"
    return learned.model_copy(update=_in_float(graph, stem)) if kept_stem else learned


def _in_float(graph: onnx.GraphProto, nodes: Collection[str]) -> dict[str, Any]:
    """What a manifest says of the convolutions among these nodes of a simplified graph."""
    share, known = shares(graph), called(graph)
    names = [name for name in share if name in nodes]
    return {
        "kept_float": tuple(known[name] for name in names), "float_share": min(1.0, sum(share[name] for name in names)),
    }  # fmt: skip


def _trained_on(
    source: Source, out: Path, scratch: Path, plain: Quantisation, jury: _Jury, settings: ExportSettings,
    tell: Callable[[str], None],
) -> Quantisation:  # fmt: skip
    """What comes of training on with the rounding, which takes the place of the `plain` file where it shall."""
    with quiet():  # torchao takes seconds to import, for others in vain, and tells of kernels it could not load
        from exporter.qat.route import PTQ, quantise_by_training

    choice = quantise_by_training(
        source, out, scratch, way=settings.quantisation, settings=settings.learning,
        calibration=settings.calibration_images, tell=tell,
    )  # fmt: skip
    if choice.taken == PTQ:
        return plain.model_copy(update={"way_reason": choice.reason})
    found = jury.loss(out)
    return Quantisation(
        way="qat",
        way_reason=choice.reason,
        calibrator="learned",
        drop=found.drop,
        drop_error=found.error,
        max_drop=settings.max_drop,
        images=plain.images,
        reasons=_reasons(found, settings, plain.images),
    )


def _calibrated(
    source: Source,
    simplified: Path,
    chosen: Sequence[Labelled],
    stem: Collection[str],
    scratch: Path,
    settings: ExportSettings,
) -> tuple[tuple[CalibratorError, ...], Ranges]:
    """What every calibrator costs on the last images of `chosen`, and the ranges of the best, from the others. Nothing
    is compared where there are too few images, or one calibrator."""
    held_out = min(_HELD_OUT_MOST, len(chosen) // _HELD_OUT_SHARE) if len(settings.calibrators) > 1 else 0
    seen, unseen = chosen[: len(chosen) - held_out], chosen[len(chosen) - held_out :]
    observed = observe(simplified, Inputs(seen, source.preprocessing), OPERATORS)
    if len(unseen) < 2:
        return (), ranges(observed, settings.calibrators[0])
    judges = list(tensors(unseen, source.preprocessing))
    goal = logits(simplified.read_bytes(), judges)
    candidates = {name: ranges(observed, name) for name in settings.calibrators}
    compared = []
    for name, reached in candidates.items():
        write_int8(simplified, scratch / "candidate.onnx", reached, keep_float=stem, weight_bits=settings.weight_bits)
        error = logit_error(logits((scratch / "candidate.onnx").read_bytes(), judges), goal)
        compared.append(CalibratorError(calibrator=name, error=error))
    best = min(compared, key=lambda each: each.error).calibrator
    return tuple(compared), next(reached for name, reached in candidates.items() if name == best)


def _reasons(found: Loss, settings: ExportSettings, images: int) -> tuple[str, ...]:
    if found.within(settings.max_drop):
        return ()
    return (
        f"balanced accuracy falls by {found.drop:.1%} (standard error {found.error:.1%}) on {images} held-out images, "
        f"more than {settings.max_drop:.1%}, with up to {settings.float_budget:.0%} of the multiplications in float",
    )


@dataclass(frozen=True)
class _Jury:
    """Images that neither calibrated nor test, and on which of them [n] float decides right."""

    source: Source
    examples: list[Labelled]
    right: NDArray[np.bool_]

    @classmethod
    def of(cls, source: Source, fp32: Path, calibrated: Sequence[Labelled], settings: ExportSettings) -> _Jury:
        """Validation images, filled up from the training images not in `calibrated`; those where there is no other."""
        used = {example.path for example in calibrated}
        known = [example for example in source.validation if example.label in source.labels]
        examples = some(known, settings.search_images, seed=settings.seed)
        rest = [example for example in source.train if example.path not in used]
        examples += some(rest, settings.search_images - len(examples), seed=settings.seed)
        empty = cls(source, examples or list(calibrated), np.zeros(0, bool))
        return cls(source, empty.examples, empty._right(fp32))

    def loss(self, int8: Path) -> Loss:
        """Of this file."""
        return loss(self._right(int8), self.right, self._defect())

    def _defect(self) -> NDArray[np.bool_]:
        return np.array([example.label not in self.source.good_labels for example in self.examples])

    def _right(self, file: Path) -> NDArray[np.bool_]:
        """Where the decision on the part is right."""
        source = self.source
        session = Session.of_model(
            file.read_bytes(), variant=file.name, signature=source.signature, temperature=source.temperature
        )
        inputs = Inputs(self.examples, source.preprocessing)
        scores = defect_scores(np.stack([session.infer(each).probabilities for each in inputs]), source)
        right: NDArray[np.bool_] = (scores >= source.thresholds.review_from) == self._defect()
        return right
