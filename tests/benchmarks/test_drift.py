"""The planted plant, and the deployed rule over many windows at once."""

from datetime import timedelta

import numpy as np
import pytest

from benchmarks.drift.false_alarms import Found, upper_bound, watch_fleet
from benchmarks.drift.frames import Frames, learned_from
from benchmarks.drift.plant import IMAGES, NAMES, WEEK, Plant, Truth, calendar
from benchmarks.drift.watch import MONDAY, Watch, in_a_row, settled
from contracts.frame import Decision
from contracts.telemetry import CONFIDENCE_EDGES, LATENCY_EDGES_SECONDS, Histogram, Window
from monitor.rules.action import Phase
from monitor.rules.camera import CameraState, first_state
from monitor.rules.decision import see
from monitor.rules.happening import WindowSeen
from monitor.rules.settings import RuleSettings


def test_the_calendar_has_nights_weekends_and_changeovers() -> None:
    week, hourly = calendar(1, changeovers=False), calendar(1, changeovers=True)
    assert len(week) == (5 * 24 + 8) * 60
    assert len(hourly) == len(week) // 2
    assert set(hourly.pause[1:]) >= {60}
    assert week.pause[0] > 24 * 60
    assert not settled(week)[:45].any()
    assert settled(week)[45:].all()
    assert settled(hourly)[hourly.running >= 15][60:].all()


def test_the_deployed_rule_is_silent_under_an_hours_wander_where_a_short_commissioning_is_not() -> None:
    found = Found()
    watch_fleet(np.random.default_rng(0), found, 60.0, 3, 5 * 24 * 60, changeovers=False)
    assert found.windows >= 3 * 5 * 24 * 60
    assert found.drifts == 0
    assert found.before > 10
    assert min(found.learned_days) >= 7
    assert np.median([delay or 480 for delay in found.delays["embedding", 3]]) == 3


def test_images_give_the_windows_that_the_plant_gives() -> None:
    truth = Truth(np.random.default_rng(1), 1)
    shift = calendar(1, changeovers=False).between(0, 14 * 60)  # from 6 to 14 on Monday
    images = Frames(np.random.default_rng(2), truth, 1 / 6).means(shift)
    windows = Plant(np.random.default_rng(3), truth, 1 / 6).means(shift)[0]
    away = [np.diff(rows, axis=0).std(axis=0) for rows in (images, windows)]
    assert np.median(away[0] / away[1]) == pytest.approx(1.0, abs=0.05)
    assert np.abs(images.mean(axis=0) - windows.mean(axis=0)).max() < 0.2


def test_three_in_a_row_are_found_where_the_third_is() -> None:
    assert in_a_row(np.array([1, 1, 0, 1, 1, 1, 1], bool)).tolist() == [5, 6]


def test_a_count_of_none_is_no_rate_of_none() -> None:
    assert upper_bound(0) == pytest.approx(3.0, abs=0.05)


def test_the_monitor_raises_what_many_windows_at_once_raise() -> None:
    """The same windows, one by one through the rules and at once through the benchmark."""
    rng = np.random.default_rng(4)
    plant = Plant(rng, Truth(rng, 1), 10.0)
    week = calendar(2, changeovers=False)
    part = week.between(0, WEEK)
    ok = settled(part)
    profile = learned_from(plant.means(part)[0, ok], plant.spread()[0])
    later = week.between(WEEK, 2 * WEEK)
    later = later.between(int(later.at[0]), int(later.at[130]))
    means = plant.means(later)[0]
    sigma = np.sqrt(np.diag(profile.covariance))
    means[90:, -1] += 5.0 * sigma[-1]
    ok = settled(later)
    windows, rolled = Watch(profile).alarms(means[ok])
    expected = int(later.at[ok][min([*windows, *rolled])])
    state: CameraState | None = None
    settings = RuleSettings()
    for at, mean in zip(later.at, means, strict=True):
        happening = seen(int(at), mean)
        if state is None:
            state = first_state(happening, settings).model_copy(update={"profile": profile, "phase": Phase.OK})
            state = state.model_copy(update={"last_at": happening.at - timedelta(hours=40)})
        state, _ = see(state, happening, settings)
        if state.phase is Phase.DRIFT:
            assert int(at) == expected
            return
    pytest.fail("the monitor raised nothing")


def seen(minute: int, mean: np.ndarray) -> WindowSeen:
    start = MONDAY + timedelta(minutes=minute)
    window = Window(
        camera="camera",
        product="cap",
        bundle_hash="0" * 64,
        runtime="planted",
        started_at=start,
        ended_at=start + timedelta(minutes=1),
        first_frame=0,
        last_frame=IMAGES - 1,
        images=IMAGES,
        vector_names=NAMES,
        vector_sum=tuple(mean * IMAGES),
        vector_square_sum=tuple((mean**2 + 1.0) * IMAGES),
        decisions={Decision.OK: IMAGES},
        labels={"good": IMAGES},
        confidence=Histogram(edges=CONFIDENCE_EDGES, counts=(0,) * 20),
        latency=Histogram(edges=LATENCY_EDGES_SECONDS, counts=(0,) * 11),
        latency_seconds_sum=0.0,
    )
    return WindowSeen(at=window.ended_at, camera="agent/camera/cap", window=window)
