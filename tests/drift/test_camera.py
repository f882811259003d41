"""Hard rules for a camera that does not see."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drift.camera import CameraFault, CameraHealth

START = datetime(2026, 1, 1, tzinfo=UTC)


def scene(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(40, 200, (64, 80, 3)).astype(np.uint8)


def noisy(level: int, seed: int, noise: int = 1) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return np.clip(level + rng.integers(-noise, noise + 1, (64, 80, 3)), 0, 255).astype(np.uint8)


def watch(health: CameraHealth, frames: list[NDArray[Any]]) -> list[CameraFault | None]:
    return [health.update(frame, START + timedelta(seconds=i)) for i, frame in enumerate(frames)]


@pytest.mark.parametrize(
    ("level", "fault"), [(1, CameraFault.BLACK), (254, CameraFault.SATURATED), (120, CameraFault.COVERED)]
)
def test_fault_is_raised_on_the_fifth_bad_frame_and_not_before(level: int, fault: CameraFault) -> None:
    answers = watch(CameraHealth(), [noisy(level, seed) for seed in range(5)])
    assert answers == [None] * 4 + [fault]


def test_single_bad_frames_between_good_ones_are_no_fault() -> None:
    frames = [noisy(1, i) if i % 3 == 0 else scene(i) for i in range(30)]
    assert set(watch(CameraHealth(), frames)) == {None}


def test_fault_ends_after_five_good_frames() -> None:
    health = CameraHealth()
    watch(health, [noisy(1, seed) for seed in range(5)])
    assert watch(health, [scene(seed) for seed in range(5)]) == [CameraFault.BLACK] * 4 + [None]


def test_picture_that_stands_still_is_frozen_although_its_content_is_fine() -> None:
    answers = watch(CameraHealth(), [scene(7)] * 10)
    assert answers == [None] * 9 + [CameraFault.FROZEN]


def test_frozen_camera_that_moves_again_recovers() -> None:
    health = CameraHealth()
    watch(health, [scene(7)] * 12)
    assert watch(health, [scene(seed) for seed in range(5)])[-1] is None


def test_camera_without_frames_is_dead_after_its_time_and_recovers_with_frames() -> None:
    health = CameraHealth(silent_after=timedelta(seconds=3))
    health.update(scene(0), START)
    assert health.check(START + timedelta(seconds=3)) is None
    assert health.check(START + timedelta(seconds=4)) is CameraFault.DEAD
    assert watch(health, [scene(seed) for seed in range(5)])[-1] is None


def test_source_without_a_pace_is_never_dead() -> None:
    health = CameraHealth()
    health.update(scene(0), START)
    assert health.check(START + timedelta(days=3)) is None


def test_grey_and_tiny_pictures_are_understood() -> None:
    health = CameraHealth()
    assert health.update(scene(0)[..., 0], START) is None
    assert health.update(scene(0)[:2, :2], START) is None


def test_the_levels_are_told_from_an_eighth_of_the_values_only_where_the_rest_cannot_change_it() -> None:
    health, draw = CameraHealth(), np.random.default_rng(11)
    for _ in range(300):
        low = int(draw.integers(0, 250))
        frame = draw.integers(low, low + draw.integers(1, 12), (64, 64), endpoint=True).clip(0, 255).astype(np.uint8)
        strays = draw.random(frame.shape) < draw.choice([0.0, 0.008, 0.01, 0.012, 0.05])
        frame[strays] = draw.integers(0, 256, int(strays.sum()))
        counted = np.cumsum(np.bincount(frame.ravel(), minlength=256))
        bottom, top = (int(np.searchsorted(counted, share * frame.size)) for share in (0.01, 0.99))
        black, white = top <= 8, bottom >= 247
        fault = CameraFault.COVERED if top - bottom <= 4 else None
        assert health.look(frame).fault == (CameraFault.BLACK if black else CameraFault.SATURATED if white else fault)
