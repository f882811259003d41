"""Images that are pushed: told how long each was in the queue."""

from __future__ import annotations

import time

from edge_agent.sources.push import PushSource


def test_it_tells_how_long_each_image_waited_for_a_thread() -> None:
    waited: list[float] = []
    source = PushSource(length=4, next_sequence=lambda camera: 1, waited=waited.append)
    for _ in range(2):
        source.push(b"image", part_id=None, product="nut", camera="cam-a", line="line-1")
    captures = source.captures()
    next(captures)
    time.sleep(0.05)
    next(captures)
    first, second = waited
    assert second >= first + 0.04
