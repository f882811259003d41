"""Windows: what ends them, what they count, and that their sums add up."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.frame import Decision
from contracts.telemetry import Window
from edge_agent.merging import merge
from edge_agent.window import ShadowAnswer, WindowKey, Windows, WindowSums
from tests.simulators.captures import HASH, NAMES, inspection

OTHER = "b" * 64


def windows(*, seconds: float = 60.0, images: int | None = None) -> Windows:
    return Windows(seconds=seconds, images=images, runtime="test 1")


def folded(open_windows: Windows, *inspections: object) -> list[Window]:
    return [window for item in inspections for window in open_windows.fold(item, NAMES)]  # type: ignore[arg-type]


def test_a_window_by_images_ends_with_its_last_image() -> None:
    ended = folded(windows(images=3), *(inspection(n) for n in range(7)))
    assert [(w.first_frame, w.last_frame, w.images) for w in ended] == [(0, 2, 3), (3, 5, 3)]


def test_a_window_by_seconds_ends_when_the_frame_clock_has_moved_on() -> None:
    ended = folded(windows(seconds=10), *(inspection(n) for n in range(21)))
    assert [(w.first_frame, w.last_frame) for w in ended] == [(0, 9), (10, 19)]
    assert (ended[0].ended_at - ended[0].started_at).total_seconds() == 9


def test_a_frame_clock_that_jumps_back_ends_the_window_instead_of_stretching_it() -> None:
    open_windows = windows(seconds=10)
    ended = folded(open_windows, inspection(0, seconds=1000), inspection(1, seconds=3))
    assert len(ended) == 1
    assert ended[0].started_at == ended[0].ended_at


def test_another_bundle_ends_the_windows_of_its_camera_only() -> None:
    open_windows = windows(images=100)
    folded(open_windows, inspection(0), inspection(0, camera="cam-b"))
    ended = folded(open_windows, inspection(1, bundle_hash=OTHER))
    assert [(w.camera, w.bundle_hash) for w in ended] == [("cam-a", HASH)]
    assert WindowKey("cam-b", "cap", HASH) in open_windows.open


def test_another_runtime_of_the_same_bundle_ends_the_window() -> None:
    open_windows = windows(images=100)
    assert open_windows.fold(inspection(0), NAMES, "one 1") == []
    assert open_windows.fold(inspection(1), NAMES, "one 1") == []
    (ended,) = open_windows.fold(inspection(2), NAMES, "two 1")
    assert (ended.runtime, ended.images) == ("one 1", 2)
    assert [window.runtime for window in open_windows.end_all()] == ["two 1"]


def test_a_window_of_an_older_agent_is_continued() -> None:
    open_windows = windows(images=100)
    open_windows.fold(inspection(0), NAMES, "one 1")
    (key,) = open_windows.open
    state = open_windows.open[key].state()
    del state["runtime"]
    open_windows.open[key] = WindowSums.of(state)
    assert open_windows.fold(inspection(1), NAMES, "two 1") == []
    assert [(window.runtime, window.images) for window in open_windows.end_all()] == [("test 1", 2)]


def test_products_that_alternate_get_windows_of_their_own() -> None:
    ended = folded(windows(images=4), *(inspection(n, product=("cap", "nut")[n % 2]) for n in range(8)))
    assert [(w.product, w.images) for w in ended] == [("cap", 4), ("nut", 4)]


def test_the_window_of_a_product_that_left_the_line_ends() -> None:
    open_windows = windows(images=4)
    folded(open_windows, inspection(0, product="cap"))
    ended = folded(open_windows, *(inspection(n, product="nut") for n in range(1, 7)))
    assert ("cap", 1) in [(w.product, w.images) for w in ended]


def test_sums_are_those_of_the_vectors() -> None:
    (window,) = folded(windows(images=2), inspection(0, vector=(1, 2)), inspection(1, vector=(3, -4)))
    assert window.vector_sum == (4, -2)
    assert window.vector_square_sum == (10, 20)
    assert window.vector_names == NAMES
    assert window.labels == {"good": 2}
    assert sum(window.confidence.counts) == sum(window.latency.counts) == 2


def test_images_without_a_verdict_are_counted_but_not_summed() -> None:
    (window,) = folded(windows(images=3), inspection(0), inspection(1, vector=None), inspection(2))
    assert window.images == 2
    assert window.decisions == {Decision.OK: 2, Decision.NO_VERDICT: 1}
    assert window.vector_sum[0] == 2.0


def test_a_window_without_any_verdict_has_sums_of_zero() -> None:
    (window,) = folded(windows(images=2), inspection(0, vector=None), inspection(1, vector=None))
    assert window.images == 0
    assert window.vector_sum == (0.0, 0.0)


def test_frames_that_are_missing_are_reported_as_dropped() -> None:
    (window,) = folded(windows(images=3), inspection(0), inspection(4), inspection(5))
    assert window.dropped_images == 3


def test_a_source_that_counts_from_zero_again_has_lost_nothing() -> None:
    (window,) = folded(windows(images=2), inspection(900), inspection(0))
    assert window.dropped_images == 0


def test_an_open_window_survives_the_database() -> None:
    open_windows = windows(images=5)
    folded(open_windows, inspection(0), inspection(1))
    open_windows.fold_shadow(answer(Decision.OK))
    (key, sums), *_ = open_windows.open.items()
    restored = windows(images=5)
    restored.open[key] = WindowSums.of(json.loads(json.dumps(sums.state())))
    assert restored.open == open_windows.open


def test_a_draft_changes_nothing_of_its_original_and_copies_only_what_it_changes() -> None:
    original = windows(images=3)
    folded(original, inspection(0), inspection(0, camera="cam-b"), inspection(0, product="nut", camera="cam-b"))
    before = {key: json.dumps(sums.state()) for key, sums in original.open.items()}
    draft = original.copy()
    ended = folded(draft, inspection(1), inspection(2))
    draft.fold_shadow(answer(Decision.OK))
    assert len(ended) == 1
    assert {key: json.dumps(sums.state()) for key, sums in original.open.items()} == before
    silent = WindowKey("cam-b", "cap", HASH)
    assert draft.open[silent] is original.open[silent]


def test_shadow_answers_are_compared_with_the_decisions_of_the_active_bundle() -> None:
    open_windows = windows(images=2)
    folded(open_windows, inspection(0))
    for decision in (Decision.OK, Decision.NG, None):
        assert open_windows.fold_shadow(answer(decision))
    (window,) = folded(open_windows, inspection(1))
    assert window.shadow is not None
    assert (window.shadow.images, window.shadow.agreements, window.shadow.failures) == (3, 1, 1)
    assert window.shadow.decisions == {Decision.OK: 1, Decision.NG: 1}


def test_a_shadow_answer_without_an_open_window_is_left_to_the_caller() -> None:
    assert not windows().fold_shadow(answer(Decision.OK))


@given(st.lists(st.tuples(st.floats(-9, 9, width=16), st.booleans()), min_size=2, max_size=30), st.data())
def test_merging_two_windows_gives_the_window_over_both(images: list[tuple[float, bool]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(images) - 1))
    items = [inspection(n, vector=(x, 1.0) if seen else None) for n, (x, seen) in enumerate(images)]
    whole, first, second = windows(), windows(), windows()
    second.last_frames = {"cam-a": cut - 1}
    for item in items:
        whole.fold(item, NAMES)
    for item in items[:cut]:
        first.fold(item, NAMES)
    for item in items[cut:]:
        second.fold(item, NAMES)
    (expected,), (a,), (b,) = whole.end_all(), first.end_all(), second.end_all()
    merged = merge(a, b)
    assert merged.model_copy(update=rounded(merged)) == expected.model_copy(update=rounded(expected))


def rounded(window: Window) -> dict[str, object]:
    return {
        "vector_sum": tuple(np.round(window.vector_sum, 6)),
        "vector_square_sum": tuple(np.round(window.vector_square_sum, 6)),
        "latency_seconds_sum": pytest.approx(window.latency_seconds_sum),
    }


def answer(decision: Decision | None) -> ShadowAnswer:
    return ShadowAnswer(WindowKey("cam-a", "cap", HASH), OTHER, Decision.OK, decision, 0.001)


def test_a_window_tells_the_size_of_its_pictures_where_it_is_one() -> None:
    usual, other = (replace(inspection(1), size=size) for size in ((64, 48), (30, 20)))
    alike, mixed, alone = folded(windows(images=2), usual, usual, usual, other, other, other)
    assert (alike.size, mixed.size, alone.size) == ((64, 48), None, (30, 20))
    assert merge(alike, alike).size == (64, 48)
    assert merge(alike, alone).size is None
