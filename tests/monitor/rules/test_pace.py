"""A release that answers slower than the one before on the same device is withdrawn while it is young."""

from __future__ import annotations

from datetime import timedelta

import pytest

from monitor.rules.action import Withdraw
from monitor.rules.happening import WindowSeen
from tests.simulators.planted_model import A, B, PlantedModel, bundle_hash


def answer(model: PlantedModel, windows: int, seconds: dict[str, float]) -> None:
    """Windows in which each camera needs so long for an image."""
    for _ in range(windows):
        start, model.now = model.now, model.now + timedelta(minutes=1)
        for camera in model.cameras:
            seen = model.window(camera, start, None, 8.0, model.served)
            timed = seen.window.model_copy(update={"latency_seconds_sum": seconds[camera] * seen.window.images})
            model.happen(WindowSeen(at=seen.at, camera=camera, window=timed))


@pytest.fixture
def second() -> PlantedModel:
    """Release 2 has just replaced release 1, under which A answered in 10 ms and B, an old device, in 300 ms."""
    model = PlantedModel()
    model.serve(1)
    answer(model, 15, {A: 0.01, B: 0.3})
    model.serve(2)
    return model


def test_a_release_three_times_as_slow_goes_back(second: PlantedModel) -> None:
    answer(second, 12, {A: 0.05, B: 0.3})
    (withdraw,) = second.all_of(Withdraw)
    assert (withdraw.bundle_hash, withdraw.to) == (bundle_hash(2), bundle_hash(1))
    assert withdraw.reason.plain == (
        "agent/cam-a answers in 0.05 s, in 0.01 s before, for 10 windows in a row; 1 of 2 cameras are too slow"
    )


def test_an_old_device_is_held_against_itself_alone(second: PlantedModel) -> None:
    answer(second, 30, {A: 0.012, B: 0.5})
    assert not second.all_of(Withdraw)


def test_below_the_floor_nothing_is_too_slow(second: PlantedModel) -> None:
    answer(second, 30, {A: 0.019, B: 0.3})
    second.serve(3)
    answer(second, 30, {A: 0.0199, B: 0.3})
    assert not second.all_of(Withdraw)


def test_a_few_slow_minutes_are_not_the_release(second: PlantedModel) -> None:
    for _ in range(5):
        answer(second, 9, {A: 0.05, B: 0.3})
        answer(second, 1, {A: 0.01, B: 0.3})
    assert not second.all_of(Withdraw)


def test_after_its_probation_a_release_is_not_withdrawn_for_its_pace(second: PlantedModel) -> None:
    answer(second, 15, {A: 0.01, B: 0.3})
    second.wait(hours=24 * 8)
    answer(second, 15, {A: 0.05, B: 0.3})
    assert not second.all_of(Withdraw)
