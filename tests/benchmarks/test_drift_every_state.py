"""What counts as lost and as done twice when the killed story is held against the undisturbed one."""

from collections import Counter

from benchmarks.drift.every_state import compared


def test_what_is_missing_is_lost_and_what_is_more_was_done_twice() -> None:
    calm = Counter({"messages": 10, "governor-go": 1, "candidate.promoted": 2})
    killed = Counter({"messages": 9, "governor-go": 2, "candidate.promoted": 2})
    kills, lost, twice = compared(calm, killed, ["drift", "governor-go"])
    assert (kills.value, lost.value, twice.value) == (2, 1, 1)
    assert "1 messages" in lost.note
    assert "1 governor-go" in twice.note
    assert [figure.value for figure in compared(calm, calm, [])] == [0, 0, 0]
