"""One model's rules with everything around them planted: cameras whose drift is known, labels, people, candidates.

Every step goes through JSON, as it does in a monitor that is killed after each commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

import numpy as np

from contracts.frame import Decision, OutcomeSource
from contracts.telemetry import CONFIDENCE_EDGES, LATENCY_EDGES_SECONDS, Histogram, Window
from drift.vector import group_of, vector_names
from monitor.rules.action import Action, OrderRetrain, Phase
from monitor.rules.facts import BundleFacts
from monitor.rules.happening import CandidateMoved, Happening, LabelSeen, PersonSaid, ReleaseServed, Tick, WindowSeen
from monitor.rules.incident import Incident
from monitor.rules.model import ModelState, step
from monitor.rules.reason import because
from monitor.rules.settings import RuleSettings

LABELS = ("good", "pit", "scratch")
NAMES = vector_names(LABELS, 2)
IMAGES = 100
START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
A, B = "agent/cam-a", "agent/cam-b"
SETTINGS = RuleSettings(
    commissioning_windows=40,
    commissioning_most_windows=40,
    commissioning_cycle_hours=0,
    settle_minutes=0,
    retrain_labels=200,
)

Moved = Literal["image", "embedding", "class"]
ActionT = TypeVar("ActionT", bound=Action)

_BEFORE = {"mean": 0.4, "contrast": 0.2, "sharpness": 2.0, "evenness": 0.4, "focus-evenness": 0.3}
_SIGMA = 0.01


def bundle_hash(number: int) -> str:
    """Hash of the planted bundle with that release number."""
    return f"{number:064x}"


def facts(number: int, at: datetime, **changes: Any) -> BundleFacts:
    """A release with 10 % tolerated errors and a confusion matrix of a good model."""
    values: dict[str, Any] = {
        "bundle_hash": bundle_hash(number),
        "number": number,
        "labels": LABELS,
        "good_labels": ("good",),
        "escapes_tolerated": 0.1,
        "false_rejects_tolerated": 0.1,
        "defect_share": 0.3,
        "confusion": {
            "good": {"good": 68, "pit": 1, "scratch": 1},
            "pit": {"good": 1, "pit": 14, "scratch": 0},
            "scratch": {"good": 0, "pit": 1, "scratch": 14},
        },
        "activated_at": at,
        "previous": bundle_hash(number - 1) if number > 1 else None,
    }
    return BundleFacts(**{**values, **changes})


class PlantedModel:
    """Drives `monitor.rules.model.step`. `actions` are all so far, `new` those of the last call, `orders` the retrains
    with their times."""

    def __init__(self, cameras: tuple[str, ...] = (A, B), settings: RuleSettings = SETTINGS, seed: int = 0) -> None:
        self.cameras, self.settings = cameras, settings
        self.state = ModelState(site="plant", product="cap")
        self.now = START
        self.actions: list[Action] = []
        self.new: list[Action] = []
        self.orders: list[tuple[datetime, OrderRetrain]] = []
        self.served = 0
        self._rng = np.random.default_rng(seed)
        self._parts = 0

    # what happens

    def happen(self, happening: Happening) -> list[Action]:
        """One step, through JSON and back."""
        state, self.new = step(self.state, happening, self.settings)
        self.state = ModelState.model_validate_json(state.model_dump_json())
        self.actions += self.new
        self.orders += [(happening.at, action) for action in self.new if isinstance(action, OrderRetrain)]
        return self.new

    def serve(self, number: int, **changes: Any) -> list[Action]:
        """Release `number` becomes active now; its windows follow."""
        self.served = number
        return self.happen(ReleaseServed(at=self.now, facts=facts(number, self.now, **changes)))

    def learn(self) -> None:
        """Serve release 1 and let all cameras learn it."""
        self.serve(1)
        self.windows(self.settings.commissioning_windows)

    def windows(
        self,
        count: int,
        drift: Mapping[str, Moved] | None = None,
        *,
        size: float = 8.0,
        bundle: int | None = None,
        minutes: float = 1.0,
    ) -> list[Action]:
        """The next windows of all cameras, a minute each; `drift` says what moved where. Returns their actions."""
        collected = []
        for _ in range(count):
            start, self.now = self.now, self.now + timedelta(minutes=minutes)
            for camera in self.cameras:
                moved = (drift or {}).get(camera)
                collected += self.happen(self.window(camera, start, moved, size, bundle or self.served))
        self.new = collected
        return collected

    def window(self, camera: str, start: datetime, moved: Moved | None, size: float, bundle: int) -> WindowSeen:
        """One window that ends now."""
        base = np.array([_BEFORE.get(name, 0.15 if name.startswith("class-") else 0.0) for name in NAMES])
        shift = np.array([size * _SIGMA * (group_of(name) == moved) for name in NAMES])
        shift *= np.where(np.array(NAMES) == "mean", -1.0, 1.0)
        mean = base + shift + self._rng.normal(0, _SIGMA, len(NAMES))
        spread = np.full(len(NAMES), 0.25 * IMAGES * _SIGMA**2)
        window = Window(
            camera=camera.split("/")[1],
            product="cap",
            bundle_hash=bundle_hash(bundle),
            runtime="planted",
            started_at=start,
            ended_at=self.now,
            first_frame=0,
            last_frame=IMAGES - 1,
            images=IMAGES,
            vector_names=NAMES,
            vector_sum=tuple(mean * IMAGES),
            vector_square_sum=tuple((spread + mean**2) * IMAGES),
            decisions={Decision.OK: 70, Decision.NG: 30},
            labels={"good": 45, "pit": 28, "scratch": 27}
            if moved == "class"
            else {"good": 70, "pit": 15, "scratch": 15},
            confidence=Histogram(edges=CONFIDENCE_EDGES, counts=(0,) * 20),
            latency=Histogram(edges=LATENCY_EDGES_SECONDS, counts=(0,) * 11),
            latency_seconds_sum=0.0,
        )
        return WindowSeen(at=self.now, camera=camera, window=window)

    def labels(
        self,
        count: int,
        camera: str = A,
        *,
        error: float = 0.0,
        source: OutcomeSource = OutcomeSource.DRIFT_SAMPLE,
        label: str | None = None,
    ) -> list[Action]:
        """Labels of parts of now: 30 % defects, of which and of the good ones a share `error` was decided wrongly."""
        collected = []
        for _ in range(count):
            self._parts += 1
            true = label or str(self._rng.choice(LABELS, p=(0.7, 0.15, 0.15)))
            right = Decision.OK if true == "good" else Decision.NG
            wrong = Decision.NG if true == "good" else Decision.OK
            collected += self.happen(
                LabelSeen(
                    at=self.now,
                    camera=camera,
                    part_id=f"part-{self._parts}",
                    label=true,
                    source=source,
                    decision=wrong if self._rng.random() < error else right,
                    bundle_hash=bundle_hash(self.served),
                    triggered_at=self.now,
                )
            )
        self.new = collected
        return collected

    def say(self, said: Literal["repaired", "permanent", "adopt", "retrain", "close"]) -> list[Action]:
        """A person clicks on the open incident."""
        return self.happen(PersonSaid(at=self.now, incident_id=self.incident.incident_id, said=said, who="person-7"))

    def candidate(
        self, stage: Literal["training", "shadow", "refused", "failed", "promoted"], number: int = 9
    ) -> list[Action]:
        """News of the incident's retrain."""
        news = CandidateMoved(
            at=self.now,
            incident_id=self.incident.incident_id,
            stage=stage,
            bundle_hash=bundle_hash(number),
            reason=because("gate-licence"),
        )
        return self.happen(news)

    def wait(self, hours: float) -> list[Action]:
        """Time passes without windows."""
        self.now += timedelta(hours=hours)
        return self.happen(Tick(at=self.now))

    # what is seen

    @property
    def incident(self) -> Incident:
        """The open incident. Raises AssertionError without one."""
        assert self.state.incident is not None, "no incident is open"
        return self.state.incident

    def phase(self, camera: str = A) -> Phase:
        """Where a camera stands."""
        return self.state.cameras[camera].phase

    def all_of(self, kind: type[ActionT]) -> list[ActionT]:
        """All actions of one kind so far."""
        return [action for action in self.actions if isinstance(action, kind)]

    def news_of(self, kind: type[ActionT]) -> list[ActionT]:
        """Actions of one kind in the last call."""
        return [action for action in self.new if isinstance(action, kind)]
