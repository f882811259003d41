"""The signed metadata of a registry as files, and the one order in which they may be written.

`timestamp.json` names one version of the snapshot, which names one version of every targets role. Files under a version
number are never changed once named. So a change writes new versions first and `timestamp.json` last: whoever is killed
in between leaves files that nothing names, and the next change overwrites them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from contracts import ConfigurationError
from runtime.durable import flush, write_durably

KEPT_VERSIONS = 20
"""Older versions of snapshot and site metadata are deleted; a client in the middle of an update still finds its own."""

SignedT = TypeVar("SignedT", Root, Snapshot, Targets, Timestamp)


@dataclass(frozen=True)
class Lifetimes:
    """How long a signature is good for. What expires blocks updates at the agents, never inspection."""

    root: timedelta = timedelta(days=3 * 365)
    targets: timedelta = timedelta(days=3 * 365)
    site: timedelta = timedelta(days=90)
    snapshot: timedelta = timedelta(days=14)
    timestamp: timedelta = timedelta(days=2)


@dataclass(frozen=True)
class Signing:
    """What every change needs: the two keys that are always online, the moment, and how long signatures last."""

    snapshot: CryptoSigner
    timestamp: CryptoSigner
    now: datetime
    lifetimes: Lifetimes


@dataclass
class State:
    """What `timestamp.json` names: one consistent set."""

    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    targets: dict[str, Metadata[Targets]]
    """Of the role `targets` and of every `site-NAME`."""

    @classmethod
    def empty(cls) -> State:
        """Nothing yet; versions count from here."""
        return cls(timestamp=Metadata(Timestamp()), snapshot=Metadata(Snapshot(meta={})), targets={})


class MetadataFolder:
    """Reads the current state and commits a next one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def root_bytes(self, version: int | None = None) -> bytes:
        """One root file, by default the newest."""
        newest = max(self._versions("root"), default=0) if version is None else version
        return self._read(f"{newest}.root.json")

    def root(self) -> Metadata[Root]:
        """The newest root."""
        return self._parse("root.json", self.root_bytes(), Root)

    def state(self) -> State:
        """What agents see now."""
        timestamp = self._parse("timestamp.json", self._read("timestamp.json"), Timestamp)
        name = f"{timestamp.signed.snapshot_meta.version}.snapshot.json"
        snapshot = self._parse(name, self._read(name), Snapshot)
        targets = {}
        for file, meta in snapshot.signed.meta.items():
            data = self._read(f"{meta.version}.{file}")
            meta.verify_length_and_hashes(data)
            targets[file.removesuffix(".json")] = self._parse(file, data, Targets)
        return State(timestamp, snapshot, targets)

    def write_root(self, root: Metadata[Root]) -> None:
        """A root is visible to agents as soon as it is written."""
        write_durably(self.folder / f"{root.signed.version}.root.json", root.to_bytes())

    def commit(self, state: State, changed: Mapping[str, CryptoSigner], signing: Signing) -> None:
        """Write the `changed` targets roles of `state` as next versions, then the snapshot, then the timestamp."""
        for role, signer in changed.items():
            self._write_targets(state, role, signer, signing)
        _renew(state.snapshot, signing.now + signing.lifetimes.snapshot, signing.snapshot)
        data = state.snapshot.to_bytes()
        write_durably(self.folder / f"{state.snapshot.signed.version}.snapshot.json", data)
        state.timestamp.signed.snapshot_meta = _described(state.snapshot.signed.version, data)
        self.commit_timestamp(state, signing)
        self._prune(state)

    def commit_timestamp(self, state: State, signing: Signing) -> None:
        """Sign the timestamp anew: from this moment agents see everything it names."""
        _renew(state.timestamp, signing.now + signing.lifetimes.timestamp, signing.timestamp)
        write_durably(self.folder / "timestamp.json", state.timestamp.to_bytes())

    def _write_targets(self, state: State, role: str, signer: CryptoSigner, signing: Signing) -> None:
        metadata = state.targets[role]
        lifetime = signing.lifetimes.targets if role == Targets.type else signing.lifetimes.site
        _renew(metadata, signing.now + lifetime, signer)
        data = metadata.to_bytes()
        write_durably(self.folder / f"{metadata.signed.version}.{role}.json", data)
        state.snapshot.signed.meta[f"{role}.json"] = _described(metadata.signed.version, data)

    def _prune(self, state: State) -> None:
        current = {role: metadata.signed.version for role, metadata in state.targets.items()}
        current[Snapshot.type] = state.snapshot.signed.version
        for role, version in current.items():
            for old in self._versions(role):
                if old <= version - KEPT_VERSIONS:
                    (self.folder / f"{old}.{role}.json").unlink(missing_ok=True)
        flush(self.folder)

    def _versions(self, role: str) -> list[int]:
        pattern = re.compile(rf"([0-9]+)\.{re.escape(role)}\.json")
        return [int(match[1]) for path in self.folder.iterdir() if (match := pattern.fullmatch(path.name))]

    def _read(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"{self.folder / name} cannot be read ({error.strerror}); is this folder a registry? "
                "`lineside monitor init` makes one"
            ) from error

    def _parse(self, name: str, data: bytes, kind: type[SignedT]) -> Metadata[SignedT]:
        try:
            metadata = Metadata[SignedT].from_bytes(data)
        except DeserializationError as error:
            raise ConfigurationError(f"{self.folder / name} is damaged: {error}") from error
        if not isinstance(metadata.signed, kind):
            raise ConfigurationError(f"{self.folder / name} is not {kind.type} metadata")
        return metadata


def _renew(metadata: Metadata[SignedT], expires: datetime, signer: CryptoSigner) -> None:
    metadata.signed.version += 1
    metadata.signed.expires = expires.replace(microsecond=0)
    metadata.sign(signer)


def _described(version: int, data: bytes) -> MetaFile:
    return MetaFile(version, len(data), {"sha256": hashlib.sha256(data).hexdigest()})
