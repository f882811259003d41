"""Which image belongs to which trigger of a PLC."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from contracts.frame import Frame
from edge_agent.source import Capture


@dataclass(frozen=True)
class Order:
    """A trigger that waits for an image taken at `since` (monotonic seconds) or later, for a part that may be named."""

    camera: str
    since: float
    triggered: float
    part_id: str
    product: str = ""
    """As the PLC calls it; empty: it did not say."""


class Triggers:
    """One open order for each camera at most. Thread-safe: PLCs open orders, the station asks before it inspects.

    The first image of the camera taken after the trigger is the part's: its record and its verdict carry the PLC's part
    id, and its deadline counts from the trigger. An image that somebody sent as another part is not taken for it.
    """

    def __init__(self) -> None:
        self._open: dict[str, Order] = {}
        self._claimed: dict[tuple[str, int], Order] = {}
        self._lock = threading.Lock()

    def open(self, order: Order) -> None:
        """Wait for its image; an older order of the camera is given up."""
        with self._lock:
            self._drop(order.camera)
            self._open[order.camera] = order

    def close(self, camera: str) -> None:
        """Nobody waits for an image of this camera any more."""
        with self._lock:
            self._drop(camera)

    def claim(self, capture: Capture) -> Capture:
        """The capture, as the part of the trigger that waits for it, if one does."""
        frame = capture.frame
        with self._lock:
            order = self._open.get(frame.camera)
            if order is None or capture.since < order.since or _is_another_part(capture, order):
                return capture
            del self._open[frame.camera]
            self._claimed[frame.camera, frame.sequence] = order
        part_id = order.part_id or frame.part_id
        code = order.product or capture.product_code
        return replace(
            capture, frame=frame.model_copy(update={"part_id": part_id}), since=order.triggered, product_code=code
        )

    def answers(self, camera: str, sequence: int) -> Order | None:
        """The order whose image this was, once; None where it was nobody's or is given up."""
        with self._lock:
            return self._claimed.pop((camera, sequence), None)

    def _drop(self, camera: str) -> None:
        self._open.pop(camera, None)
        for key in [key for key in self._claimed if key[0] == camera]:
            del self._claimed[key]


def _is_another_part(capture: Capture, order: Order) -> bool:
    """Whoever waits for the image himself said which part it shows, and it is not the PLC's."""
    said = capture.waiting and not _made_up(capture.frame)
    return said and bool(order.part_id) and capture.frame.part_id != order.part_id


def _made_up(frame: Frame) -> bool:
    return frame.part_id == f"{frame.camera}-{frame.sequence}"
