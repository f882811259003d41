"""Of two workers one waits while the other has a test that wants the machine alone."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

from tests.edge_agent.conftest import wait_for
from tests.workers import DOOR, MACHINE, turn


def is_shut(door: Path) -> bool:
    with door.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_turn_alone_waits_for_those_before_it_and_keeps_out_those_after_it(tmp_path: Path) -> None:
    (tmp_path / DOOR).touch()
    (tmp_path / MACHINE).touch()
    turns: list[str] = []

    def take(name: str, *, alone: bool = False) -> None:
        with turn(alone=alone, folder=tmp_path):
            turns.append(f"{name} begins")
            turns.append(f"{name} ends")

    journey = threading.Thread(target=take, args=("journey",), kwargs={"alone": True})
    after = threading.Thread(target=take, args=("after",))
    with turn(alone=False, folder=tmp_path):
        take("beside")
        journey.start()
        wait_for(lambda: is_shut(tmp_path / DOOR))
        after.start()
        turns.append("before ends")
    journey.join()
    after.join()
    first, rest = turns[:3], turns[3:]
    assert first == ["beside begins", "beside ends", "before ends"]
    assert rest == ["journey begins", "journey ends", "after begins", "after ends"]
