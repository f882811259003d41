"""The clock of a training: the wall's, unless work beside it must not count."""

from __future__ import annotations

import time

import pytest

from trainer.clock import now, of_the_processor


def test_processor_seconds_pass_only_while_it_works() -> None:
    before = now()
    with of_the_processor(1):
        began = now()
        time.sleep(0.2)
        slept = now() - began
        while now() - began < slept + 0.05:
            pass
    assert slept < 0.1
    assert now() - before >= 0.25


def test_threads_share_the_seconds_and_the_wall_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "process_time", lambda: 12.0)
    with of_the_processor(4):
        assert now() == 3.0
    assert abs(now() - time.monotonic()) < 60


def test_an_interrupt_brings_the_wall_back() -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupted()
    assert abs(now() - time.monotonic()) < 60


def _interrupted() -> None:
    with of_the_processor(4):
        raise KeyboardInterrupt
