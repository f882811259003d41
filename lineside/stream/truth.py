"""What each part really was: one JSON line a part, appended by the stream, read by whoever plays the operator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO


@dataclass(frozen=True)
class Truth:
    """One part in front of one camera. `sequence` counts up by one per camera."""

    part_id: str
    camera: str
    sequence: int
    label: str
    severity: int
    era: str  # the chapter of the story in which it was made


class TruthLog:
    """Appends truths; every line is complete or absent for a reader, also after kill -9."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("a", encoding="utf-8", buffering=1)

    def append(self, truth: Truth) -> None:
        """Write one line."""
        self._file.write(json.dumps(asdict(truth)) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TruthReader:
    """Follows a truth log that is being written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new(self) -> Iterator[Truth]:
        """The truths appended since the last call, oldest first."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield Truth(**json.loads(line))


def last_sequences(path: Path) -> dict[str, int]:
    """The highest sequence of each camera in the log; empty when there is no log yet."""
    return {truth.camera: truth.sequence for truth in TruthReader(path).new()}
