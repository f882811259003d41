"""Which image belongs to which trigger."""

from __future__ import annotations

from dataclasses import replace

from edge_agent.outputs.triggers import Order, Triggers
from edge_agent.source import Capture
from tests.simulators.captures import frame


def capture(sequence: int, *, since: float, camera: str = "cam-a", part_id: str | None = None) -> Capture:
    shown = frame(sequence, camera=camera)
    if part_id is not None:
        shown = shown.model_copy(update={"part_id": part_id})
    return Capture(shown, b"", since=since)


def order(*, triggered: float = 10.0, latency: float = 0.0, part_id: str = "P-1") -> Order:
    return Order("cam-a", triggered + latency, triggered, part_id)


def test_the_first_image_after_the_trigger_is_the_parts() -> None:
    triggers = Triggers()
    triggers.open(order())
    before, after, next_one = (capture(n, since=since) for n, since in enumerate((9.9, 10.0, 10.1)))
    assert triggers.claim(before) is before
    taken = triggers.claim(after)
    assert (taken.frame.part_id, taken.since) == ("P-1", 10.0)
    assert triggers.claim(next_one) is next_one
    assert triggers.answers("cam-a", 0) is None
    assert triggers.answers("cam-a", 1) == order()
    assert triggers.answers("cam-a", 1) is None


def test_an_image_of_another_camera_is_not_taken() -> None:
    triggers = Triggers()
    triggers.open(order())
    other = capture(0, since=11.0, camera="cam-b")
    assert triggers.claim(other) is other


def test_an_image_within_the_cameras_latency_was_taken_before_the_trigger() -> None:
    triggers = Triggers()
    triggers.open(order(latency=0.2))
    early = capture(0, since=10.1)
    assert triggers.claim(early) is early
    assert triggers.claim(capture(1, since=10.2)).frame.part_id == "P-1"


def test_without_a_part_id_the_image_keeps_its_own() -> None:
    triggers = Triggers()
    triggers.open(order(part_id=""))
    assert triggers.claim(capture(5, since=11.0)).frame.part_id == "cam-a-5"
    assert triggers.answers("cam-a", 5) is not None


def test_an_image_that_was_sent_as_another_part_is_not_taken() -> None:
    triggers = Triggers()
    triggers.open(order())
    other = replace(capture(0, since=11.0, part_id="P-2"), waiting=True)
    assert triggers.claim(other) is other
    same = replace(capture(1, since=11.0, part_id="P-1"), waiting=True)
    assert triggers.claim(same).frame.part_id == "P-1"
    assert triggers.answers("cam-a", 1) is not None


def test_a_trigger_that_was_given_up_gets_no_answer() -> None:
    triggers = Triggers()
    triggers.open(order())
    triggers.claim(capture(0, since=11.0))
    triggers.open(order(triggered=12.0))
    assert triggers.answers("cam-a", 0) is None
    triggers.close("cam-a")
    late = capture(1, since=13.0)
    assert triggers.claim(late) is late
