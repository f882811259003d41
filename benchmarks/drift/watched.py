"""Cameras of one line under the monitor's rules, fed with windows of recorded vectors: agent's sums in, actions out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Manifest
from contracts.frame import Decision, OutcomeSource
from contracts.telemetry import CONFIDENCE_EDGES, LATENCY_EDGES_SECONDS, Histogram, Window
from drift.window import VectorSums
from monitor.rules.action import Action, Kind
from monitor.rules.facts import facts_of
from monitor.rules.happening import Happening, LabelSeen, ReleaseServed, WindowSeen
from monitor.rules.model import ModelState, step
from monitor.rules.settings import RuleSettings

START = datetime(2026, 1, 5, tzinfo=UTC)
_RUNTIME = "recorded"

Floats = NDArray[np.floating[Any]]
Taken = TypeVar("Taken", bound=Action)


@dataclass(frozen=True)
class Served:
    """The release that answers."""

    manifest: Manifest
    bundle_hash: str
    names: tuple[str, ...]

    def answers(self, vectors: Floats) -> list[str]:
        """The class that was answered for each vector [n, m]."""
        labels = self.manifest.labels
        shares = vectors[:, [self.names.index(f"class-{label}") for label in labels[1:]]]
        return [labels[0] if row.max() < 0.5 else labels[1 + int(row.argmax())] for row in shares]

    def decision(self, answer: str) -> Decision:
        """What the line is told."""
        return Decision.OK if answer in self.manifest.good_labels else Decision.NG


@dataclass
class WatchedLine:
    """`actions` are all so far. Two lines may go on from one `state`, which is a value."""

    served: Served
    settings: RuleSettings
    state: ModelState = field(default_factory=lambda: ModelState(site="site", product="part"))
    minute: int = 0
    actions: list[Action] = field(default_factory=list)

    def serve(self) -> None:
        """The release becomes active."""
        facts = facts_of(
            self.served.manifest,
            self.served.bundle_hash,
            number=1,
            activated_at=self._now,
            previous=None,
            settings=self.settings,
        )
        self._happen(ReleaseServed(at=self._now, facts=facts))

    def show(self, vectors: Mapping[str, Floats], size: tuple[int, int] | None = None) -> None:
        """The next minute: a window of vectors [n, m] for each camera; `size` of their pictures, where it is one."""
        start = self._now
        self.minute += 1
        for camera, rows in vectors.items():
            window = self._window(camera, start, rows).model_copy(update={"size": size})
            self._happen(WindowSeen(at=self._now, camera=camera, window=window))

    def label(self, camera: str, part: str, truth: str, answer: str) -> None:
        """Somebody says what a part of the last minute is."""
        said = LabelSeen(
            at=self._now,
            camera=camera,
            part_id=part,
            label=truth,
            source=OutcomeSource.DRIFT_SAMPLE,
            decision=self.served.decision(answer),
            bundle_hash=self.served.bundle_hash,
            triggered_at=self._now,
        )
        self._happen(said)

    def diagnosis(self, camera: str) -> Kind | None:
        """What the open incident takes a camera's drift for; None where it is in none."""
        return self.state.incident.cameras.get(camera) if self.state.incident else None

    def of(self, kind: type[Taken]) -> list[Taken]:
        """The actions of one kind so far."""
        return [action for action in self.actions if isinstance(action, kind)]

    @property
    def _now(self) -> datetime:
        return START + timedelta(minutes=self.minute)

    def _happen(self, happening: Happening) -> None:
        self.state, actions = step(self.state, happening, self.settings)
        self.actions += actions

    def _window(self, camera: str, start: datetime, rows: Floats) -> Window:
        sums = VectorSums(self.served.names)
        for row in rows:
            sums.add(row)
        answers = self.served.answers(rows)
        decisions = [self.served.decision(answer) for answer in answers]
        return Window(
            camera=camera.split("/")[1],
            product="part",
            bundle_hash=self.served.bundle_hash,
            runtime=_RUNTIME,
            started_at=start,
            ended_at=self._now,
            first_frame=0,
            last_frame=len(rows) - 1,
            images=len(rows),
            vector_names=self.served.names,
            vector_sum=tuple(sums.total),
            vector_square_sum=tuple(sums.square_total),
            decisions={decision: decisions.count(decision) for decision in set(decisions)},
            labels={label: answers.count(label) for label in set(answers)},
            confidence=Histogram(edges=CONFIDENCE_EDGES, counts=(0,) * (len(CONFIDENCE_EDGES) - 1)),
            latency=Histogram(edges=LATENCY_EDGES_SECONDS, counts=(0,) * (len(LATENCY_EDGES_SECONDS) - 1)),
            latency_seconds_sum=0.0,
        )
