"""What needs offline keys: making a registry, adding a site, renewing root and targets. A person is present."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Root, Snapshot, Targets, Timestamp

from contracts import ConfigurationError
from contracts.channel import site_role
from contracts.names import Name
from monitor.registry.keys import OFFLINE_README, ROOT_KEYS, ROOT_THRESHOLD, TARGETS_KEY, KeyFolder
from monitor.registry.metadata import State
from monitor.registry.workplace import Workplace
from runtime.durable import write_durably

DEEPEST_TARGET = 6
"""Path parts of the longest target, `SITE/bundles/HASH/folder/folder/file`. In TUF a `*` never matches a `/`."""


def check_site(site: str) -> None:
    """Raises ConfigurationError when the name does not fit into paths and topics."""
    try:
        TypeAdapter(Name).validate_python(site)
    except ValidationError as error:
        raise ConfigurationError(f"site {site!r}: use 1 to 64 of a-z, 0-9 and '-'") from error


def found(place: Workplace, sites: Sequence[str], *, passphrase: bytes | None) -> None:
    """Make all keys, the first root and an empty role for each site, in an empty workplace."""
    place.metadata.folder.mkdir(parents=True)
    place.targets_folder.mkdir(parents=True)
    (place.folder / "keys").mkdir(mode=0o700)
    offline = KeyFolder(place.offline_folder, passphrase=passphrase)
    roots = [offline.create(name) for name in ROOT_KEYS]
    targets = offline.create(TARGETS_KEY)
    write_durably(offline.folder / "README.txt", OFFLINE_README.encode(), mode=0o600)
    root = Root(consistent_snapshot=True)
    for signer in roots:
        root.add_key(signer.public_key, Root.type)
    root.roles[Root.type].threshold = ROOT_THRESHOLD
    root.add_key(targets.public_key, Targets.type)
    for role in (Snapshot.type, Timestamp.type):
        root.add_key(place.online.create(role).public_key, role)
    _sign_root(place, Metadata(root), roots)
    state = State.empty()
    state.targets[Targets.type] = Metadata(Targets(delegations=Delegations(keys={}, roles={})))
    changed = {site_role(site): _delegate(place, state, site) for site in sites}
    place.commit(state, {Targets.type: targets, **changed})


def add_site(place: Workplace, offline: KeyFolder, site: str) -> None:
    """Give a new site its key; a repeat changes nothing. Raises ConfigurationError."""
    check_site(site)
    key = offline.signer(TARGETS_KEY)
    with place.locked() as state:
        if site_role(site) not in state.targets:
            place.commit(state, {Targets.type: key, site_role(site): _delegate(place, state, site)})


def renew(place: Workplace, offline: KeyFolder) -> None:
    """Sign root and targets for another lifetime. Raises ConfigurationError when too few keys are there."""
    targets = offline.signer(TARGETS_KEY)
    signers = [offline.signer(name) for name in ROOT_KEYS if name in offline.names()]
    if len(signers) < ROOT_THRESHOLD:
        raise ConfigurationError(f"{offline.folder} holds {len(signers)} root keys; {ROOT_THRESHOLD} are needed")
    with place.locked() as state:
        root = place.metadata.root()
        root.signed.version += 1
        _sign_root(place, root, signers)
        place.commit(state, {Targets.type: targets})


def _sign_root(place: Workplace, root: Metadata[Root], signers: Sequence[CryptoSigner]) -> None:
    root.signed.expires = (place.clock() + place.lifetimes.root).replace(microsecond=0)
    root.signatures.clear()
    for signer in signers:
        root.sign(signer, append=True)
    place.metadata.write_root(root)


def _delegate(place: Workplace, state: State, site: str) -> CryptoSigner:
    """Enter the site into the offline list with a key of its own and an empty role; returns the key."""
    role = site_role(site)
    key = place.online.signer(role) if role in place.online.names() else place.online.create(role)
    top = state.targets[Targets.type].signed
    if top.delegations is None or top.delegations.roles is None:
        raise ConfigurationError(f"{place.metadata.folder} lists no sites; was it made by `lineside monitor init`?")
    paths = ["/".join([site] + ["*"] * depth) for depth in range(1, DEEPEST_TARGET)]
    top.delegations.roles[role] = DelegatedRole(role, [], threshold=1, terminating=True, paths=paths)
    top.add_key(key.public_key, role)
    state.targets[role] = Metadata(Targets())
    return key
