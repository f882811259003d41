"""A copy of what one site needs, signed for longer, to be carried to stations without a network."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tuf.api.metadata import TargetFile, Targets

from contracts.channel import Channel, bundle_target, channel_target, site_role
from contracts.errors import ConfigurationError
from monitor.registry.metadata import MetadataFolder, State
from monitor.registry.workplace import Workplace

LONGEST = timedelta(days=60)
"""Half of what the site's role is signed for at least; a longer trip would need it signed anew on the way."""


def carry(place: Workplace, state: State, channel: Channel, folder: Path, *, valid: timedelta) -> None:
    """Write `metadata/` and `targets/` into `folder`, in place of what lies there: the channel and the bundles that it
    names. `place` is locked, `state` what agents see now.

    What goes onto the stick is signed for `valid`; the registry itself steps past that version at once, signed for as
    short as ever, so that nobody on the network is served the long one. Raises ConfigurationError for another time than
    a minute to 60 days.
    """
    site = channel.site
    if not timedelta(minutes=1) <= valid <= LONGEST:
        raise ConfigurationError(f"a stick is good for one minute to {LONGEST.days} days, not {valid}")
    with tempfile.TemporaryDirectory(dir=place.folder) as made:
        draft = Path(made) / "metadata"
        draft.mkdir()
        _renew_site(place, state, site, valid)
        _sign(place, state, MetadataFolder(draft), valid)
        place.commit(state, {})
        _copy_roles(place, state, site, draft)
        _replace(draft, folder / "metadata")
        _replace_targets(place, state.targets[site_role(site)].signed, site, channel, folder / "targets")


def _renew_site(place: Workplace, state: State, site: str, valid: timedelta) -> None:
    """The site's own role must last as long."""
    role = site_role(site)
    if state.targets[role].signed.expires < place.clock() + valid:
        place.commit(state, {role: place.online.signer(role)})


def _sign(place: Workplace, state: State, draft: MetadataFolder, valid: timedelta) -> None:
    signing = place.signing()
    longer = replace(signing.lifetimes, snapshot=valid, timestamp=valid)
    draft.commit(state, {}, replace(signing, lifetimes=longer))


def _copy_roles(place: Workplace, state: State, site: str, draft: Path) -> None:
    """All roots, so that a station that was away for years finds its way; targets and this site's role."""
    wanted = [path.name for path in place.metadata.folder.glob("*.root.json")]
    for role in (Targets.type, site_role(site)):
        wanted.append(f"{state.targets[role].signed.version}.{role}.json")
    for name in wanted:
        shutil.copyfile(place.metadata.folder / name, draft / name)


def _replace_targets(place: Workplace, signed: Targets, site: str, channel: Channel, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for target in _named(signed, site, channel):
        path, _, name = target.path.rpartition("/")
        stored = f"{target.hashes['sha256']}.{name}"
        (folder / path).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(place.targets_folder / path / stored, folder / path / stored)


def _named(signed: Targets, site: str, channel: Channel) -> Iterable[TargetFile]:
    """The channel, and every file of the bundles that it names."""
    yield signed.targets[channel_target(site)]
    for release in (channel.active, channel.shadow):
        if release is not None:
            start = bundle_target(site, release.bundle_hash, "")
            yield from (target for path, target in signed.targets.items() if path.startswith(start))


def _replace(draft: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(draft, folder)
