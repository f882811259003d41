"""One camera or video file as a source: pictures out of its tray, its device kept going by a supervisor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from contracts.errors import LinesideError, LinkError, QuotaError
from contracts.frame import Clock, Frame, Verdict
from edge_agent.source import Capture
from edge_agent.sources.attempt import Attempt
from edge_agent.sources.device import Device
from edge_agent.sources.supervisor import Supervisor
from edge_agent.sources.tray import Pace, Shot, Tray, Trigger
from edge_agent.trouble import Trouble

_STOPPING = "the agent is stopping; trigger again in a moment"


@dataclass(frozen=True)
class Place:
    """What the frames of a camera say of themselves."""

    camera: str
    product: str = "default"
    line: str = "line-1"
    view: str = "top"


class CameraSource:
    """The source over one supervised device: give its supervisor `seen` and `wake`, then the supervisor to `watch`."""

    def __init__(
        self,
        place: Place,
        pace: Pace,
        *,
        next_sequence: Callable[[str], int],
        on_record: Callable[[str], bool],
        passed_over: Callable[[str], None],
        patience_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place, self.name = place, f"camera {place.camera}"
        self._draw: Callable[[], int] = partial(next_sequence, place.camera)
        self._passed_over: Callable[[], None] = partial(passed_over, place.camera)
        self._on_record, self._patience_seconds, self._clock = on_record, patience_seconds, clock
        self._tray = Tray(pace, draw=self._draw, passed_over=self._passed_over, clock=clock)
        self.wake = self._tray.stir
        """For the supervisor: the state of the device has changed."""
        self._supervisor: Supervisor | None = None

    def watch(self, supervisor: Supervisor) -> None:
        """Read what this one keeps going."""
        self._supervisor = supervisor

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong with the camera, in plain words, or None."""
        return None if self._supervisor is None else self._supervisor.trouble

    @property
    def triggered(self) -> bool:
        """Whether it takes pictures when `trigger` is called, and only then."""
        return self._tray.pace.trigger == "software"

    def close(self) -> None:
        """Take no more pictures."""
        self._tray.close()

    def trigger(self, part_id: str | None = None, product_code: str | None = None) -> Future[Verdict]:
        """Take a picture now, of the product that is named; the future gets its verdict once that is on record.

        Raises LinkError where the camera is away, QuotaError where too many wait or the agent stops.
        """
        why = self._away()
        if why is not None:
            self._draw()
            raise LinkError(why)
        return self._tray.ask(part_id, product_code).answer

    def seen(self, attempt: Attempt, device: Device) -> None:
        """A frame was grabbed (in the device's thread): fetch it where somebody wants it."""
        at = self._clock()
        if self._tray.pace.every_frame_waits and not self._tray.wait_for_room(lambda: attempt.left):
            return
        if not self._tray.wants(at):
            self._passed_over()
            return
        picture = device.retrieve()
        if not attempt.left:
            self._tray.put(picture, at)

    def captures(self) -> Iterator[Capture | None]:
        """Pictures in order; None whenever there is none for now."""
        if self._supervisor is None:
            raise RuntimeError("a camera is watched before it is read")
        try:
            while not self._tray.closed:
                wait = self._supervisor.step()
                self._expire()
                taken = self._tray.take()
                if taken is None:
                    yield None
                    self._tray.wait(wait)
                elif not self._known(taken[0]):
                    yield self._capture(*taken)
        finally:
            self._supervisor.close()
            self._refuse(self._tray.expire(None), QuotaError(_STOPPING))

    def _away(self) -> str | None:
        """Why no picture can be expected now, or None."""
        if self._supervisor is None:
            return f"{self.name} is not read yet; trigger again in a moment"
        if self._supervisor.ended:
            return f"{self.name} has no more pictures: its file has been read to the end"
        return self._supervisor.trouble

    def _expire(self) -> None:
        """Triggers of a camera that is away, or that have waited too long, get no picture."""
        why = self._away()
        gone = self._tray.expire(None if why is not None else self._clock() - self._patience_seconds)
        self._refuse(gone, LinkError(why or f"{self.name} sent no picture within {self._patience_seconds:g} s"))

    def _refuse(self, triggers: list[Trigger], error: LinesideError) -> None:
        for trigger in triggers:
            _settle(trigger.answer, error)

    def _known(self, shot: Shot) -> bool:
        """A frame of a file that was inspected before a restart."""
        return shot.picture.reference is not None and self._on_record(shot.picture.reference)

    def _capture(self, shot: Shot, trigger: Trigger | None) -> Capture:
        image, reference = shot.picture.image, shot.picture.reference
        if trigger is None:
            sequence = self._draw() if shot.sequence is None else shot.sequence
            return Capture(frame=self._frame(shot, sequence, None), image=image, reference=reference)
        return Capture(
            frame=self._frame(shot, trigger.sequence, trigger.part_id),
            image=image,
            reference=reference,
            waiting=True,
            product_code=trigger.product_code,
            sensor=reference is None,
            recorded=lambda verdict: _settle(trigger.answer, verdict),
            refused=lambda error: _settle(trigger.answer, error),
        )

    def _frame(self, shot: Shot, sequence: int, part_id: str | None) -> Frame:
        place = self.place
        return Frame(
            part_id=part_id or f"{place.camera}-{sequence}",
            sequence=sequence,
            product=place.product,
            camera=place.camera,
            view=place.view,
            line=place.line,
            triggered_at=shot.at,
            clock=Clock.FREE_RUNNING,
        )


def _settle(future: Future[Verdict], answer: Verdict | LinesideError) -> None:
    if future.done():
        return
    if isinstance(answer, LinesideError):
        future.set_exception(answer)
    else:
        future.set_result(answer)
