"""An agent's source over the simulated line or over real pictures, steered by a control file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field

from contracts.errors import ConfigurationError
from contracts.frame import Clock, Frame
from contracts.names import Name
from contracts.settings import Settings
from edge_agent.source import Capture
from lineside.line import Part, SimulatedLine
from lineside.stream.control import ControlFile, LineControl
from lineside.stream.pictures import PictureLine, read_pool
from lineside.stream.truth import Truth, TruthLog, last_sequences

_IDLE_SECONDS = 0.05
_READ_CONTROL_EVERY = 10  # parts


class StreamSettings(Settings):
    """Which line an agent watches. Pools map a name to a manifest; without pools the simulated line runs. A picture is
    one part however often it comes, unless `new_part_each_time`."""

    seed: int = 0
    cameras: tuple[Name, ...] = ("camera-1", "camera-2")
    product: Name = "default"
    line: Name = "line-1"
    control: Path
    truth: Path
    pools: dict[str, Path] = Field(default_factory=dict)
    first_part: int = 0
    new_part_each_time: bool = False


class LineSource:
    """Parts from all cameras of one line in turn. After a restart it goes on with the next part, as a line would."""

    name = "line"

    def __init__(self, settings: StreamSettings) -> None:
        self._settings = settings
        self._control = ControlFile(settings.control)
        self._line = _make_line(settings)
        made = last_sequences(settings.truth)
        self._next = {camera: made.get(camera, -1) + 1 for camera in settings.cameras}
        for camera, number in self._next.items():
            self._line.resume(camera, settings.first_part + number)
        self._truth = TruthLog(settings.truth)
        self._closed = False

    def close(self) -> None:
        """End `captures` after the part in hand."""
        self._closed = True

    def captures(self) -> Iterator[Capture]:
        """One capture after another until `close`; once only, the truth log ends with it."""
        try:
            yield from self._run()
        finally:
            self._truth.close()

    def _run(self) -> Iterator[Capture]:
        due = time.monotonic()
        control = self._control.current()
        number = 0
        while not self._closed:
            if number % _READ_CONTROL_EVERY == 0 or control.paused:
                control = self._control.current()
            if control.paused:
                time.sleep(_IDLE_SECONDS)
                due = time.monotonic()
                continue
            camera = self._settings.cameras[number % len(self._settings.cameras)]
            number += 1
            yield self._capture(camera, control)
            due = _wait(due, control.parts_per_second)

    def _capture(self, camera: str, control: LineControl) -> Capture:
        part = self._part(camera, control)
        sequence = self._next[camera]
        self._next[camera] = sequence + 1
        self._truth.append(Truth(part.part_id, camera, sequence, part.label, part.severity, control.era))
        frame = Frame(
            part_id=part.part_id,
            sequence=sequence,
            product=self._settings.product,
            camera=camera,
            line=self._settings.line,
            triggered_at=datetime.now(UTC),
            clock=Clock.SYNCHRONISED,
        )
        return Capture(frame=frame, image=part.image)

    def _part(self, camera: str, control: LineControl) -> Part:
        if isinstance(self._line, SimulatedLine):
            if control.simulated is None:
                raise ConfigurationError(f"{self._settings.control}: the simulated line needs the key 'simulated'")
            return self._line.next_part(camera, control.simulated)
        if control.pictures is None:
            raise ConfigurationError(f"{self._settings.control}: a line of pictures needs the key 'pictures'")
        return self._line.next_part(camera, control.pictures)


def _make_line(settings: StreamSettings) -> SimulatedLine | PictureLine:
    if not settings.pools:
        return SimulatedLine(settings.seed, settings.cameras)
    pools = {name: read_pool(path) for name, path in settings.pools.items()}
    return PictureLine(settings.seed, settings.cameras, pools, settings.product, settings.new_part_each_time)


def _wait(due: float, parts_per_second: float) -> float:
    """Sleep until the next part is due; returns when that was. A line that fell behind does not hurry afterwards."""
    now = time.monotonic()
    if parts_per_second <= 0:
        return now
    due = max(due + 1 / parts_per_second, now - 0.2)
    if due > now:
        time.sleep(due - now)
    return due
