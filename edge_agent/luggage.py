"""Signed repositories that people bring to this box: laid down by a command, followed once by the agent.

luggage/arriving-*/    being copied
luggage/ID/            a copy of a stick's `repository`; believed no more than what comes over the network
luggage/ID.json        what came of it
"""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import ValidationError

from contracts.channel import Channel, site_role
from contracts.errors import BundleError, ConfigurationError, LinesideError, LinkError
from contracts.names import Wire
from edge_agent.activation import Bundles, Channels
from runtime.bundle import LARGEST_BUNDLE_BYTES
from runtime.durable import write_durably

_log = logging.getLogger(__name__)
_MOST_FILES = 5000
_METADATA_BYTES = 16 * 1024 * 1024


class Outcome(Wire):
    """What came of it, in words; `active` is the hash that serves then."""

    followed: bool
    text: str
    active: str | None = None


class Luggage:
    """`folder` is the agent's own. `open_client` makes an update client of one copy, with the agent's own floor."""

    def __init__(self, folder: Path, open_client: Callable[[Path], Channels]) -> None:
        self._folder, self._open_client = folder, open_client

    def unpack(self, follow: Callable[[Channel, Channels], None], bundles: Bundles) -> None:
        """Follow everything that was brought, each once, in the order of arrival. Raises LinkError where the disk does
        not let it."""
        for place in waiting(self._folder):
            outcome = self._follow(place, follow, bundles)
            _log.info("brought by hand: %s", outcome.text)
            try:
                write_durably(self._folder / f"{place.name}.json", outcome.model_dump_json().encode())
                shutil.rmtree(place)
            except OSError as error:
                raise LinkError(f"cannot clear away {place}: {error}; free disk space") from error

    def _follow(self, place: Path, follow: Callable[[Channel, Channels], None], bundles: Bundles) -> Outcome:
        client = self._open_client(place)
        try:
            channel = client.channel()
            follow(channel, client)
        except (LinkError, BundleError) as error:
            return Outcome(followed=False, text=str(error), active=bundles.serving)
        wanted = channel.active.bundle_hash
        if bundles.serving != wanted:
            reason = bundles.slots.refused().get(wanted, "it could not be installed")
            return Outcome(followed=False, text=f"bundle {wanted[:12]} is refused: {reason}", active=bundles.serving)
        text = f"channel {channel.sequence}: release {channel.active.number} ({wanted[:12]}) serves"
        return Outcome(followed=True, text=text, active=wanted)


def waiting(folder: Path) -> list[Path]:
    """What lies there and was not followed yet, oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("arriving-")]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def lay_down(source: Path, folder: Path, *, site: str) -> str:
    """Copy a stick's repository to the agent, whole or not at all; returns its id.

    Only what this site may need is copied, plain files only, up to the size of a large bundle. Raises
    ConfigurationError where it is none, LinesideError where it cannot be copied.
    """
    name = uuid.uuid4().hex
    arriving = folder / f"arriving-{name}"
    for left in folder.glob("arriving-*"):  # by a copy that was interrupted
        shutil.rmtree(left, ignore_errors=True)
    try:
        for path in _wanted(source, site):
            target = arriving / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target, follow_symlinks=False)
        _belong_to_the_agent(folder)
        os.rename(arriving, folder / name)
    except OSError as error:
        shutil.rmtree(arriving, ignore_errors=True)
        raise LinesideError(
            f"cannot copy {source} to {folder}: {error}; run this as the agent's user or root"
        ) from error
    return name


def outcome(folder: Path, name: str) -> Outcome | None:
    """What came of it; None while the agent has not taken it."""
    path = folder / f"{name}.json"
    try:
        found = Outcome.model_validate_json(path.read_bytes())
        path.unlink()
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise LinesideError(f"{path} cannot be read: {error}; the page and the log say what came of it") from error
    return found


def _wanted(source: Path, site: str) -> Iterator[Path]:
    if not (source / "metadata" / "timestamp.json").is_file():
        raise ConfigurationError(
            f"{source} is no signed repository (no metadata/timestamp.json); make one with `lineside monitor export`"
        )
    if not any((source / "metadata").glob(f"*.{site_role(site)}.json")):
        raise ConfigurationError(f"{source} holds nothing for site {site!r}; export that site at the monitor")
    found = [*sorted((source / "metadata").glob("*.json")), *sorted((source / "targets" / site).rglob("*"))]
    files = [path for path in found if path.is_file() and not path.is_symlink()]
    weight = sum(path.stat().st_size for path in files)
    if len(files) > _MOST_FILES or weight > LARGEST_BUNDLE_BYTES + _METADATA_BYTES:
        raise ConfigurationError(f"{source} holds {len(files)} files with {weight} bytes, more than a release has")
    yield from files


def _belong_to_the_agent(folder: Path) -> None:
    """Where root copied: the agent deletes it afterwards."""
    owner = folder.parent.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        for root, folders, files in os.walk(folder):
            for name in (".", *folders, *files):
                os.chown(Path(root, name), owner.st_uid, owner.st_gid, follow_symlinks=False)
