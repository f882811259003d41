"""Where a registry lies and how any change of it is made: locked, read anew, written in order."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Snapshot, Timestamp

from monitor.registry.keys import KeyFolder
from monitor.registry.metadata import Lifetimes, MetadataFolder, Signing, State


class Workplace:
    """The folders of one registry, its online keys and its clock."""

    def __init__(self, folder: Path, *, clock: Callable[[], datetime], lifetimes: Lifetimes) -> None:
        self.folder = folder
        self.metadata = MetadataFolder(folder / "repository" / "metadata")
        self.targets_folder = folder / "repository" / "targets"
        self.online = KeyFolder(folder / "keys" / "online")
        self.offline_folder = folder / "keys" / "offline"
        self.clock = clock
        self.lifetimes = lifetimes

    @contextmanager
    def locked(self) -> Iterator[State]:
        """What agents see now, with no other writer until the block ends, also in other processes."""
        with (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield self.metadata.state()

    def commit(self, state: State, changed: Mapping[str, CryptoSigner]) -> None:
        """Sign and write the changed targets roles (name -> its key); agents see them when this returns."""
        self.metadata.commit(state, changed, self.signing())

    def signing(self) -> Signing:
        """The two keys that every change needs, and the moment."""
        return Signing(
            snapshot=self.online.signer(Snapshot.type),
            timestamp=self.online.signer(Timestamp.type),
            now=self.clock(),
            lifetimes=self.lifetimes,
        )
