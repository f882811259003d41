"""Answers as files: one JSON per image, whole or not there, under a quota."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from contracts.answer import Answer
from contracts.errors import LinkError
from edge_agent.outputs.output import Pulse
from runtime.durable import write_durably

_SUFFIX = ".answer.json"
_TRIMMED_TO = 0.95  # of the quota, so that the folder is not read again for every file


class FolderOutput:
    """Writes `{part}.{camera}.{sequence}.answer.json` (`answer-v1`) into `path`. Whoever reads them may take them away;
    the oldest go when there are more than `most_files`, and are counted. Other files are never touched."""

    def __init__(self, name: str, path: Path, *, most_files: int, dropped: Callable[[int], None]) -> None:
        self.name = name
        self._path, self._most_files, self._dropped = path, most_files, dropped
        self._files: deque[str] = deque()  # names, oldest first; those taken away are found out at the quota

    def open(self) -> None:
        """Raises LinkError where the folder cannot be used."""
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            self._files = deque(self._look())
        except OSError as error:
            raise self._unusable(error) from error

    def deliver(self, answer: Answer) -> None:
        """Raises LinkError where the file cannot be written, a full disk among others."""
        name = file_name(answer)
        try:
            write_durably(self._path / name, answer.model_dump_json(indent=1).encode())
        except OSError as error:
            raise self._unusable(error) from error
        self._files.append(name)
        if len(self._files) > self._most_files:
            self._trim()

    def beat(self, pulse: Pulse) -> bool:
        """Nobody listens for it."""
        return False

    def close(self) -> None:
        """Nothing is held."""

    def _trim(self) -> None:
        """Keep the quota, counting only files that nobody had taken."""
        try:
            self._files = deque(self._look())
            if len(self._files) <= self._most_files:
                return
            gone = len(self._files) - max(1, int(_TRIMMED_TO * self._most_files))
            for _ in range(gone):
                (self._path / self._files.popleft()).unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        self._dropped(gone)

    def _look(self) -> list[str]:
        """Our own files, oldest first."""
        found: list[tuple[int, str]] = []
        with os.scandir(self._path) as entries:
            for entry in entries:
                if entry.name.endswith(_SUFFIX) and entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):  # taken away at this moment
                        found.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name))
        return [name for _, name in sorted(found)]

    def _unusable(self, error: OSError) -> LinkError:
        return LinkError(f"cannot write answers into {self._path}: {error.strerror or error}; check rights and room")


def file_name(answer: Answer) -> str:
    """The name of an answer's file; what a part id may hold and a file name on some systems may not is a hyphen."""
    part = re.sub(r"[^A-Za-z0-9_.-]", "-", answer.part_id).lstrip(".")
    return f"{part or 'part'}.{answer.camera}.{answer.sequence}{_SUFFIX}"
