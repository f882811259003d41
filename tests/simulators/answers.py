"""Verdicts on their way to the line, made from a few numbers."""

from __future__ import annotations

import time

from contracts.answer import Answer, SafeAction
from contracts.frame import Decision, Verdict
from edge_agent.outputs.lane import Letterhead, Told
from tests.simulators.captures import HASH, frame

LETTERHEAD = Letterhead("plant", "agent-1", SafeAction.DIVERT)


def verdict(sequence: int = 0, decision: Decision = Decision.OK, *, camera: str = "cam-a") -> Verdict:
    """The verdict on frame number `sequence`."""
    shown = frame(sequence, camera=camera)
    if decision is Decision.NO_VERDICT:
        return Verdict(frame=shown, decision=decision, bundle_hash=HASH, reason="unreadable")
    return Verdict(
        frame=shown,
        decision=decision,
        label="good",
        scores={"good": 0.9, "scratch": 0.1},
        defect_score=0.1,
        threshold=0.5,
        bundle_hash=HASH,
        latency_seconds=0.002,
    )


def told(
    sequence: int = 0,
    decision: Decision = Decision.OK,
    *,
    camera: str = "cam-a",
    age: float = 0.0,
    deadline: float = 1000.0,
) -> Told:
    """The same, triggered `age` seconds ago."""
    return Told(verdict(sequence, decision, camera=camera), time.monotonic() - age, deadline)


def answer(sequence: int = 0, decision: Decision = Decision.OK, *, camera: str = "cam-a") -> Answer:
    """What the line is told about it in time."""
    return LETTERHEAD.answer(told(sequence, decision, camera=camera), time.monotonic())
