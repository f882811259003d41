"""What the site should run, fetched and verified: `fetch -> verify`, the first half of an activation.

Only signed files are believed (python-tuf), and only ones not older than what was believed before: the highest channel
sequence is kept in `floor.json`, apart from TUF's own files, so that wiping those does not open the way back.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from tuf.api.exceptions import BadVersionNumberError, DownloadError, DownloadLengthMismatchError, RepositoryError
from tuf.api.metadata import TargetFile
from tuf.ngclient import Updater, UpdaterConfig

from contracts import BundleError, LinkError
from contracts.bundle import MANIFEST_NAME, Manifest
from contracts.channel import Channel, bundle_target, channel_target
from contracts.names import Sha256, Wire
from edge_agent.carried import FolderFetcher
from edge_agent.download import BoundedFetcher
from runtime.bundle import LARGEST_MANIFEST_BYTES, open_bundle
from runtime.durable import write_durably

LARGEST_CHANNEL_BYTES = 256 * 1024
_FREE_BYTES = 64 * 1024 * 1024
_METADATA_BYTES = 8 * 1024 * 1024

ResultT = TypeVar("ResultT")


class UntrustedError(BundleError):
    """What was served is not what was signed, has expired, or is older than what is known: keep what runs, report it,
    ask again later. It says nothing about the bundle, so its hash is not refused."""


class Floor(Wire):
    """The highest channel ever believed."""

    sequence: int = 0
    sha256: Sha256 | None = None


class UpdateClient:
    """The agent's side of the registry. Not for several threads at once.

    `folder` is this client's own (TUF metadata in `tuf/`, the floor in `floor.json`). `deadline_seconds` bounds each of
    `channel()` and `fetch()` as a whole; `max_bytes` bounds what one bundle may weigh. `fetcher`: instead
    of HTTP.
    """

    def __init__(
        self,
        folder: Path,
        site: str,
        metadata_url: str,
        targets_url: str,
        trusted_root: bytes,
        deadline_seconds: float = 600.0,
        max_bytes: int = 1024 * 1024 * 1024,
        headers: Mapping[str, str] | None = None,
        ca_file: str | None = None,
        fetcher: BoundedFetcher | FolderFetcher | None = None,
    ) -> None:
        self._folder = folder
        self._site = site
        self._metadata_url = metadata_url
        self._targets_url = targets_url
        self._trusted_root = trusted_root
        self._deadline_seconds = deadline_seconds
        self._max_bytes = max_bytes
        self._fetcher = fetcher or BoundedFetcher(headers=headers, ca_file=ca_file)

    @property
    def received_bytes(self) -> int:
        """Of all answers, since the start."""
        return self._fetcher.received_bytes

    def channel(self) -> Channel:
        """The newest signed channel of the site; the floor is raised to it.

        Raises LinkError when the registry cannot be reached or has no release yet, UntrustedError when what it serves
        is not to be believed.
        """
        return self._bounded(lambda: self._believed_channel(self._updater()))

    def fetch(self, bundle_hash: str, staging_folder: Path) -> Path:
        """Download the bundle into `staging_folder/HASH` and verify it; files that are already right are kept.

        Raises LinkError (try again; what has arrived stays), UntrustedError (discarded), and BundleError when the
        bundle is refused by the channel, larger than `max_bytes`, or signed but damaged: then refuse its hash.
        """
        return self._bounded(lambda: self._fetch_bundle(bundle_hash, staging_folder / bundle_hash))

    @property
    def floor(self) -> Floor:
        """The highest channel ever believed. Raises UntrustedError when its file is damaged."""
        path = self._folder / "floor.json"
        try:
            return Floor.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return Floor()
        except (OSError, ValidationError) as error:
            raise UntrustedError(
                f"{path} is damaged, so no update can be believed ({error}); restore it, or delete it only if you are "
                "sure that the registry serves the newest release"
            ) from error

    def _bounded(self, action: Callable[[], ResultT]) -> ResultT:
        """Run with deadline and byte budget; TUF's errors become one of ours for each reaction."""
        self._fetcher.allow(seconds=self._deadline_seconds, max_bytes=self._max_bytes + _METADATA_BYTES)
        try:
            return action()
        except (DownloadError, RepositoryError, OSError) as error:
            if self._fetcher.expired:
                raise LinkError(f"the registry took longer than {self._deadline_seconds:g} s; trying again") from error
            if isinstance(error, BadVersionNumberError):
                raise UntrustedError(
                    f"the registry's answer is not to be believed: it is older than what is known here ({error})"
                ) from error
            if isinstance(error, RepositoryError | DownloadLengthMismatchError):
                raise UntrustedError(f"the registry's answer is not to be believed: {error}") from error
            raise LinkError(f"cannot update from {self._metadata_url}: {error}") from error

    def _updater(self) -> Updater:
        """Fresh top-level metadata; TUF's own rules against rollback, freeze and mix-and-match apply."""
        folder = self._folder / "tuf"
        folder.mkdir(parents=True, exist_ok=True)
        updater = Updater(
            str(folder),
            self._metadata_url,
            target_base_url=self._targets_url,
            fetcher=self._fetcher,
            config=UpdaterConfig(max_root_rotations=32, max_delegations=4),
            bootstrap=self._trusted_root,
        )
        updater.refresh()
        return updater

    def _believed_channel(self, updater: Updater) -> Channel:
        target = updater.get_targetinfo(channel_target(self._site))
        if target is None:
            raise LinkError(f"the registry has no release for site {self._site!r} yet")
        data = self._small(updater, target, LARGEST_CHANNEL_BYTES)
        channel = _parse_channel(data, self._site)
        digest = hashlib.sha256(data).hexdigest()
        check_floor(channel, digest, self.floor)
        write_durably(
            self._folder / "floor.json", Floor(sequence=channel.sequence, sha256=digest).model_dump_json().encode()
        )
        return channel

    def _fetch_bundle(self, bundle_hash: str, folder: Path) -> Path:
        updater = self._updater()
        channel = self._believed_channel(updater)
        for refusal in channel.refused:
            if refusal.bundle_hash == bundle_hash:
                raise BundleError(f"bundle {bundle_hash[:12]} is refused for {self._site}: {refusal.reason}")
        manifest = self._fetch_manifest(updater, bundle_hash, folder)
        needed = sum(entry.bytes for entry in manifest.files.values())
        if needed > self._max_bytes:
            raise BundleError(f"bundle {bundle_hash[:12]} has {needed} bytes; this agent takes {self._max_bytes}")
        free = shutil.disk_usage(folder).free
        if free < needed + _FREE_BYTES:
            raise LinkError(f"{folder} has {free} bytes free, bundle {bundle_hash[:12]} needs {needed}; make room")
        for name in sorted(manifest.files):
            self._fetch_file(updater, bundle_hash, name, folder)
        _remove_strangers(folder, {MANIFEST_NAME, *manifest.files})
        return open_bundle(folder, expected_hash=bundle_hash).path

    def _fetch_manifest(self, updater: Updater, bundle_hash: str, folder: Path) -> Manifest:
        target = self._target(updater, bundle_hash, MANIFEST_NAME)
        data = self._small(updater, target, LARGEST_MANIFEST_BYTES)
        if hashlib.sha256(data).hexdigest() != bundle_hash:
            raise BundleError(f"the manifest signed for bundle {bundle_hash[:12]} has another hash")
        try:
            manifest = Manifest.model_validate_json(data)
        except ValidationError as error:
            raise BundleError(f"bundle {bundle_hash[:12]}: this version cannot read its manifest: {error}") from error
        if folder.is_symlink():
            folder.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        write_durably(folder / MANIFEST_NAME, data)
        return manifest

    def _fetch_file(self, updater: Updater, bundle_hash: str, name: str, folder: Path) -> None:
        target = self._target(updater, bundle_hash, name)
        path = folder / name
        if path.is_symlink() or updater.find_cached_target(target, str(path)) is None:
            path.unlink(missing_ok=True)
            updater.download_target(target, str(path))

    def _target(self, updater: Updater, bundle_hash: str, name: str) -> TargetFile:
        target = updater.get_targetinfo(bundle_target(self._site, bundle_hash, name))
        if target is None:
            raise UntrustedError(f"nothing signed names {name} of bundle {bundle_hash[:12]}")
        return target

    def _small(self, updater: Updater, target: TargetFile, limit: int) -> bytes:
        if target.length > limit:
            raise UntrustedError(f"{target.path} claims {target.length} bytes, more than {limit}")
        path = self._folder / "incoming"
        updater.download_target(target, str(path))
        return path.read_bytes()


def check_floor(channel: Channel, digest: str, floor: Floor) -> None:
    """May this channel be believed after that one? Raises UntrustedError."""
    if channel.sequence < floor.sequence:
        raise UntrustedError(
            f"channel {channel.sequence} is older than {floor.sequence}, which was believed before: refused"
        )
    if channel.sequence == floor.sequence and digest != floor.sha256:
        raise UntrustedError(f"there are two different channels with sequence {channel.sequence}; refused")


def _parse_channel(data: bytes, site: str) -> Channel:
    try:
        channel = Channel.model_validate_json(data)
    except ValidationError as error:
        raise UntrustedError(f"this version cannot read the channel of {site!r}: {error}") from error
    if channel.site != site:
        raise UntrustedError(f"the channel is for site {channel.site!r}, not {site!r}")
    return channel


def _remove_strangers(folder: Path, known: set[str]) -> None:
    """What an earlier, interrupted download of something else left in the folder."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            if path.relative_to(folder).as_posix() not in known:
                path.unlink()
