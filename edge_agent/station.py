"""The place where images are inspected: capture in, verdict on its way to disk. The hot path; no network here."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.frame import Frame
from contracts.telemetry import Event, EventKind
from drift.camera import CameraFault, Look
from edge_agent.commits import Commits
from edge_agent.courtesy import Courtesy
from edge_agent.deadline import Deadlines
from edge_agent.feed import Feed
from edge_agent.inspection import Inspection, Inspector
from edge_agent.keepsake import Written
from edge_agent.ledger import Item, Ledger
from edge_agent.metrics import Metrics
from edge_agent.outputs.lane import Told
from edge_agent.recent import Recent
from edge_agent.source import Capture
from edge_agent.under_way import UnderWay

_RECENT = 20  # images


class Health(Protocol):
    """Watches the pictures of one camera; `drift.camera.CameraHealth` fits."""

    def look(self, image: NDArray[np.uint8]) -> Look: ...

    def follow(self, look: Look, moment: datetime, product: str) -> str | None: ...

    def check(self, moment: datetime) -> str | None: ...


class Keeper(Protocol):
    """Decides whether an image is kept; `edge_agent.buffer.ImageBuffer` fits."""

    def offer(self, inspection: Inspection) -> Written | None: ...


class Beside(Protocol):
    """Gets every inspected image after the fact; `edge_agent.shadow.ShadowRunner` fits."""

    def offer(self, inspection: Inspection) -> None: ...


class Station:
    """Inspects captures of all sources with the active bundle."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        health: Callable[[str, bool], Health],
        keeper: Keeper,
        beside: Beside,
        recent: Recent,
        metrics: Metrics,
        trust_faulty_cameras: bool,
        deadlines: Deadlines,
    ) -> None:
        self._ledger, self._keeper, self._beside, self._recent, self._metrics = ledger, keeper, beside, recent, metrics
        self._make_health = health
        self.deadlines = deadlines
        ledger.judge = lambda inspection: deadlines.judge(inspection, time.monotonic())
        ledger.recorded = self._recorded
        self._trust = trust_faulty_cameras
        self._healths: dict[str, Health] = {}
        self._active: Inspector | None = None
        self._ready = threading.Event()
        self.commits = Commits(ledger, metrics.commit_seconds.observe)
        """When what was inspected goes on disk."""
        self.faults: dict[str, str] = {}
        """Camera -> what is wrong with it now."""
        self._failed: deque[bool] = deque(maxlen=_RECENT)
        self.answered = 0
        """Images with a verdict of the active bundle since the start."""
        self.paused: Callable[[], str | None] = lambda: None
        """Why no part gets a verdict now, though the model could answer; or None."""
        self.tell: Callable[[Told], None] = lambda told: None
        """Called for each verdict that is on record; must not wait."""
        self.choose: Callable[[str, Inspector], Inspector | str] = lambda product, active: active
        """What judges a product, given the active bundle: that, another one, or why nothing does."""
        self.under_way = UnderWay(deadlines)
        self.courtesy = Courtesy(self.under_way.idle_seconds)
        """For whoever works beside the line."""

    @property
    def active(self) -> Inspector | None:
        """The bundle that serves; None before the first."""
        return self._active

    @property
    def failures(self) -> int:
        """How many of its last images (20 at most) the active model itself could not answer."""
        return sum(list(self._failed))

    def activate(self, inspector: Inspector) -> None:
        """Serve with another bundle from the next image on."""
        self._active = inspector
        self._failed.clear()
        self._metrics.bundle.info({"bundle_hash": inspector.bundle.hash, "variant": inspector.session.variant})
        self._ready.set()

    def watch(self, feed: Feed, stopping: threading.Event, *, beside: bool = False) -> None:
        """Inspect everything that comes from a source until it is closed; waits for a first bundle. Several threads may
        watch one feed. They commit themselves, and hold the source while the disk is full; or leave it to
        `commits.keep` beside them."""
        commit = self.commits.soon if beside else partial(self.commits.hold, stopping)
        due = commit if self._ledger.prompt or not beside else self.commits.owe
        while not self._ready.wait(0.2):
            if stopping.is_set():
                return
        try:
            while (taken := feed.take(commit)) is not None:
                number, capture = taken
                if capture is None:
                    commit()
                else:
                    self.commits.settle()
                    feed.in_turn(number, partial(_then, self.examine(capture, feed.name), due))
        except BaseException:
            feed.give_up()
            raise
        self.commits.hold(stopping)

    def inspect(self, capture: Capture, source: str) -> bool:
        """Inspect one capture; says whether it is time to commit."""
        return self.examine(capture, source)()

    def examine(self, capture: Capture, source: str) -> Callable[[], bool]:
        """Do what one capture alone needs, the network above all. What depends on those before it is left to the call
        that is returned, to be made in their order; it says whether it is time to commit."""
        active = self._active
        if active is None:
            raise RuntimeError("there is no active bundle")
        paused = self.paused()
        chosen = paused or capture.unjudged or self.choose(capture.frame.product, active)
        inspector = active if isinstance(chosen, str) else chosen
        self.under_way.begin(capture.frame.camera, inspector)
        if not isinstance(chosen, str):
            inspection = inspector.inspect(capture)
        else:
            inspection = active.unjudged(capture, chosen) if paused is None else active.passed_by(capture, paused)
        look = self._look(inspection) if paused is None else None  # a hand before the lens is no fault meanwhile
        self.under_way.end()
        return partial(self._conclude, inspection, inspector, source, look, paused=paused is not None)

    def _look(self, inspection: Inspection) -> Look | None:
        """What the picture shows of its camera; needs none of those before it."""
        if inspection.shown is None:
            return None
        capture = inspection.capture
        health = self._healths.get(capture.frame.camera)
        if health is None:
            live = capture.sensor or (not capture.waiting and capture.reference is None)
            health = self._healths.setdefault(capture.frame.camera, self._make_health(capture.frame.camera, live))
        return health.look(inspection.shown)

    def _conclude(
        self, inspection: Inspection, active: Inspector, source: str, look: Look | None, *, paused: bool
    ) -> bool:
        events: list[Event] = []
        fault = None if look is None else self._check(inspection.capture.frame, look, events)
        if fault is not None:
            inspection = active.withheld(inspection, fault)
        keep = self._keeper.offer(inspection)
        if active is self._active and not paused:
            self._failed.append(inspection.model_failed)
            self.answered += inspection.vector is not None
            self._beside.offer(inspection)
        return self._ledger.append(Item(inspection, active.vector_names, source, tuple(events), keep, active.runtime))

    def check_silence(self, now: datetime) -> None:
        """Report cameras from which nothing has come for too long."""
        for camera, health in list(self._healths.items()):
            fault = health.check(now)
            if fault is not None and camera not in self.faults:
                self._report(camera, fault, now)
                self._ledger.commit()

    def report_dead(self, camera: str, now: datetime, why: str) -> None:
        """No frames come from a camera, says its source; it is committed with whatever comes next."""
        if self.faults.get(camera) != CameraFault.DEAD:
            self._report(camera, CameraFault.DEAD, now, why=f"no frames: {why}")

    def report_alive(self, camera: str, now: datetime) -> None:
        """Frames come again, says its source."""
        if self.faults.get(camera) == CameraFault.DEAD:
            del self.faults[camera]
            self._metrics.camera_fault.labels(camera).set(0)
            details = {"fault": CameraFault.DEAD.value}
            reason = f"no longer {CameraFault.DEAD}"
            recovered = EventKind.CAMERA_RECOVERED
            self._ledger.append_event(Event(event=recovered, at=now, camera=camera, reason=reason, details=details))

    def _report(self, camera: str, fault: str, now: datetime, **details: str) -> None:
        """A fault that was not seen on a picture."""
        self.faults[camera] = str(fault)
        self._metrics.camera_fault.labels(camera).set(1)
        details = {"fault": str(fault), **details}
        event = Event(event=EventKind.CAMERA_FAULT, at=now, camera=camera, reason=str(fault), details=details)
        self._ledger.append_event(event)

    def _recorded(self, inspection: Inspection) -> None:
        """One inspection is on record: show it, count it, tell the line."""
        verdict, capture = inspection.verdict, inspection.capture
        self._recent.add(verdict, inspection.pixels, inspection.visible, heat=inspection.heat, size=inspection.size)
        self._metrics.count(verdict)
        self.tell(Told(verdict, capture.since, self.deadlines.of(capture.frame.camera)))

    def _check(self, frame: Frame, look: Look, events: list[Event]) -> str | None:
        """Why the camera cannot be trusted now, or None; a change becomes an event."""
        fault = self._healths[frame.camera].follow(look, frame.triggered_at, frame.product)
        fault = None if fault is None else str(fault)
        before = self.faults.get(frame.camera)
        if fault != before:
            events.append(_fault_event(frame, fault, before))
            self._metrics.camera_fault.labels(frame.camera).set(fault is not None)
            if fault is None:
                del self.faults[frame.camera]
            else:
                self.faults[frame.camera] = fault
        return None if fault is None or self._trust else fault_reason(frame.camera, fault)


def _then(conclude: Callable[[], bool], due: Callable[[], None]) -> None:
    if conclude():
        due()


def fault_reason(camera: str, fault: str) -> str:
    """Why a part before a faulty camera gets no verdict, as the record has it."""
    return f"camera {camera} is faulty: {fault}"


def _fault_event(frame: Frame, fault: str | None, before: str | None) -> Event:
    kind = EventKind.CAMERA_FAULT if fault is not None else EventKind.CAMERA_RECOVERED
    return Event(
        event=kind,
        at=frame.triggered_at,
        camera=frame.camera,
        product=frame.product,
        reason=fault or f"no longer {before}",
        details={"fault": fault or before, "first_frame": frame.sequence},
    )
