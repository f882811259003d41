"""The shadow bundle: the same images, answers that stay off the line, and an end for one that misbehaves."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.errors import BundleError
from contracts.frame import Decision
from edge_agent.inspection import Inspection, Inspector
from edge_agent.settings import WindowSettings
from edge_agent.shadow import ShadowRunner
from edge_agent.source import Capture
from edge_agent.window import ShadowAnswer
from runtime.bundle import Bundle
from runtime.session import Inference
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.simulators.captures import ListSource, frame
from tests.simulators.small_bundle import encoded, picture, write_small_bundle


class Watched:
    """A runner and what it said."""

    def __init__(self, **changes: Any) -> None:
        self.answers: list[ShadowAnswer] = []
        self.counts: list[str] = []
        self.disabled: list[tuple[str, str]] = []
        limits = {"timeout_seconds": 0.1, "slower_than_active": 10.0, "failures_allowed": 5, **changes}
        self.runner = ShadowRunner(
            record=self.answers.append,
            count=self.counts.append,
            disabled=lambda bundle_hash, reason: self.disabled.append((bundle_hash, reason)),
            **limits,
        )


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    yield watched
    watched.runner.stop()


class OddSession:
    """Answers like the real session, after `before()`."""

    def __init__(self, session: Any, before: Any) -> None:
        self._session, self._before = session, before

    def infer(self, tensor: NDArray[np.float32], *, limit_seconds: float | None = None) -> Inference:
        self._before()
        answer: Inference = self._session.infer(tensor)
        return answer


def odd(bundle: Bundle, before: Any) -> Inspector:
    inspector = Inspector(bundle)
    inspector.session = OddSession(inspector.session, before)  # type: ignore[assignment]
    return inspector


def shown(inspector: Inspector, level: int, number: int = 0) -> Inspection:
    return inspector.inspect(Capture(frame(number), picture(level, number)))


def offer(watched: Watched, inspections: list[Inspection]) -> None:
    """One after another, so that none is skipped."""
    for item in inspections:
        before = len(watched.counts)
        watched.runner.offer(item)
        wait_for(lambda before=before: len(watched.counts) > before or watched.runner.inspector is None)


def test_it_answers_the_same_images(watched: Watched, small_bundle: Bundle, tmp_path: Path) -> None:
    other = write_small_bundle(tmp_path / "other", slope=-4.0)
    active = Inspector(small_bundle)
    watched.runner.start(Inspector(other))
    offer(watched, [shown(active, 80), shown(active, 180)])
    assert [(a.active_decision, a.decision) for a in watched.answers] == [
        (Decision.OK, Decision.NG),
        (Decision.NG, Decision.OK),
    ]
    assert {answer.shadow_hash for answer in watched.answers} == {other.hash}


def test_it_decodes_the_picture_as_it_needs_it(watched: Watched, small_bundle: Bundle, tmp_path: Path) -> None:
    spec = small_bundle.manifest.preprocessing.model_dump() | {"region_of_interest": (300, 300, 380, 380)}
    other = write_small_bundle(tmp_path / "other", preprocessing=spec)
    bright = picture(60, side=400)
    bright[300:380, 300:380] = 200
    active = Inspector(small_bundle)
    seen = active.inspect(Capture(frame(0), encoded(bright, "JPEG")))
    assert seen.pixels is not None
    assert seen.pixels.shape == (100, 100, 3), "a quarter of the scale is enough for the active one"
    watched.runner.start(Inspector(other))
    offer(watched, [seen])
    assert [(a.active_decision, a.decision) for a in watched.answers] == [(Decision.OK, Decision.NG)]


def test_offering_never_waits_for_it(watched: Watched, small_bundle: Bundle) -> None:
    hang = threading.Event()
    active = Inspector(small_bundle)
    watched.runner.start(odd(small_bundle, lambda: hang.wait(20)))
    for n in range(100):
        watched.runner.offer(shown(active, 80, n))
    assert watched.counts.count("skipped") >= 80
    assert watched.answers == []
    hang.set()


def test_one_that_hangs_is_switched_off(watched: Watched, small_bundle: Bundle) -> None:
    hang = threading.Event()
    active = Inspector(small_bundle)
    watched.runner.start(odd(small_bundle, lambda: hang.wait(20)))
    item = shown(active, 80)

    def switched_off() -> bool:
        watched.runner.offer(item)
        return bool(watched.disabled)

    wait_for(switched_off)
    assert "hung on one image" in watched.disabled[0][1]
    assert watched.runner.inspector is None
    hang.set()


def test_one_that_keeps_failing_is_switched_off(watched: Watched, small_bundle: Bundle) -> None:
    def fail() -> None:
        raise BundleError("no answer")

    active = Inspector(small_bundle)
    watched.runner.start(odd(small_bundle, fail))
    offer(watched, [shown(active, 80, n) for n in range(8)])
    assert watched.counts[:5] == ["failed"] * 5
    assert [answer.decision for answer in watched.answers] == [None] * 5
    assert watched.disabled == [(small_bundle.hash, "it could not answer 5 images in a row")]


def test_one_that_is_far_slower_is_switched_off(watched: Watched, small_bundle: Bundle) -> None:
    active = Inspector(small_bundle)
    fast = shown(active, 80)
    fast = replace(fast, verdict=fast.verdict.model_copy(update={"latency_seconds": 0.0001}))
    watched.runner.start(odd(small_bundle, lambda: time.sleep(0.005)))
    offer(watched, [fast] * 60)
    ((_, reason),) = watched.disabled
    assert "times as long as the active bundle" in reason


def test_its_answers_reach_the_windows_and_not_the_line(make_agent: MakeAgent, tmp_path: Path) -> None:
    other = write_small_bundle(tmp_path / "other", slope=-4.0)
    agent = make_agent(window=WindowSettings(images=15))
    agent.core.shadow.start(Inspector(other))
    line = ListSource([picture(80, n) for n in range(10)])
    answered, labels = "lineside_agent_shadow_images_total", {"result": "answered"}
    for number, capture in enumerate(line.captures()):
        if capture is None:
            break
        agent.core.station.inspect(capture, "test")
        wait_for(lambda n=number: (agent.core.metrics.registry.get_sample_value(answered, labels) or 0) > n)
    agent.core.station.commits.now()
    entries = agent.core.record.entries(limit=99)
    assert {entry.verdict.decision for entry in entries} == {Decision.OK}
    for capture in ListSource([picture(80, n) for n in range(10, 20)], first=10).captures():
        if capture is None:
            break
        agent.core.station.inspect(capture, "test")
    agent.core.station.commits.now()
    bodies = [message.envelope.body for message in agent.core.outbox.waiting(after=0, limit=9)]
    shadows = [body.shadow for body in bodies if body.kind == "window" and body.shadow is not None]
    assert sum(shadow.images for shadow in shadows) > 0
    assert {shadow.bundle_hash for shadow in shadows} == {other.hash}
    assert sum(shadow.agreements for shadow in shadows) == 0
