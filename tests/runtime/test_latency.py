"""What is measured, on a clock that is told what to say."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from runtime.bundle import Bundle
from runtime.latency import fair_clock, interleaved_by_clocks, interleaved_seconds, measure, measure_interleaved
from runtime.machine import NVIDIA
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
    assert len(clock.order) == 2 * 2 * 13


def test_calls_take_turns_in_alternating_order() -> None:
    clock = FakeClock()
    measure_interleaved({"a": clock.work("a", 1), "b": clock.work("b", 1)}, runs=2, warm_up=0, clock=clock)
    assert clock.order[::2] == ["a", "b", "b", "a"]


def test_a_call_after_another_ones_is_not_what_counts() -> None:
    clock, latest = FakeClock(), [""]

    def model(name: str) -> Callable[[], None]:
        def call() -> None:
            clock.now += 1.0 if latest[0] == name else 9.0  # with caches that another one filled
            latest[0] = name

        return call

    found = interleaved_seconds({name: model(name) for name in "abc"}, runs=4, warm_up=0, clock=clock)
    assert found == {name: [1.0] * 4 for name in "abc"}


def test_session_is_measured_with_its_threads(small_bundle: Bundle) -> None:
    summary = measure(Session(small_bundle, threads=1), np.zeros((1, 3, SIDE, SIDE), np.float32), runs=5, warm_up=1)
    assert summary.runs == 5
    assert summary.threads == 1
    assert 0 < summary.p50_seconds <= summary.p95_seconds


def test_several_clocks_watch_the_same_calls() -> None:
    clock, standing = FakeClock(), FakeClock()
    passed, compared = interleaved_by_clocks({"a": clock.work("a", 0.5)}, [clock, standing], runs=3, warm_up=1)
    assert passed == {"a": [0.5] * 3}
    assert compared == {"a": [0.0] * 3}
    assert clock.order == ["a"] * 8


def test_one_thread_is_compared_by_the_processors_time_and_several_are_not(small_bundle: Bundle) -> None:
    one, two = Session(small_bundle, threads=1), Session(small_bundle, threads=2)
    assert fair_clock([one, one]) is time.process_time
    assert fair_clock([one, two]) is time.perf_counter
    one.device_class = NVIDIA
    assert fair_clock([one]) is time.perf_counter
