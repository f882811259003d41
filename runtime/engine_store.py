"""Engines that were built on this device, kept between starts.

An engine is code: it is made here and never taken from elsewhere. What is kept lies in a folder that nobody else may
write to, under a name made of everything that an engine depends on, with the hash of its bytes before them: after a
change of GPU, driver, runtime or model there is none, and a damaged one counts as none.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from contracts.errors import BundleError
from runtime.durable import write_durably

_SUFFIXES = {".engine", ".timings", ".partial"}
_LARGEST_BYTES = 4 * 1024**3
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Device:
    """What the engines of a device depend on, beside the model."""

    gpu: str
    compute_capability: str
    driver: str
    runtime: str

    @property
    def name(self) -> str:
        """As part of a file name."""
        return _digest(asdict(self))[:16]


@dataclass(frozen=True)
class EngineKey:
    """One engine: of a model in a precision on a device."""

    device: Device
    model_sha256: str
    precision: str

    @property
    def name(self) -> str:
        """The engine's file name, without a suffix; all those of one device begin alike."""
        return f"{self.device.name}-{_digest(asdict(self))[:32]}"


class EngineStore:
    """Engines and timing caches under one folder, which is made for this user alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def engine(self, key: EngineKey) -> bytes | None:
        """None where there is none that can be trusted."""
        return self._read(f"{key.name}.engine")

    def has(self, key: EngineKey) -> bool:
        """Whether there is one; its bytes are read and checked by `engine`."""
        return (self._folder / f"{key.name}.engine").is_file() and self._trusted()

    def keep(self, key: EngineKey, engine: bytes) -> None:
        """Keep an engine that was just built; those of other drivers, runtimes and GPUs are of no use any more."""
        self._write(f"{key.name}.engine", engine)
        for path in self._folder.iterdir():
            if path.suffix in _SUFFIXES and not path.name.startswith(key.device.name):
                path.unlink(missing_ok=True)

    def timings(self, device: Device) -> bytes:
        """How fast this device ran what builders tried; empty at first."""
        return self._read(f"{device.name}.timings") or b""

    def keep_timings(self, device: Device, timings: bytes) -> None:
        """For the next engine."""
        self._write(f"{device.name}.timings", timings)

    def _read(self, name: str) -> bytes | None:
        path = self._folder / name
        if not path.is_file() or not self._trusted():
            return None
        with path.open("rb") as file:
            expected, data = file.read(64), file.read(_LARGEST_BYTES)
        if hashlib.sha256(data).hexdigest().encode() != expected:
            _log.warning("%s is damaged; it is built again", path)
            path.unlink(missing_ok=True)
            return None
        return data

    def _write(self, name: str, data: bytes) -> None:
        """Whole or not at all."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._trusted():
            raise BundleError(f"others may write to {self._folder}, so no engine is kept there; run: chmod 700 on it")
        write_durably(self._folder / name, hashlib.sha256(data).hexdigest().encode() + data, mode=0o600)

    def _trusted(self) -> bool:
        """Whether the folder is this user's, and no other may write to it."""
        try:
            found = self._folder.lstat()
        except OSError:
            return False
        others = stat.S_IWGRP | stat.S_IWOTH
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & others


def _digest(value: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
