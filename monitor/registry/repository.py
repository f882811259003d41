"""`Registry`: what the monitor publishes, and the only place that signs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tuf.api.metadata import Root, Snapshot, TargetFile, Targets, Timestamp

from contracts import BundleError, ConfigurationError, OrderError
from contracts.bundle import MANIFEST_NAME
from contracts.channel import Channel, bundle_target, channel_target, site_role
from contracts.errors import LinkError
from monitor.registry import ceremony
from monitor.registry.carrying import carry
from monitor.registry.keys import KeyFolder
from monitor.registry.metadata import Lifetimes, State
from monitor.registry.workplace import Workplace
from runtime.bundle import Bundle, open_bundle
from runtime.durable import flush, write_durably


def utc_now() -> datetime:
    """The registry's clock unless a test passes another."""
    return datetime.now(UTC)


class Registry:
    """A TUF repository in a folder: one delegated, online role for each site, everything above it offline.

    Every change takes a lock, reads what agents see now, and writes `timestamp.json` last; killed at any point, agents
    see the old state or the new one, and the same call again completes it. Serve `metadata_folder` and `targets_folder`
    as plain files.
    """

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self.folder = place.folder
        self.metadata_folder = place.metadata.folder
        self.targets_folder = place.targets_folder

    @classmethod
    def init(
        cls,
        folder: Path,
        sites: Sequence[str],
        *,
        passphrase: bytes | None = None,
        clock: Callable[[], datetime] = utc_now,
        lifetimes: Lifetimes | None = None,
    ) -> Registry:
        """Make all keys and an empty, signed repository; `passphrase` encrypts the offline keys.

        The folder appears complete or not at all. Raises ConfigurationError when it is not empty or a name is bad.
        """
        for site in sites:
            ceremony.check_site(site)
        if folder.exists() and any(folder.iterdir()):
            raise ConfigurationError(f"{folder} is not empty; a registry needs a folder of its own")
        making = folder.with_name(f".{folder.name}.initialising")
        shutil.rmtree(making, ignore_errors=True)
        place = Workplace(making, clock=clock, lifetimes=lifetimes or Lifetimes())
        ceremony.found(place, sites, passphrase=passphrase)
        os.rename(making, folder)
        flush(folder.parent)
        return cls.open(folder, clock=clock, lifetimes=lifetimes)

    @classmethod
    def open(
        cls, folder: Path, *, clock: Callable[[], datetime] = utc_now, lifetimes: Lifetimes | None = None
    ) -> Registry:
        """The registry in that folder. Raises ConfigurationError when there is none or it is damaged."""
        place = Workplace(folder, clock=clock, lifetimes=lifetimes or Lifetimes())
        place.metadata.state()
        return cls(place)

    @property
    def sites(self) -> tuple[str, ...]:
        """Sites that have a role, in order."""
        roles = (role for role in self._place.metadata.state().targets if role != Targets.type)
        return tuple(sorted(role.removeprefix("site-") for role in roles))

    def trusted_root(self) -> bytes:
        """What an agent is provisioned with, once, over a way that is trusted: the first root."""
        return self._place.metadata.root_bytes(version=1)

    def expiries(self) -> dict[str, datetime]:
        """When each role's signature ends (`root` and `targets` need a person with the offline keys)."""
        state = self._place.metadata.state()
        return {
            Root.type: self._place.metadata.root().signed.expires,
            Snapshot.type: state.snapshot.signed.expires,
            Timestamp.type: state.timestamp.signed.expires,
            **{role: metadata.signed.expires for role, metadata in state.targets.items()},
        }

    def channel(self, site: str) -> Channel | None:
        """What the site should run now; None before the first release."""
        return self._channel(site, self._site(self._place.metadata.state(), site))

    def publish_bundle(self, site: str, bundle_path: Path) -> str:
        """Verify the bundle and put it where the site's agents can fetch it; a repeat changes nothing.

        Returns its hash. Agents run it when a channel names it, not before. Raises BundleError.
        """
        bundle = open_bundle(bundle_path)
        if bundle.manifest.site != site:
            raise BundleError(f"bundle {bundle.hash[:12]} was made for site {bundle.manifest.site!r}, not {site!r}")
        targets = _bundle_targets(site, bundle)
        with self._place.locked() as state:
            for file, target in targets.items():
                self._store(target, (bundle.path / file).read_bytes())
            self._list(state, site, targets.values())
        return bundle.hash

    def publish_channel(self, channel: Channel) -> None:
        """Sign what the site should run from now on; a repeat of the last one changes nothing.

        Raises OrderError when the sequence is not higher than the last, a named bundle is not published or is refused.
        """
        data = json.dumps(channel.model_dump(mode="json"), sort_keys=True, indent=1).encode()
        with self._place.locked() as state:
            site = self._site(state, channel.site)
            last = self._channel(channel.site, site)
            if channel == last:
                return
            _check_successor(channel, last, published=set(site.targets))
            target = TargetFile.from_data(channel_target(channel.site), data, ["sha256"])
            self._store(target, data)
            self._list(state, channel.site, [target])

    def carry(self, site: str, folder: Path, *, valid: timedelta) -> Channel:
        """Write a copy of what the site's agents need into `folder`, good for that long without a network; returns the
        channel in it. Raises LinkError before the first release, ConfigurationError."""
        with self._place.locked() as state:
            channel = self._channel(site, self._site(state, site))
            if channel is None:
                raise LinkError(f"site {site!r} has no release yet; there is nothing to carry")
            carry(self._place, state, channel, folder, valid=valid)
            return channel

    def add_site(self, site: str, *, offline: Path | None = None, passphrase: bytes | None = None) -> None:
        """Give a new site its key. Needs the offline targets key (by default where `init` put it).

        A repeat changes nothing. Raises ConfigurationError.
        """
        ceremony.add_site(self._place, self._offline(offline, passphrase), site)

    def renew_offline(self, *, offline: Path | None = None, passphrase: bytes | None = None) -> None:
        """Sign root and targets for another lifetime, with every root key that is in the `offline` folder.

        Raises ConfigurationError when fewer root keys than needed, or no targets key, are there.
        """
        ceremony.renew(self._place, self._offline(offline, passphrase))

    def refresh(self) -> bool:
        """Sign again what the online keys sign and what has used up half its life. True when something was written.

        Call it every hour or so; a registry that was off comes back with the first call.
        """
        with self._place.locked() as state:
            now, lives = self._place.clock(), self._place.lifetimes
            sites = [
                role
                for role, metadata in state.targets.items()
                if role != Targets.type and metadata.signed.expires - now < lives.site / 2
            ]
            if sites or state.snapshot.signed.expires - now < lives.snapshot / 2:
                self._place.commit(state, {role: self._place.online.signer(role) for role in sites})
                return True
            if state.timestamp.signed.expires - now < lives.timestamp / 2:
                self._place.metadata.commit_timestamp(state, self._place.signing())
                return True
        return False

    def _offline(self, folder: Path | None, passphrase: bytes | None) -> KeyFolder:
        return KeyFolder(folder or self._place.offline_folder, passphrase=passphrase)

    def _site(self, state: State, site: str) -> Targets:
        metadata = state.targets.get(site_role(site))
        if metadata is None:
            known = ", ".join(self.sites) or "none"
            raise ConfigurationError(f"the registry has no site {site!r} (it has: {known}); add it first")
        return metadata.signed

    def _channel(self, name: str, site: Targets) -> Channel | None:
        target = site.targets.get(channel_target(name))
        return None if target is None else Channel.model_validate_json(self._stored(target).read_bytes())

    def _list(self, state: State, site: str, targets: Iterable[TargetFile]) -> None:
        """Sign the site's role with these targets in it, unless they are all there already."""
        listed = self._site(state, site).targets
        wanted = {target.path: target for target in targets}
        if all(listed.get(path) == target for path, target in wanted.items()):
            return
        listed.update(wanted)
        self._place.commit(state, {site_role(site): self._place.online.signer(site_role(site))})

    def _stored(self, target: TargetFile) -> Path:
        folder, _, name = target.path.rpartition("/")
        return self.targets_folder / folder / f"{target.hashes['sha256']}.{name}"

    def _store(self, target: TargetFile, data: bytes) -> None:
        """Put the bytes under a name that holds their hash, before any metadata names them."""
        if len(data) != target.length or hashlib.sha256(data).hexdigest() != target.hashes["sha256"]:
            raise BundleError(f"{target.path} changed while it was being published; publish it again")
        path = self._stored(target)
        if not (path.is_file() and path.read_bytes() == data):
            write_durably(path, data)


def _bundle_targets(site: str, bundle: Bundle) -> dict[str, TargetFile]:
    """File name in the bundle -> TUF target; the manifest's own hash is the bundle's."""
    manifest_bytes = (bundle.path / MANIFEST_NAME).stat().st_size
    entries = {name: (entry.bytes, entry.sha256) for name, entry in bundle.manifest.files.items()}
    entries[MANIFEST_NAME] = (manifest_bytes, bundle.hash)
    targets = {}
    for name, (length, sha256) in entries.items():
        path = bundle_target(site, bundle.hash, name)
        if path.count("/") >= ceremony.DEEPEST_TARGET:
            raise BundleError(f"{name} lies too deep in bundle {bundle.hash[:12]} to be published")
        targets[name] = TargetFile(length, {"sha256": sha256}, path)
    return targets


def _check_successor(channel: Channel, last: Channel | None, *, published: set[str]) -> None:
    """May this channel follow that one? Raises OrderError with the reason why not."""
    if last is not None and channel.sequence <= last.sequence:
        raise OrderError(f"channel sequence {channel.sequence} is not higher than the last, {last.sequence}")
    refused = {refusal.bundle_hash for refusal in channel.refused}
    for release in (channel.active, channel.shadow):
        if release is None:
            continue
        if bundle_target(channel.site, release.bundle_hash, MANIFEST_NAME) not in published:
            raise OrderError(
                f"release {release.number} ({release.bundle_hash[:12]}) is not published for {channel.site}"
            )
        if release.bundle_hash in refused:
            raise OrderError(f"release {release.number} ({release.bundle_hash[:12]}) is refused by the same channel")
