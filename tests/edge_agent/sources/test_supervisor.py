"""What dies is opened again: a device that fails, hangs, says nothing, breaks its library, or cannot be opened."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Iterator

import pytest

from edge_agent.sources.backoff import LONGEST_SECONDS, Backoff
from edge_agent.sources.supervisor import MOST_HUNG, Supervisor
from tests.edge_agent.conftest import wait_for
from tests.simulators.devices import FakeLibrary

SILENT_SECONDS = 0.15


class Watched:
    """A supervisor over a fake library, stepped by the test."""

    def __init__(self, library: FakeLibrary, *, must_flow: bool = True, again: bool = False) -> None:
        self.library = library
        self.frames = 0
        self.told: list[str] = []
        self.supervisor = Supervisor(
            "camera cam-a (usb:0)",
            library.open,
            seen=self._seen,
            changed=lambda: None,
            silent_seconds=SILENT_SECONDS,
            must_flow=must_flow,
            advice="Check the cable.",
            backoff=Backoff(rng=random.Random(1), first_seconds=0.01, longest_seconds=0.05),
            again=again,
        )
        self.supervisor.down = lambda why: self.told.append(why)
        self.supervisor.up = lambda: self.told.append("up")

    def _seen(self, *_: object) -> None:
        self.frames += 1

    def until_told(self, count: int) -> list[str]:
        wait_for(lambda: self.supervisor.step() and len(self.told) >= count)
        return self.told

    def until_frames(self, count: int) -> None:
        wait_for(lambda: self.supervisor.step() and self.frames >= count)


@pytest.fixture
def library() -> Iterator[FakeLibrary]:
    library = FakeLibrary()
    yield library
    library.release()


def test_a_device_that_delivers_is_left_alone(library: FakeLibrary) -> None:
    watched = Watched(library)
    watched.until_frames(20)
    watched.supervisor.close()
    assert watched.told == []
    assert len(library.opened) == 1
    assert library.opened[0].closed.is_set()


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("fails", "no more frames come from it"),
        ("hangs", "it hangs: no answer"),
        ("nothing", "no frames for"),
        ("breaks", r"its library failed \(RuntimeError\)"),
    ],
)
def test_what_dies_is_told_once_closed_and_opened_again(library: FakeLibrary, mode: str, why: str) -> None:
    watched = Watched(library)
    watched.until_frames(3)
    library.mode = mode
    (told,) = watched.until_told(1)
    assert re.match(why, told)
    assert watched.supervisor.trouble is not None
    assert "Check the cable." in watched.supervisor.trouble
    library.mode = "delivers"
    assert watched.until_told(2)[1:] == ["up"]
    assert watched.supervisor.trouble is None
    watched.until_frames(watched.frames + 5)
    watched.supervisor.close()
    library.release()
    wait_for(lambda: all(device.closed.is_set() for device in library.opened))


def test_it_is_told_once_however_often_it_fails(library: FakeLibrary) -> None:
    library.refuse = 5
    watched = Watched(library)
    assert watched.until_told(2) == ["it cannot be opened", "up"]
    watched.supervisor.close()


def test_a_camera_that_waits_for_its_own_trigger_may_be_silent_but_not_hang(library: FakeLibrary) -> None:
    library.mode = "nothing"
    watched = Watched(library, must_flow=False)
    wait_for(lambda: watched.supervisor.step() and bool(library.opened))
    first = library.opened[0]
    polls = iter(range(10_000))
    wait_for(lambda: watched.supervisor.step() and next(polls) > 3 * SILENT_SECONDS / 0.02)
    assert watched.told == []
    assert library.opened == [first]
    library.mode = "hangs"
    assert watched.until_told(1)[0].startswith("it hangs")
    watched.supervisor.close()


def test_threads_that_hang_do_not_pile_up(library: FakeLibrary) -> None:
    library.mode = "hangs"
    watched = Watched(library)
    wait_for(
        lambda: watched.supervisor.step() and f"{MOST_HUNG} calls to it hang" in (watched.supervisor.trouble or "")
    )
    for _ in range(20):
        watched.supervisor.step()
    assert len(library.opened) == MOST_HUNG
    library.mode = "delivers"
    library.release()
    watched.until_frames(3)
    watched.supervisor.close()


def test_a_password_in_what_a_library_says_is_not_repeated(
    library: FakeLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    library.mode = "breaks"
    watched = Watched(library)
    with caplog.at_level(logging.DEBUG):
        watched.until_told(1)
    watched.supervisor.close()
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text + str(watched.told) + str(watched.supervisor.trouble)


def test_a_file_ends_without_a_fault(library: FakeLibrary) -> None:
    watched = Watched(library)
    watched.until_frames(3)
    library.mode = "ends"
    wait_for(lambda: watched.supervisor.step() and watched.supervisor.ended)
    for _ in range(5):
        watched.supervisor.step()
    assert watched.told == []
    assert len(library.opened) == 1


def test_a_file_that_is_played_again_begins_anew(library: FakeLibrary) -> None:
    watched = Watched(library, again=True)
    for turn in range(1, 4):
        library.mode = "delivers"
        watched.until_frames(watched.frames + 2)
        library.mode = "ends"
        wait_for(lambda turn=turn: watched.supervisor.step() >= 0.0 and library.opened[turn - 1].closed.is_set())
        library.mode = "delivers"
        wait_for(lambda turn=turn: watched.supervisor.step() >= 0.0 and len(library.opened) > turn)
    watched.supervisor.close()
    assert watched.told == []


def test_a_file_without_frames_is_a_fault(library: FakeLibrary) -> None:
    library.mode = "ends"
    watched = Watched(library, again=True)
    assert watched.until_told(1) == ["it holds no frames"]
    watched.supervisor.close()


def test_waits_double_to_the_longest_and_jitter_keeps_cameras_apart() -> None:
    rng = random.Random(3)
    backoffs = [Backoff(rng=rng) for _ in range(50)]
    waits = [[backoff.after(worked_seconds=0.0) for _ in range(8)] for backoff in backoffs]
    for number in range(8):
        plain = min(2.0**number, LONGEST_SECONDS)
        column = [row[number] for row in waits]
        assert all(0.8 * plain <= wait <= 1.2 * plain for wait in column)
        assert len(set(column)) == len(column)


def test_what_worked_for_long_is_tried_again_soon_and_what_flaps_is_not() -> None:
    backoff = Backoff(rng=random.Random(1), jitter=0.0)
    assert [backoff.after(worked_seconds=2.0) for _ in range(4)] == [1.0, 2.0, 4.0, 8.0]
    assert backoff.after(worked_seconds=LONGEST_SECONDS) == 1.0
