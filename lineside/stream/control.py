"""The file that steers a running stream: written whole by the one who tells the story, read by the stream."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from contracts.settings import Settings, parse_settings
from lineside.line import Conditions
from lineside.stream.pictures import PictureConditions
from runtime.durable import write_whole


class LineControl(Settings):
    """What the line does from the next part on. Exactly one of `simulated` and `pictures` is given."""

    era: str = "start"
    paused: bool = False
    parts_per_second: float = Field(
        default=0.0, ge=0.0, description="over all cameras; 0 is as fast as the agent takes"
    )
    simulated: Conditions | None = None
    pictures: PictureConditions | None = None


def write_control(path: Path, control: LineControl) -> None:
    """Replace the file at `path` in one step."""
    write_whole(path, control.model_dump_json(indent=1))


class ControlFile:
    """Reads the control file again whenever it was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = (-1, -1)
        self._control = LineControl(paused=True)

    def current(self) -> LineControl:
        """The control in force; paused while there is no file. Raises ConfigurationError for unknown keys."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return self._control
        if (status.st_ino, status.st_mtime_ns) != self._seen:
            self._seen = (status.st_ino, status.st_mtime_ns)
            self._control = parse_control(self._path)
        return self._control


def parse_control(path: Path) -> LineControl:
    """The control in `path`."""
    import json

    return parse_settings(json.loads(path.read_text(encoding="utf-8")), LineControl, source=str(path))
