"""One bundle, loaded and ready: image in, verdict and drift vector out. No network, no disk."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from PIL.Image import Image
from safetensors import SafetensorError

from contracts.bundle import DriftReference
from contracts.errors import BundleError
from contracts.frame import Decision, Verdict
from contracts.preprocessing import Preprocessing
from drift.vector import VectorReference
from edge_agent.evidence import Selection
from edge_agent.source import Capture
from runtime.bundle import Bundle
from runtime.decision import Decided, decide
from runtime.preprocessing import ImageError, blackened, prepare, read_image, size_of, visible
from runtime.session import Inference, Session
from runtime.tasks import Found, found
from runtime.thresholds import Deciding, ThresholdBook


@dataclass(frozen=True)
class Inspection:
    """What was found out about one capture. Without a verdict there is neither vector nor confidence."""

    capture: Capture
    verdict: Verdict
    pixels: NDArray[np.uint8] | None = None  # [h, w, 3]; None where the image is unreadable
    vector: NDArray[np.float32] | None = None  # [m]
    confidence: float | None = None  # probability of the answered class, 0..1
    distance: float | None = None  # Mahalanobis, in the embedding's component space
    model_failed: bool = False
    visible: NDArray[np.bool_] | None = None
    """[h, w] where the pixels may be kept; None: everywhere."""
    heat: NDArray[np.float32] | None = None
    """[rows, columns] 0..1 over the whole image: where a defect is likely; for the operator's page alone."""
    size: tuple[int, int] | None = None
    """Width and height of the source image, in pixels of which the verdict's box is; fewer pixels may be decoded."""
    unkept: NDArray[np.uint8] | None = None
    """[h, w, 3] where nothing of a picture may be kept, but whether the camera sees may be asked."""

    @property
    def shown(self) -> NDArray[np.uint8] | None:
        """What the camera showed; None where the image is unreadable."""
        return self.unkept if self.pixels is None else self.pixels

    @property
    def kept(self) -> NDArray[np.uint8] | None:
        """The pixels as they may be stored, sent or shown: black where nothing may be kept."""
        if self.pixels is None or self.visible is None:
            return self.pixels
        return self.pixels * self.visible[:, :, np.newaxis]


_SMALLEST_SIDE = 8  # pixels


class Inspector:
    """Inspects images with one bundle. May be used from several threads at once.

    Raises BundleError where model or drift reference do not load or do not fit the manifest.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        variant: str | None = None,
        threads: int = 1,
        engines: Path | None = None,
        background: bool = False,
    ) -> None:
        self.bundle = bundle
        self.selection: Selection | None = None
        """Why this variant serves, where an agent chose it."""
        self.book = ThresholdBook(bundle.manifest, bundle.hash)
        """Which thresholds decide; replaced as a whole, and looked at once for each image."""
        self.session = Session(bundle, variant=variant, threads=threads, engines=engines, background=background)
        self.runtime = self.session.runtime
        promised = bundle.manifest.drift_reference_of(self.session.variant)
        self.reference = _reference(bundle, promised)
        self.vector_names = self.reference.names(bundle.manifest.labels)
        if self.vector_names != promised.names:
            raise BundleError(
                f"bundle {bundle.hash[:12]}: its drift reference gives {len(self.vector_names)} entries, the manifest "
                f"names {len(promised.names)} others; export it again"
            )
        self._distance_at = self.vector_names.index("mahalanobis")

    def inspect(self, capture: Capture) -> Inspection:
        """The verdict on one capture; NO_VERDICT with the reason where there can be none. Never raises for an image."""
        inspection = self._inspect(capture)
        spec = self.bundle.manifest.preprocessing
        if inspection.pixels is None or not spec.in_source_pixels:
            return inspection
        return replace(inspection, visible=_visible(inspection.pixels, spec))

    def passed_by(self, capture: Capture, reason: str) -> Inspection:
        """What the camera shows, without asking the model: NO_VERDICT, and `reason` says why."""
        verdict, spec = self._no_verdict(capture, reason, 0.0), self.bundle.manifest.preprocessing
        try:
            pixels = self.pixels(capture)
        except ImageError:
            return Inspection(capture, verdict)
        return Inspection(capture, verdict, pixels, visible=_visible(pixels, spec) if spec.in_source_pixels else None)

    def unjudged(self, capture: Capture, reason: str) -> Inspection:
        """No verdict without having looked: nobody knows what the image shows, or what should judge it."""
        return Inspection(capture, self._no_verdict(capture, reason, 0.0))

    def withheld(self, inspection: Inspection, reason: str) -> Inspection:
        """The same without a verdict: the picture cannot be trusted, and `reason` says why."""
        verdict = inspection.verdict
        return Inspection(
            inspection.capture,
            self._no_verdict(inspection.capture, reason, verdict.latency_seconds or 0.0),
            inspection.pixels,
            visible=inspection.visible,
        )

    def _inspect(self, capture: Capture) -> Inspection:
        started = time.perf_counter()
        try:
            image = self._image(capture)
        except ImageError as error:
            return Inspection(capture, self._no_verdict(capture, str(error), _since(started)))
        pixels = np.asarray(image, dtype=np.uint8)
        try:
            inference = self.infer(image)
        except ImageError as error:
            return Inspection(capture, self._no_verdict(capture, str(error), _since(started)), unkept=pixels)
        except BundleError as error:
            failed = self._no_verdict(capture, str(error), _since(started))
            return Inspection(capture, failed, pixels, model_failed=True)
        return self._answer(capture, pixels, inference, started)

    def decide(self, inference: Inference, product: str) -> tuple[Decided, Deciding]:
        """The decision on an image of that product, and what made it."""
        deciding = self.book.of(product)
        return decide(inference.probabilities, deciding.rule), deciding

    def infer(self, pixels: NDArray[np.uint8] | Image, *, limit_seconds: float | None = None) -> Inference:
        """The network's answer for [h, w, 3] pixels. Raises ImageError or BundleError."""
        return self.session.infer(prepare(pixels, self.bundle.manifest.preprocessing), limit_seconds=limit_seconds)

    def pixels(self, capture: Capture) -> NDArray[np.uint8]:
        """[h, w, 3] of a capture as this bundle needs them; what it hides is black from here on. Raises ImageError."""
        return np.asarray(self._image(capture), dtype=np.uint8)

    def _image(self, capture: Capture) -> NDArray[np.uint8] | Image:
        """The same as it came, or as Pillow holds it where it was decoded and nothing is hidden."""
        image, spec = capture.image, self.bundle.manifest.preprocessing
        if isinstance(image, bytes):
            read = read_image(image, spec)
            _check_sides(*read.size)
            return blackened(np.asarray(read, dtype=np.uint8), spec) if spec.hides else read
        _check_sides(image.shape[1], image.shape[0])
        return blackened(image, spec)

    def _answer(self, capture: Capture, pixels: NDArray[np.uint8], inference: Inference, started: float) -> Inspection:
        manifest = self.bundle.manifest
        decided, deciding = self.decide(inference, capture.frame.product)
        vector = self.reference.vector(pixels, inference)
        stopped, spec = decided.decision is not Decision.OK, manifest.preprocessing
        size = _size(capture, spec)
        beside = Found() if manifest.tasks is None else found(inference, manifest.tasks, spec, size, stopped=stopped)
        scores = {label: float(p) for label, p in zip(manifest.labels, inference.probabilities, strict=True)}
        verdict = Verdict(
            frame=capture.frame,
            decision=decided.decision,
            label=decided.label,
            scores=scores,
            defect_score=decided.defect_score,
            threshold=deciding.rule.thresholds.ng,
            review_from=deciding.rule.thresholds.review_from,
            thresholds_number=deciding.number,
            severity=beside.severity,
            box=beside.box,
            bundle_hash=self.bundle.hash,
            latency_seconds=_since(started),
        )
        return Inspection(
            capture,
            verdict,
            pixels,
            vector,
            confidence=max(scores.values()),
            distance=float(vector[self._distance_at]),
            heat=beside.heat,
            size=size,
        )

    def _no_verdict(self, capture: Capture, reason: str, seconds: float) -> Verdict:
        return Verdict(
            frame=capture.frame,
            decision=Decision.NO_VERDICT,
            threshold=self.book.of(capture.frame.product).rule.thresholds.ng,
            bundle_hash=self.bundle.hash,
            latency_seconds=seconds,
            reason=reason[:500],
        )


def _check_sides(width: int, height: int) -> None:
    if min(width, height) < _SMALLEST_SIDE:
        raise ImageError(f"an image of {width} x {height} pixels shows nothing; send a larger one")


def _since(started: float) -> float:
    return time.perf_counter() - started


def _reference(bundle: Bundle, promised: DriftReference) -> VectorReference:
    name = promised.file
    try:
        arrays = safetensors.numpy.load(bundle.read(name))
    except (SafetensorError, ValueError) as error:
        raise BundleError(
            f"{name} of bundle {bundle.hash[:12]} is not a drift reference: {error}; export it again"
        ) from error
    reference = VectorReference.of(arrays, source=f"{name} of bundle {bundle.hash[:12]}")
    if reference.projection.shape[0] != promised.embedding_width:
        raise BundleError(f"{name} of bundle {bundle.hash[:12]} does not fit the embedding; export it again")
    return reference


def _size(capture: Capture, spec: Preprocessing) -> tuple[int, int]:
    """Width and height of the source image; a large JPEG is decoded with fewer pixels."""
    image = capture.image
    return size_of(image, spec) if isinstance(image, bytes) else (image.shape[1], image.shape[0])


def _visible(pixels: NDArray[np.uint8], spec: Preprocessing) -> NDArray[np.bool_] | None:
    """Where the named places do not fit the image, nobody knows what it shows: nothing of it may be kept."""
    try:
        return visible(pixels.shape[1], pixels.shape[0], spec)
    except ImageError:
        return np.zeros(pixels.shape[:2], dtype=np.bool_)
