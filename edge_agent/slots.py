"""Bundles on this device: the one that serves, the one before it, and those that must never run again.

    slots/incoming/HASH/    being downloaded; may be incomplete
    slots/bundles/HASH/     complete and flushed to disk; never changed, only deleted
    slots/slots.json        which is active and which is previous
    slots/refused.json      hash -> reason

One small file names both slots, because two links cannot change in one step: a kill between them would forget the
previous bundle just when it is needed. The file is replaced by a rename, after everything it names is on the disk.
Killed at any system call, `active()` is the old bundle or the new one, complete.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from contracts import BundleError
from contracts.bundle import MANIFEST_NAME
from contracts.names import Sha256, Wire
from runtime.bundle import open_bundle
from runtime.durable import flush, flush_tree, write_durably

_REFUSED = TypeAdapter(dict[Sha256, str])


class Pointer(Wire):
    """`slots.json`."""

    active: Sha256 | None = None
    previous: Sha256 | None = None
    confirmed: bool = True
    starts: int = 0
    """How often the agent was started again after it ended out of order, with an active bundle that is not confirmed
    yet."""
    machine: str | None = None
    """The start of the machine in which it was last started."""
    orderly: bool = False
    """The agent has ended in order since."""


class Slots:
    """An activation is `stage -> switch -> confirm`, or `refuse` and `go_back`. One process uses a folder at a time.
    `machine` tells one start of the machine from the next."""

    def __init__(self, folder: Path, *, machine: str | None = None) -> None:
        self._machine = machine
        self._bundles = folder / "bundles"
        self._pointer_file = folder / "slots.json"
        self._refused_file = folder / "refused.json"
        self.incoming = folder / "incoming"
        """Where downloads go: the `staging_folder` of `UpdateClient.fetch`."""
        for path in (self._bundles, self.incoming):
            path.mkdir(parents=True, exist_ok=True)

    def active(self) -> Path | None:
        """The bundle to serve (the folder's name is its hash): complete, not refused; None before the first."""
        now = self.pointer
        names = self._newest() if now is None else [now.active, now.previous]
        return self._first(names)

    def previous(self) -> Path | None:
        """The bundle to go back to, or None."""
        now, active = self.pointer, self.active()
        if now is None or active is None or active.name == now.previous:
            return None
        return self._first([now.previous])

    def find(self, bundle_hash: str) -> Path | None:
        """A complete bundle that is not refused; None where it does not lie here."""
        return self._first([bundle_hash])

    def stage(self, path: Path, bundle_hash: str) -> Path:
        """Verify a downloaded bundle, bring it to the disk and give it its place. Returns where; a repeat is harmless.

        Raises BundleError when it is refused or damaged.
        """
        self._check_not_refused(bundle_hash)
        place = self._bundles / bundle_hash
        if place.exists():
            try:
                return open_bundle(place, expected_hash=bundle_hash).path
            except BundleError:
                self._discard(place)
        open_bundle(path, expected_hash=bundle_hash)
        flush_tree(path)
        os.rename(path, place)
        flush(self._bundles)
        return place

    def switch(self, bundle_hash: str) -> None:
        """Make a staged bundle the active one, not yet confirmed; the last confirmed one becomes the previous.

        Raises BundleError when it is refused or not staged.
        """
        self._check_not_refused(bundle_hash)
        if not self._complete(bundle_hash):
            raise BundleError(f"bundle {bundle_hash[:12]} is not staged")
        now = self.pointer or Pointer()
        if now.active == bundle_hash:
            return
        active = self.active()
        trusted = active.name if active is not None and (now.confirmed or active.name != now.active) else now.previous
        kept = trusted if trusted != bundle_hash else now.previous
        self._point(Pointer(active=bundle_hash, previous=kept, confirmed=False, machine=self._machine))

    def confirm(self) -> None:
        """The active bundle has proven itself: from now on it is what one goes back to."""
        now = self.pointer
        if now is not None and not now.confirmed:
            self._point(now.model_copy(update={"confirmed": True, "starts": 0}))

    def note_start(self) -> int:
        """Count a start with an unconfirmed bundle (0 when it is confirmed): one that crashes the agent shows here. A
        start after an orderly end, or after the machine itself was down, does not count."""
        now = self.pointer
        if now is None or now.confirmed:
            return 0
        blameless = now.orderly or now.machine != self._machine
        starts = now.starts if blameless else now.starts + 1
        self._point(now.model_copy(update={"starts": starts, "machine": self._machine, "orderly": False}))
        return starts

    def note_stop(self) -> None:
        """The agent ends in order."""
        now = self.pointer
        if now is not None and not now.confirmed:
            self._point(now.model_copy(update={"orderly": True}))

    def go_back(self) -> Path | None:
        """Make the previous bundle the active one, confirmed. None (and no change) when there is none."""
        previous = self.previous()
        if previous is not None:
            self._point(Pointer(active=previous.name, previous=None))
        return previous

    def refuse(self, bundle_hash: str, reason: str) -> None:
        """Never run this bundle again, over restarts too. An active one is passed over from this moment."""
        refused = self.refused()
        if bundle_hash not in refused:
            write_durably(self._refused_file, _REFUSED.dump_json({**refused, bundle_hash: reason}, indent=1))

    def refused(self) -> dict[str, str]:
        """Hash -> reason. Raises BundleError when the list is damaged: better no new bundle than a refused one."""
        try:
            return _REFUSED.validate_json(self._refused_file.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            raise BundleError(f"{self._refused_file} is damaged; restore it or delete it by hand: {error}") from error

    def prune(self, *, keep: tuple[str, ...] = ()) -> None:
        """Delete bundles and downloads other than active, previous and `keep` (the shadow, a download under way)."""
        kept = {*keep, *(path.name for path in (self.active(), self.previous()) if path is not None)}
        for path in (*self._bundles.iterdir(), *self.incoming.iterdir()):
            if path.name not in kept:
                self._discard(path)

    @property
    def pointer(self) -> Pointer | None:
        """What `slots.json` says; None when it is damaged: `active()` is then the newest complete bundle."""
        try:
            return Pointer.model_validate_json(self._pointer_file.read_bytes())
        except FileNotFoundError:
            return Pointer()
        except (OSError, ValidationError):
            return None

    def _point(self, pointer: Pointer) -> None:
        write_durably(self._pointer_file, pointer.model_dump_json(indent=1).encode())

    def _first(self, names: Sequence[str | None]) -> Path | None:
        refused = self.refused()
        for name in names:
            if name is not None and name not in refused and self._complete(name):
                return self._bundles / name
        return None

    def _newest(self) -> list[str]:
        places = sorted(self._bundles.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return [path.name for path in places]

    def _complete(self, name: str) -> bool:
        """Renames make it so: what lies under its hash is complete."""
        return (self._bundles / name / MANIFEST_NAME).is_file()

    def _check_not_refused(self, bundle_hash: str) -> None:
        reason = self.refused().get(bundle_hash)
        if reason is not None:
            raise BundleError(f"bundle {bundle_hash[:12]} is refused on this device: {reason}")

    def _discard(self, path: Path) -> None:
        """Out of its place in one step, then deleted at leisure."""
        if path.parent == self._bundles:
            grave = self.incoming / f"discarded-{path.name}"
            shutil.rmtree(grave, ignore_errors=True)
            os.rename(path, grave)
            path = grave
        shutil.rmtree(path)
