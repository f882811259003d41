"""What is measured, on a clock that is told what to say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from runtime.bundle import Bundle
from runtime.latency import measure, measure_interleaved
from runtime.session import Session
from tests.simulators.small_bundle import SIDE


class FakeClock:
    """Stands still until someone works."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: float) -> Callable[[], None]:
        def call() -> None:
            self.now += seconds
            self.order.append(name)

        return call


def test_each_call_gets_its_own_time_without_the_warm_up() -> None:
    clock = FakeClock()
    calls = {"fast": clock.work("fast", 0.001), "slow": clock.work("slow", 0.01)}
    found = measure_interleaved(calls, runs=10, warm_up=3, threads=2, clock=clock)
    assert found["fast"].p50_seconds == pytest.approx(0.001)
    assert found["slow"].p95_seconds == pytest.approx(0.01)
    assert {(each.runs, each.threads) for each in found.values()} == {(10, 2)}
    assert len(clock.order) == 2 * 13


def test_calls_take_turns_in_alternating_order() -> None:
    clock = FakeClock()
    measure_interleaved({"a": clock.work("a", 1), "b": clock.work("b", 1)}, runs=2, warm_up=0, clock=clock)
    assert clock.order == ["a", "b", "b", "a"]


def test_session_is_measured_with_its_threads(small_bundle: Bundle) -> None:
    summary = measure(Session(small_bundle, threads=1), np.zeros((1, 3, SIDE, SIDE), np.float32), runs=5, warm_up=1)
    assert summary.runs == 5
    assert summary.threads == 1
    assert 0 < summary.p50_seconds <= summary.p95_seconds
