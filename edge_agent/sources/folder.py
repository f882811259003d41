"""A watched folder: what is put into it is inspected once, then moved to `done/` or `unreadable/`.

A file is taken when its size and time have not changed between two looks. It is moved only after its verdict is on
disk; after a kill in between, the record says that it was inspected and the file is just moved.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contracts.errors import ConfigurationError
from contracts.frame import Clock, Decision, Frame, Verdict
from edge_agent.source import Capture

DONE, UNREADABLE = "done", "unreadable"
_PARTIAL_SUFFIXES = (".part", ".partial", ".tmp", ".crdownload")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Seen:
    """A file as it lay there at one look."""

    path: Path
    size: int
    modified_ns: int

    @property
    def reference(self) -> str:
        return f"{self.path}:{self.modified_ns}:{self.size}"


class FolderSource:
    """Images of one folder, oldest first. Raises ConfigurationError where the folder cannot be used.

    `live`: a camera writes them, so that a file's time is that of the trigger and the deadline counts from there;
    otherwise it counts from when the file is taken.
    """

    def __init__(
        self,
        path: Path,
        *,
        camera: str,
        product: str,
        line: str,
        view: str,
        scan_seconds: float,
        settle_seconds: float,
        max_bytes: int,
        live: bool = False,
        next_sequence: Callable[[str], int],
        on_record: Callable[[str], bool],
    ) -> None:
        self.name = f"folder {path}"
        self._path = path
        self._camera, self._product, self._line, self._view = camera, product, line, view
        self._scan_seconds, self._settle_seconds, self._max_bytes = scan_seconds, settle_seconds, max_bytes
        self._live = live
        self._next_sequence, self._on_record = next_sequence, on_record
        self._closed = threading.Event()
        self._before: dict[Path, _Seen] = {}
        self._taken: set[str] = set()  # references between verdict and move
        try:
            for folder in (path, path / DONE, path / UNREADABLE):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"cannot use the folder {path}: {error.strerror}; check its rights") from error

    def captures(self) -> Iterator[Capture | None]:
        """Settled files, one after another; None when there is nothing to do."""
        while not self._closed.is_set():
            for seen in self._settled():
                if self._closed.is_set():
                    break
                if self._on_record(seen.reference):
                    self._move(seen, DONE)
                    continue
                capture = self._capture(seen)
                if capture is not None:
                    yield capture
            yield None
            self._closed.wait(self._scan_seconds)

    def close(self) -> None:
        """Take no more files."""
        self._closed.set()

    def _settled(self) -> list[_Seen]:
        now = {seen.path: seen for seen in self._look()}
        old_enough = time.time_ns() - int(self._settle_seconds * 1e9)
        settled = [
            seen
            for path, seen in now.items()
            if self._before.get(path) == seen and seen.modified_ns <= old_enough and seen.reference not in self._taken
        ]
        self._before = now
        return sorted(settled, key=lambda seen: (seen.modified_ns, seen.path.name))

    def _look(self) -> Iterator[_Seen]:
        try:
            with os.scandir(self._path) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.name.lower().endswith(_PARTIAL_SUFFIXES):
                        continue
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(found.st_mode):
                        yield _Seen(self._path / entry.name, found.st_size, found.st_mtime_ns)
        except OSError as error:
            _log.warning("cannot look into %s: %s; trying again", self._path, error)

    def _capture(self, seen: _Seen) -> Capture | None:
        if seen.size > self._max_bytes:
            _log.warning("%s is larger than %d bytes and is not inspected", seen.path, self._max_bytes)
            self._move(seen, UNREADABLE)
            return None
        try:
            image = seen.path.read_bytes()
        except OSError as error:
            _log.warning("cannot read %s: %s; trying again", seen.path, error)
            return None
        self._taken.add(seen.reference)
        age = max(0.0, time.time() - seen.modified_ns / 1e9) if self._live else 0.0
        return Capture(
            frame=self._frame(seen),
            image=image,
            reference=seen.reference,
            since=time.monotonic() - age,
            recorded=self._mover(seen),
        )

    def _frame(self, seen: _Seen) -> Frame:
        sequence = self._next_sequence(self._camera)
        return Frame(
            part_id=part_id_of(seen.path) or f"{self._camera}-{sequence}",
            sequence=sequence,
            product=self._product,
            camera=self._camera,
            view=self._view,
            line=self._line,
            triggered_at=datetime.fromtimestamp(seen.modified_ns / 1e9, UTC),
            clock=Clock.UNKNOWN,
        )

    def _mover(self, seen: _Seen) -> Callable[[Verdict], None]:
        def recorded(verdict: Verdict) -> None:
            if verdict.decision is Decision.NO_VERDICT:
                _log.warning("%s: %s", seen.path, verdict.reason)
            self._move(seen, UNREADABLE if verdict.decision is Decision.NO_VERDICT else DONE)
            self._taken.discard(seen.reference)

        return recorded

    def _move(self, seen: _Seen, folder: str) -> None:
        target = self._path / folder / seen.path.name
        number = 1
        while target.exists():
            number += 1
            target = self._path / folder / f"{seen.path.stem}-{number}{seen.path.suffix}"
        try:
            os.rename(seen.path, target)
        except FileNotFoundError:
            _log.info("%s was taken away before it could be moved", seen.path)
        except OSError as error:
            _log.error("cannot move %s to %s: %s; check the folder's rights", seen.path, target, error)


def part_id_of(path: Path) -> str:
    """The part id that a file name gives: its stem, with whatever an id may not hold as a hyphen.

    >>> part_id_of(Path("Nr 17 (oben).png"))
    'Nr-17-oben'
    """
    return re.sub(r"[^A-Za-z0-9_.:-]+", "-", path.stem).strip("-.")[:128]
