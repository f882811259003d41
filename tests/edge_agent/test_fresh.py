"""The newest images in memory: a bounded room, of which parts that passed cannot take everything."""

from __future__ import annotations

from contracts.frame import Decision
from edge_agent.fresh import Fresh
from edge_agent.keepsake import Keepsake
from tests.simulators.captures import inspection

SIZE = Keepsake.of(inspection(0)).size_bytes


def image(number: int, decision: Decision = Decision.OK) -> Keepsake:
    return Keepsake.of(inspection(number, decision=decision))


def test_the_oldest_go_first() -> None:
    fresh = Fresh(3 * SIZE)
    for n in range(5):
        fresh.add(image(n))
    assert [fresh.take(f"cam-a-{n}", "cam-a") is not None for n in range(5)] == [False, False, True, True, True]
    assert fresh.take("cam-a-4", "cam-a") is None


def test_what_was_not_ok_stays_while_good_parts_go_by() -> None:
    fresh = Fresh(4 * SIZE)
    for n in range(3):
        fresh.add(image(n, Decision.NG))
    for n in range(3, 50):
        fresh.add(image(n))
    assert [fresh.take(f"cam-a-{n}", "cam-a") is not None for n in (0, 1, 2, 47, 48, 49)] == [
        False, True, True, False, True, True
    ]  # fmt: skip


def test_an_image_larger_than_the_room_is_left_out_and_takes_nothing() -> None:
    fresh = Fresh(SIZE - 1)
    fresh.add(image(0))
    assert fresh.take("cam-a-0", "cam-a") is None


def test_what_is_put_back_can_be_taken_again_unless_its_part_came_anew() -> None:
    fresh = Fresh(3 * SIZE)
    for n in range(2):
        fresh.add(image(n))
    first, second = fresh.take("cam-a-0", "cam-a"), fresh.take("cam-a-1", "cam-a")
    assert first is not None
    assert second is not None
    fresh.add(image(1, Decision.NG))
    fresh.put_back(first)
    fresh.put_back(second)
    assert fresh.take("cam-a-0", "cam-a") is first
    newer = fresh.take("cam-a-1", "cam-a")
    assert newer is not None
    assert newer.verdict.decision is Decision.NG
    assert fresh.take("cam-a-1", "cam-a") is None


def test_of_a_part_that_comes_again_the_newest_counts() -> None:
    fresh = Fresh(2 * SIZE)
    fresh.add(image(0, Decision.NG))
    fresh.add(image(0))
    fresh.add(image(1))
    taken = fresh.take("cam-a-0", "cam-a")
    assert taken is not None
    assert taken.verdict.decision is Decision.OK
    assert fresh.take("cam-a-1", "cam-a") is not None
