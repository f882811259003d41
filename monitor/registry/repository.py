"""`Registry`: what the monitor publishes, and the only place that signs."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Root, Snapshot, TargetFile, Targets, Timestamp

from contracts import BundleError, ConfigurationError, OrderError
from contracts.bundle import MANIFEST_NAME
from contracts.channel import Channel, bundle_target, channel_target, site_role
from contracts.names import Name
from monitor.registry.durable import flush_folder, write_durably
from monitor.registry.keys import OFFLINE_README, ROOT_KEYS, ROOT_THRESHOLD, TARGETS_KEY, KeyFolder
from monitor.registry.metadata import Lifetimes, MetadataFolder, Signing, State
from runtime.bundle import Bundle, open_bundle

DEEPEST_TARGET = 6
"""Path parts of the longest target, `SITE/bundles/HASH/folder/folder/file`. In TUF a `*` never matches a `/`."""


def utc_now() -> datetime:
    """The registry's clock unless a test passes another."""
    return datetime.now(UTC)


class Registry:
    """A TUF repository in a folder: one delegated, online role for each site, everything above it offline.

    Every change takes a lock, reads what agents see now, and writes `timestamp.json` last; killed at any point, agents
    see the old state or the new one, and the same call again completes it. Serve `metadata_folder` and `targets_folder`
    as plain files.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], datetime], lifetimes: Lifetimes) -> None:
        self.folder = folder
        self.metadata_folder = folder / "repository" / "metadata"
        self.targets_folder = folder / "repository" / "targets"
        self._metadata = MetadataFolder(self.metadata_folder)
        self._online = KeyFolder(folder / "keys" / "online")
        self._clock = clock
        self._lifetimes = lifetimes

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
            _check_site(site)
        if folder.exists() and any(folder.iterdir()):
            raise ConfigurationError(f"{folder} is not empty; a registry needs a folder of its own")
        making = folder.with_name(f".{folder.name}.initialising")
        shutil.rmtree(making, ignore_errors=True)
        cls(making, clock=clock, lifetimes=lifetimes or Lifetimes())._create(sites, passphrase)
        os.rename(making, folder)
        flush_folder(folder.parent)
        return cls.open(folder, clock=clock, lifetimes=lifetimes)

    @classmethod
    def open(
        cls, folder: Path, *, clock: Callable[[], datetime] = utc_now, lifetimes: Lifetimes | None = None
    ) -> Registry:
        """The registry in that folder. Raises ConfigurationError when there is none or it is damaged."""
        registry = cls(folder, clock=clock, lifetimes=lifetimes or Lifetimes())
        registry._metadata.state()
        return registry

    @property
    def sites(self) -> tuple[str, ...]:
        """Sites that have a role, in order."""
        roles = (role for role in self._metadata.state().targets if role != Targets.type)
        return tuple(sorted(role.removeprefix("site-") for role in roles))

    def trusted_root(self) -> bytes:
        """What an agent is provisioned with, once, over a way that is trusted: the first root."""
        return self._metadata.root_bytes(version=1)

    def expiries(self) -> dict[str, datetime]:
        """When each role's signature ends (`root` and `targets` need a person with the offline keys)."""
        state = self._metadata.state()
        return {
            Root.type: self._metadata.root().signed.expires,
            Snapshot.type: state.snapshot.signed.expires,
            Timestamp.type: state.timestamp.signed.expires,
            **{role: metadata.signed.expires for role, metadata in state.targets.items()},
        }

    def channel(self, site: str) -> Channel | None:
        """What the site should run now; None before the first release."""
        return self._channel(site, self._site(self._metadata.state(), site))

    def publish_bundle(self, site: str, bundle_path: Path) -> str:
        """Verify the bundle and put it where the site's agents can fetch it; a repeat changes nothing.

        Returns its hash. Agents run it when a channel names it, not before. Raises BundleError.
        """
        bundle = open_bundle(bundle_path)
        if bundle.manifest.site != site:
            raise BundleError(f"bundle {bundle.hash[:12]} was made for site {bundle.manifest.site!r}, not {site!r}")
        targets = _bundle_targets(site, bundle)
        with self._locked() as state:
            for file, target in targets.items():
                self._store(target, (bundle.path / file).read_bytes())
            self._list(state, site, targets.values())
        return bundle.hash

    def publish_channel(self, channel: Channel) -> None:
        """Sign what the site should run from now on; a repeat of the last one changes nothing.

        Raises OrderError when the sequence is not higher than the last, a named bundle is not published or is refused.
        """
        data = json.dumps(channel.model_dump(mode="json"), sort_keys=True, indent=1).encode()
        with self._locked() as state:
            site = self._site(state, channel.site)
            last = self._channel(channel.site, site)
            if channel == last:
                return
            _check_successor(channel, last, published=set(site.targets))
            target = TargetFile.from_data(channel_target(channel.site), data, ["sha256"])
            self._store(target, data)
            self._list(state, channel.site, [target])

    def add_site(self, site: str, *, offline: Path | None = None, passphrase: bytes | None = None) -> None:
        """Give a new site its key. Needs the offline targets key (by default where `init` put it).

        A repeat changes nothing. Raises ConfigurationError.
        """
        _check_site(site)
        key = KeyFolder(offline or self.folder / "keys" / "offline", passphrase=passphrase).signer(TARGETS_KEY)
        with self._locked() as state:
            if site_role(site) not in state.targets:
                self._commit(state, {Targets.type: key, site_role(site): self._delegate(state, site)})

    def renew_offline(self, *, offline: Path | None = None, passphrase: bytes | None = None) -> None:
        """Sign root and targets for another lifetime, with every root key that is in the `offline` folder.

        Raises ConfigurationError when fewer root keys than needed, or no targets key, are there.
        """
        keys = KeyFolder(offline or self.folder / "keys" / "offline", passphrase=passphrase)
        with self._locked() as state:
            targets = keys.signer(TARGETS_KEY)
            signers = [keys.signer(name) for name in ROOT_KEYS if name in keys.names()]
            if len(signers) < ROOT_THRESHOLD:
                raise ConfigurationError(f"{keys.folder} holds {len(signers)} root keys; {ROOT_THRESHOLD} are needed")
            root = self._metadata.root()
            root.signed.version += 1
            self._sign_root(root, signers)
            self._commit(state, {Targets.type: targets})

    def refresh(self) -> bool:
        """Sign again what the online keys sign and what has used up half its life. True when something was written.

        Call it every hour or so; a registry that was off comes back with the first call.
        """
        with self._locked() as state:
            now, lives = self._clock(), self._lifetimes
            sites = [
                role
                for role, metadata in state.targets.items()
                if role != Targets.type and metadata.signed.expires - now < lives.site / 2
            ]
            if sites or state.snapshot.signed.expires - now < lives.snapshot / 2:
                self._commit(state, {role: self._online.signer(role) for role in sites})
                return True
            if state.timestamp.signed.expires - now < lives.timestamp / 2:
                self._metadata.commit_timestamp(state, self._signing())
                return True
        return False

    def _create(self, sites: Sequence[str], passphrase: bytes | None) -> None:
        self.metadata_folder.mkdir(parents=True)
        self.targets_folder.mkdir(parents=True)
        (self.folder / "keys").mkdir(mode=0o700)
        offline = KeyFolder(self.folder / "keys" / "offline", passphrase=passphrase)
        roots = [offline.create(name) for name in ROOT_KEYS]
        targets = offline.create(TARGETS_KEY)
        write_durably(offline.folder / "README.txt", OFFLINE_README.encode(), mode=0o600)
        root = Root(consistent_snapshot=True)
        for signer in roots:
            root.add_key(signer.public_key, Root.type)
        root.roles[Root.type].threshold = ROOT_THRESHOLD
        root.add_key(targets.public_key, Targets.type)
        for role in (Snapshot.type, Timestamp.type):
            root.add_key(self._online.create(role).public_key, role)
        self._sign_root(Metadata(root), roots)
        state = State.empty()
        state.targets[Targets.type] = Metadata(Targets(delegations=Delegations(keys={}, roles={})))
        changed = {site_role(site): self._delegate(state, site) for site in sites}
        self._metadata.commit(state, {Targets.type: targets, **changed}, self._signing())

    def _sign_root(self, root: Metadata[Root], signers: Sequence[CryptoSigner]) -> None:
        root.signed.expires = (self._clock() + self._lifetimes.root).replace(microsecond=0)
        root.signatures.clear()
        for signer in signers:
            root.sign(signer, append=True)
        self._metadata.write_root(root)

    def _delegate(self, state: State, site: str) -> CryptoSigner:
        """Enter the site into the offline list with a key of its own and an empty role; returns the key."""
        role = site_role(site)
        key = self._online.signer(role) if role in self._online.names() else self._online.create(role)
        top = state.targets[Targets.type].signed
        if top.delegations is None or top.delegations.roles is None:
            raise ConfigurationError(
                f"{self.metadata_folder} lists no sites; it was not made by `lineside monitor init`"
            )
        paths = ["/".join([site] + ["*"] * depth) for depth in range(1, DEEPEST_TARGET)]
        top.delegations.roles[role] = DelegatedRole(role, [], threshold=1, terminating=True, paths=paths)
        top.add_key(key.public_key, role)
        state.targets[role] = Metadata(Targets())
        return key

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
        self._commit(state, {site_role(site): self._online.signer(site_role(site))})

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

    def _commit(self, state: State, changed: dict[str, CryptoSigner]) -> None:
        self._metadata.commit(state, changed, self._signing())

    def _signing(self) -> Signing:
        return Signing(
            snapshot=self._online.signer(Snapshot.type),
            timestamp=self._online.signer(Timestamp.type),
            now=self._clock(),
            lifetimes=self._lifetimes,
        )

    @contextmanager
    def _locked(self) -> Iterator[State]:
        """One writer at a time, also between processes; the lock goes with the process."""
        with (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield self._metadata.state()


def _check_site(site: str) -> None:
    try:
        TypeAdapter(Name).validate_python(site)
    except ValidationError as error:
        raise ConfigurationError(f"site {site!r}: use 1 to 64 of a-z, 0-9 and '-'") from error


def _bundle_targets(site: str, bundle: Bundle) -> dict[str, TargetFile]:
    """File name in the bundle -> TUF target; the manifest's own hash is the bundle's."""
    manifest_bytes = (bundle.path / MANIFEST_NAME).stat().st_size
    entries = {name: (entry.bytes, entry.sha256) for name, entry in bundle.manifest.files.items()}
    entries[MANIFEST_NAME] = (manifest_bytes, bundle.hash)
    targets = {}
    for name, (length, sha256) in entries.items():
        path = bundle_target(site, bundle.hash, name)
        if path.count("/") >= DEEPEST_TARGET:
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
