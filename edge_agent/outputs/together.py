"""Views of one part: a line hears nothing of a view before the part is decided, and then the part's decision.

One good view is not a good part. So the answer on each view carries what was decided about the part, and keeps the
verdict on the view beside it (`recorded`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from contracts.frame import Frame
from contracts.part import PartVerdict
from edge_agent.outputs.lane import Told

_REMEMBERED = 256  # parts of which a view is still on its way here
_MOST_HELD = 1000  # views


class Together:
    """Stands before the outputs: `tell` takes verdicts on record, `decided` part verdicts, in any order. Thread-safe.

    A view that belongs to no decision before its deadline (it came after its part was decided) is handed on when that
    is over, and so becomes NO_VERDICT.
    """

    def __init__(
        self,
        is_view: Callable[[str], bool],
        tell: Callable[[Told], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_view, self._tell, self._clock = is_view, tell, clock
        self._held: deque[Told] = deque()
        self._decided: deque[tuple[PartVerdict, set[str]]] = deque(maxlen=_REMEMBERED)
        self._lock = threading.Lock()

    def tell(self, told: Told) -> None:
        """A verdict is on record. That of a camera which sees a part with others waits for the part."""
        frame = told.verdict.frame
        view = self._is_view(frame.camera)
        with self._lock:
            part = self._awaited(frame) if view else None
            if view and part is None:
                self._held.append(told)
            over = self._over()
        for each in over:
            self._tell(each)
        if not view:
            self._tell(told)
        elif part is not None:
            self._tell(replace(told, part=part))

    def decided(self, part: PartVerdict) -> None:
        """A part is decided: so are the views that came in time."""
        with self._lock:
            answered = [each for each in self._held if _belongs(each.verdict.frame, part)]
            self._held = deque(each for each in self._held if not _belongs(each.verdict.frame, part))
            missing = set(part.views) - {each.verdict.frame.camera for each in answered}
            if missing:
                self._decided.append((part, missing))
            over = self._over()
        for each in over:
            self._tell(each)
        for each in answered:
            self._tell(replace(each, part=part))

    def _awaited(self, frame: Frame) -> PartVerdict | None:
        """The decision that was made of this view before it came here."""
        for number, (part, cameras) in enumerate(self._decided):
            if part.part_id == frame.part_id and frame.camera in cameras:
                cameras.discard(frame.camera)
                if not cameras:
                    del self._decided[number]
                return part
        return None

    def _over(self) -> list[Told]:
        """What has waited past its deadline, and the oldest where too many wait."""
        if not self._held:
            return []
        now = self._clock()
        over = [each for each in self._held if now - each.since > each.deadline_seconds]
        self._held = deque(each for each in self._held if now - each.since <= each.deadline_seconds)
        while len(self._held) > _MOST_HELD:
            self._held.popleft()  # its line hears nothing, which is never OK
        return over


def _belongs(frame: Frame, part: PartVerdict) -> bool:
    return frame.part_id == part.part_id and frame.camera in part.views
