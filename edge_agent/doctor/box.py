"""The box itself: secrets that others may read, whose files these are, room on the disk, the clock."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from contracts.access import secret
from contracts.errors import ConfigurationError
from contracts.finding import Finding, fault, ok, warning
from edge_agent.settings import AgentSettings

_LEAST_BYTES = 100_000_000
_BUNDLE_BYTES = 100_000_000  # of the next one, before it is known
_TIME_ERROR = 5  # of adjtimex(2): nobody keeps this clock right
_TIMEX_BYTES = 512  # more than any kernel's struct timex


def secrets(settings: AgentSettings, config: Path) -> Iterator[Finding]:
    """Files with passwords: readable by this user, by nobody else, and whole."""
    files = sorted(set(_secret_files(settings)))
    for file in files:
        try:
            secret(None, file)
        except ConfigurationError as error:
            yield fault("secrets", str(error), f"write it, and give it to the agent's user: chown lineside {file}")
            continue
        if file.stat().st_mode & 0o077:
            yield warning("secrets", f"{file} can be read by other users of this machine", f"chmod 600 {file}")
        else:
            yield ok("secrets", f"{file} is readable by its owner only")
    if _holds_secret(settings) and config.stat().st_mode & 0o077:
        yield warning("secrets", f"{config} holds a password and others may read it", f"chmod 600 {config}")


def _secret_files(value: Any) -> Iterator[Path]:
    for name, inner in _fields(value):
        if isinstance(inner, Path) and name in ("password_file", "token_file", "secret_file"):
            yield inner
        yield from _secret_files(inner)


def _holds_secret(value: Any) -> bool:
    return any(type(inner).__name__ == "SecretStr" or _holds_secret(inner) for _, inner in _fields(value))


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Of a model, or of each model of a list."""
    models = value if isinstance(value, tuple) else (value,)
    for model in models:
        if isinstance(model, BaseModel):
            for name in type(model).model_fields:
                yield name, getattr(model, name)


def owner(folder: Path) -> Iterator[Finding]:
    """The state folder belongs to whoever runs the agent, and can be written."""
    if not folder.exists():
        parent = next(path for path in folder.resolve().parents if path.exists())
        if os.access(parent, os.W_OK):
            yield ok("state folder", f"{folder} is made at the first start")
        else:
            yield fault("state folder", f"{folder} is not there, and {parent} may not be written", _give(folder))
        return
    yield _writable(folder)
    strangers = {path for path in folder.iterdir() if path.stat().st_uid != folder.stat().st_uid}
    if strangers:
        yield fault("state folder", f"{min(strangers)} belongs to another user than {folder}", _give(folder))
    if os.geteuid() == 0 and folder.stat().st_uid != 0:
        name = pwd.getpwuid(folder.stat().st_uid).pw_name
        yield warning(
            "state folder", f"you are root, the agent is {name}", f"ask as the agent: runuser -u {name} -- ..."
        )


def _writable(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"doctor")
            os.fsync(file.fileno())
    except OSError as error:
        return fault("state folder", f"{folder} cannot be written: {error.strerror}", _give(folder))
    return ok("state folder", f"{folder} can be written")


def _give(folder: Path) -> str:
    return f"install -d -o lineside -g lineside -m 750 {folder}; chown -R lineside: {folder}"


def disk(settings: AgentSettings) -> Iterator[Finding]:
    """Room for what the quotas allow."""
    folder = settings.state_folder
    existing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    images = _weight(folder / "images")
    needed = max(0, settings.buffer.quota_bytes - images) + settings.outbox.max_bytes + 2 * _BUNDLE_BYTES
    text = f"{_gigabytes(free)} free at {existing}; images, messages and two models may still take {_gigabytes(needed)}"
    if free < _LEAST_BYTES:
        yield fault("disk", text, "free space now: without it no verdict can be put on record, and inspection stops")
    elif free < needed:
        yield warning("disk", text, "free space, or lower buffer.quota_bytes")
    else:
        yield ok("disk", text)


def _weight(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else 0


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def clock(folder: Path) -> Iterator[Finding]:
    """Somebody keeps it right, and it has not gone back."""
    newest = max((path.stat().st_mtime for path in folder.glob("agent.sqlite*")), default=0.0)
    if newest > time.time() + 60:
        ahead = (newest - time.time()) / 60
        yield fault("clock", f"the newest record is {ahead:.0f} minutes in the future", "set the clock: timedatectl")
    elif not _kept():
        remedy = "timedatectl set-ntp true, with a time server that the box can reach; verdicts keep their order anyway"
        yield warning("clock", "no time server keeps it right", remedy)
    else:
        yield ok("clock", f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} UTC, kept by a time server")


def _kept() -> bool:
    """Whether the kernel believes in its clock; asking changes nothing."""
    library, answer = ctypes.CDLL(None), ctypes.create_string_buffer(_TIMEX_BYTES)
    return not hasattr(library, "adjtimex") or library.adjtimex(answer) != _TIME_ERROR
