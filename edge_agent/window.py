"""Telemetry windows: sums over the images of one camera x product x bundle. Values in, values out; no I/O, no clock.

A window ends when the frame clock has moved on by `seconds`, or after `images` frames where that is set, and when
another bundle, or another runtime of the same one, takes over its camera and product.
"""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from contracts.frame import Decision
from contracts.telemetry import CONFIDENCE_EDGES, LATENCY_EDGES_SECONDS, Histogram, ShadowSummary, Window
from drift.window import rounded
from edge_agent.inspection import Inspection

SENT_DIGITS = 10
"""Of sums: a spread is left when a mean's square, some hundred times as large, is taken off."""


class WindowKey(NamedTuple):
    """What a window never mixes."""

    camera: str
    product: str
    bundle_hash: str


@dataclass
class ShadowSums:
    """What the shadow bundle answered on images of a window."""

    bundle_hash: str
    images: int = 0
    agreements: int = 0
    failures: int = 0
    latency_seconds_sum: float = 0.0
    decisions: dict[str, int] = field(default_factory=dict)

    def add(self, answer: ShadowAnswer) -> None:
        """Count one answer."""
        self.images += 1
        if answer.decision is None:
            self.failures += 1
            return
        self.agreements += answer.decision == answer.active_decision
        self.latency_seconds_sum += answer.latency_seconds
        self.decisions[answer.decision] = self.decisions.get(answer.decision, 0) + 1

    def summary(self) -> ShadowSummary:
        """As telemetry carries it."""
        return ShadowSummary.model_validate(asdict(self))


@dataclass(frozen=True)
class ShadowAnswer:
    """The shadow bundle's answer on one image; `decision` None where it had none."""

    key: WindowKey
    shadow_hash: str
    active_decision: Decision
    decision: Decision | None
    latency_seconds: float


@dataclass
class WindowSums:
    """One window while it is open. Times are seconds since 1970 of the frame clock."""

    camera: str
    product: str
    bundle_hash: str
    vector_names: list[str]
    started_at: float
    ended_at: float
    first_frame: int
    last_frame: int
    frames: int = 0
    images: int = 0
    vector_sum: list[float] = field(default_factory=list)
    vector_square_sum: list[float] = field(default_factory=list)
    decisions: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    confidence: list[int] = field(default_factory=lambda: [0] * (len(CONFIDENCE_EDGES) - 1))
    latency: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_EDGES_SECONDS) - 1))
    latency_seconds_sum: float = 0.0
    dropped_images: int = 0
    shadow: ShadowSums | None = None
    runtime: str = ""  # target and version that answered; empty in the state of older agents
    idle_frames: int = 0  # frames of this camera since the last one of this window's product
    size: list[int] | None = None  # width and height of its pictures, before any decoding with fewer pixels
    sizes_differ: bool = False

    def add(self, inspection: Inspection, lost: int) -> None:
        """Count one image; `lost` frames are missing just before it."""
        verdict, frame = inspection.verdict, inspection.verdict.frame
        moment = frame.triggered_at.timestamp()
        self.started_at, self.ended_at = min(self.started_at, moment), max(self.ended_at, moment)
        self.first_frame, self.last_frame = min(self.first_frame, frame.sequence), max(self.last_frame, frame.sequence)
        self.frames += 1
        self.idle_frames = 0
        self.dropped_images += lost
        self.decisions[verdict.decision.value] = self.decisions.get(verdict.decision.value, 0) + 1
        if inspection.vector is not None and inspection.confidence is not None and verdict.label is not None:
            self._add_answer(inspection.vector.tolist(), inspection.confidence, verdict.label)
            self._add_latency(verdict.latency_seconds or 0.0)
            self._add_size(inspection.size)

    def _add_answer(self, vector: list[float], confidence: float, label: str) -> None:
        self.images += 1
        if not self.vector_sum:
            self.vector_sum = self.vector_square_sum = [0.0] * len(vector)
        self.vector_sum = [a + x for a, x in zip(self.vector_sum, vector, strict=True)]
        self.vector_square_sum = [a + x * x for a, x in zip(self.vector_square_sum, vector, strict=True)]
        self.labels[label] = self.labels.get(label, 0) + 1
        self.confidence[_bin(CONFIDENCE_EDGES, confidence)] += 1

    def _add_size(self, size: tuple[int, int] | None) -> None:
        if size is None or self.sizes_differ:
            return
        if self.size is not None and self.size != list(size):
            self.size, self.sizes_differ = None, True
        else:
            self.size = list(size)

    def _add_latency(self, seconds: float) -> None:
        self.latency[_bin(LATENCY_EDGES_SECONDS, seconds)] += 1
        self.latency_seconds_sum += seconds

    def add_shadow(self, answer: ShadowAnswer) -> None:
        """Count one answer of the shadow bundle; another shadow starts anew."""
        if self.shadow is None or self.shadow.bundle_hash != answer.shadow_hash:
            self.shadow = ShadowSums(answer.shadow_hash)
        self.shadow.add(answer)

    def message(self, runtime: str) -> Window:
        """As telemetry carries it; `runtime` where the window does not know its own."""
        zeros = (0.0,) * len(self.vector_names)
        return Window(
            camera=self.camera,
            product=self.product,
            bundle_hash=self.bundle_hash,
            runtime=self.runtime or runtime,
            started_at=datetime.fromtimestamp(self.started_at, UTC),
            ended_at=datetime.fromtimestamp(self.ended_at, UTC),
            first_frame=self.first_frame,
            last_frame=self.last_frame,
            images=self.images,
            vector_names=tuple(self.vector_names),
            vector_sum=rounded(self.vector_sum, SENT_DIGITS) or zeros,
            vector_square_sum=rounded(self.vector_square_sum, SENT_DIGITS) or zeros,
            decisions={Decision(name): count for name, count in self.decisions.items()},
            labels=self.labels,
            confidence=Histogram(edges=CONFIDENCE_EDGES, counts=tuple(self.confidence)),
            latency=Histogram(edges=LATENCY_EDGES_SECONDS, counts=tuple(self.latency)),
            latency_seconds_sum=self.latency_seconds_sum,
            dropped_images=self.dropped_images,
            shadow=self.shadow.summary() if self.shadow else None,
            size=(self.size[0], self.size[1]) if self.size else None,
        )

    def copy(self) -> WindowSums:
        """One that can be added to while this one stays as it is."""
        copied = replace(self, shadow=None if self.shadow is None else copy.deepcopy(self.shadow))
        for name in ("decisions", "labels", "confidence", "latency"):  # what `add` changes in place
            setattr(copied, name, getattr(self, name).copy())
        return copied

    def state(self) -> dict[str, Any]:
        """For the database; shares its lists with this one."""
        return {**vars(self), "shadow": None if self.shadow is None else asdict(self.shadow)}

    @classmethod
    def of(cls, state: dict[str, Any]) -> WindowSums:
        """From the database."""
        shadow = state.pop("shadow")
        return cls(**state, shadow=ShadowSums(**shadow) if shadow else None)


class Windows:
    """The open windows of all cameras, and the last frame seen of each."""

    def __init__(self, *, seconds: float, images: int | None, runtime: str) -> None:
        self.seconds, self.images, self.runtime = seconds, images, runtime
        self.open: dict[WindowKey, WindowSums] = {}
        self.last_frames: dict[str, int] = {}
        self._borrowed: set[WindowKey] = set()  # windows that still belong to the original of this draft

    def copy(self) -> Windows:
        """A draft to fold a batch into; the original stays as it is until the batch is committed. Windows are copied
        when they are first changed, so that a camera costs nothing while it is silent."""
        draft = Windows(seconds=self.seconds, images=self.images, runtime=self.runtime)
        draft.open = dict(self.open)
        draft.last_frames = dict(self.last_frames)
        draft._borrowed = set(self.open)
        return draft

    def _own(self, key: WindowKey) -> WindowSums | None:
        """The open window of this key, to be changed; None where there is none."""
        if key in self._borrowed:
            self._borrowed.remove(key)
            self.open[key] = self.open[key].copy()
        return self.open.get(key)

    def fold(self, inspection: Inspection, vector_names: Iterable[str], runtime: str | None = None) -> list[Window]:
        """Add one image that `runtime` answered; returns the windows that this ends."""
        runtime = runtime or self.runtime
        frame = inspection.verdict.frame
        key = WindowKey(frame.camera, frame.product, inspection.verdict.bundle_hash or "")
        moment = frame.triggered_at.timestamp()
        ended = [self._end(other) for other in self._outlived(key, moment, runtime)]
        sums = self._own(key)
        if sums is None:
            sums = WindowSums(*key, list(vector_names), moment, moment, frame.sequence, frame.sequence)
            sums.runtime = runtime
            self.open[key] = sums
        sums.add(inspection, self._lost(frame.camera, frame.sequence))
        if self.images is not None and sums.frames >= self.images:
            ended.append(self._end(key))
        return ended

    def fold_shadow(self, answer: ShadowAnswer) -> bool:
        """Add one answer of the shadow bundle to the window of its key; False while none is open."""
        sums = self._own(answer.key)
        if sums is None:
            return False
        sums.add_shadow(answer)
        return True

    def end_all(self, keys: Iterable[WindowKey] | None = None) -> list[Window]:
        """End these windows (all of them by default)."""
        return [self._end(key) for key in list(self.open if keys is None else keys) if key in self.open]

    def _end(self, key: WindowKey) -> Window:
        self._borrowed.discard(key)
        return self.open.pop(key).message(self.runtime)

    def _outlived(self, key: WindowKey, moment: float, runtime: str) -> list[WindowKey]:
        """Windows of this camera that end before the image at hand is counted."""
        outlived = []
        for other in [other for other in self.open if other.camera == key.camera]:
            sums = self._own(other)
            if sums is None:
                continue
            sums.idle_frames += 1
            late = self.images is None and not 0.0 <= moment - sums.started_at < self.seconds
            unused = self.images is not None and sums.idle_frames > self.images
            taken_over = other.bundle_hash != key.bundle_hash or sums.runtime not in ("", runtime)
            if late or unused or (taken_over and other.product == key.product):
                outlived.append(other)
        return outlived

    def _lost(self, camera: str, sequence: int) -> int:
        last = self.last_frames.get(camera)
        self.last_frames[camera] = sequence
        return max(0, sequence - last - 1) if last is not None else 0


def _bin(edges: tuple[float, ...], value: float) -> int:
    return min(max(bisect_right(edges, value) - 1, 0), len(edges) - 2)
