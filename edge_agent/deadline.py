"""The one rule about time: a verdict that comes after its deadline is no verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from contracts.frame import Decision, Verdict
from edge_agent.inspection import Inspection

LATE = "late by "
"""How the reason of a late verdict begins."""


@dataclass(frozen=True)
class Deadlines:
    """Seconds from trigger to answer: of all cameras, and of those that have their own."""

    seconds: float
    of_cameras: Mapping[str, float]

    def of(self, camera: str) -> float:
        """Seconds for an image of this camera."""
        return self.of_cameras.get(camera, self.seconds)

    def judge(self, inspection: Inspection, now: float) -> Inspection:
        """The inspection as it counts at `now` (monotonic seconds)."""
        seconds = self.of(inspection.capture.frame.camera)
        verdict = in_time(inspection.verdict, age=now - inspection.capture.since, deadline=seconds)
        if verdict is inspection.verdict:
            return inspection
        return replace(inspection, verdict=verdict, vector=None, confidence=None, distance=None, heat=None)


def in_time(verdict: Verdict, *, age: float, deadline: float) -> Verdict:
    """The verdict itself, or NO_VERDICT with the reason where `age` seconds after the trigger are too many."""
    if age <= deadline or verdict.decision is Decision.NO_VERDICT:
        return verdict
    return Verdict(
        frame=verdict.frame,
        decision=Decision.NO_VERDICT,
        threshold=verdict.threshold,
        review_from=verdict.review_from,
        thresholds_number=verdict.thresholds_number,
        bundle_hash=verdict.bundle_hash,
        latency_seconds=verdict.latency_seconds,
        reason=f"{LATE}{age - deadline:.2f} s: an answer {age:.2f} s after the trigger, {deadline:g} s are allowed",
    )


def is_late(verdict: Verdict) -> bool:
    """Whether the deadline is why there is no verdict."""
    return verdict.decision is Decision.NO_VERDICT and (verdict.reason or "").startswith(LATE)
