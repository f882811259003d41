"""What the registry signs, what it refuses, and what it needs offline keys for."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts import BundleError, ConfigurationError, OrderError
from contracts.channel import Release
from monitor.registry import Registry
from monitor.registry.keys import KeyFolder
from tests.simulators.paper_bundle import write_paper_bundle
from tests.simulators.site import Calendar, ServedSite, release


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """With the sites mono and poly and nothing published."""
    return Registry.init(tmp_path / "registry", ["mono", "poly"])


@pytest.fixture
def bundle_hash(registry: Registry, tmp_path: Path) -> str:
    """A bundle that is published for mono."""
    write_paper_bundle(tmp_path / "bundle")
    return registry.publish_bundle("mono", tmp_path / "bundle")


def _metadata(registry: Registry) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in registry.metadata_folder.iterdir()}


def test_keys_are_readable_by_their_owner_only_and_apart(registry: Registry) -> None:
    keys = registry.folder / "keys"
    assert KeyFolder(keys / "offline").names() == ("root-1", "root-2", "root-3", "targets")
    assert KeyFolder(keys / "online").names() == ("site-mono", "site-poly", "snapshot", "timestamp")
    for path in keys.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert "Move them away" in (keys / "offline" / "README.txt").read_text()


def test_the_monitor_publishes_without_the_offline_keys(registry: Registry, tmp_path: Path) -> None:
    (registry.folder / "keys" / "offline").rename(tmp_path / "safe")
    write_paper_bundle(tmp_path / "bundle")
    published = Registry.open(registry.folder).publish_bundle("mono", tmp_path / "bundle")
    registry.publish_channel(release("mono", 1, published))
    assert registry.channel("mono") == release("mono", 1, published)
    assert registry.channel("poly") is None


def test_a_folder_in_use_is_not_made_a_registry(tmp_path: Path) -> None:
    Registry.init(tmp_path / "registry", ["mono"])
    with pytest.raises(ConfigurationError, match="is not empty"):
        Registry.init(tmp_path / "registry", ["mono"])


def test_a_folder_that_is_no_registry_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="lineside monitor init"):
        Registry.open(tmp_path)


@pytest.mark.parametrize("site", ["Mono", "a/b", "*", "", "a" * 65])
def test_a_site_needs_a_name_that_fits_into_paths(tmp_path: Path, site: str) -> None:
    with pytest.raises(ConfigurationError, match="a-z"):
        Registry.init(tmp_path / "registry", [site])
    assert not (tmp_path / "registry").exists()


def test_a_bundle_of_another_site_is_not_published(registry: Registry, tmp_path: Path) -> None:
    write_paper_bundle(tmp_path / "bundle", "poly")
    with pytest.raises(BundleError, match="made for site 'poly', not 'mono'"):
        registry.publish_bundle("mono", tmp_path / "bundle")


def test_a_damaged_bundle_is_not_published(registry: Registry, tmp_path: Path) -> None:
    write_paper_bundle(tmp_path / "bundle")
    (tmp_path / "bundle" / "int8.onnx").write_bytes(b"other")
    before = _metadata(registry)
    with pytest.raises(BundleError, match=r"int8\.onnx"):
        registry.publish_bundle("mono", tmp_path / "bundle")
    assert _metadata(registry) == before


def test_an_unknown_site_is_named_with_the_known_ones(registry: Registry, tmp_path: Path) -> None:
    write_paper_bundle(tmp_path / "bundle", "third")
    with pytest.raises(ConfigurationError, match=r"no site 'third' .it has: mono, poly"):
        registry.publish_bundle("third", tmp_path / "bundle")


def test_publishing_the_same_twice_changes_nothing(registry: Registry, bundle_hash: str, tmp_path: Path) -> None:
    registry.publish_channel(release("mono", 1, bundle_hash))
    before = _metadata(registry)
    assert registry.publish_bundle("mono", tmp_path / "bundle") == bundle_hash
    registry.publish_channel(release("mono", 1, bundle_hash))
    assert _metadata(registry) == before


@pytest.mark.parametrize("sequence", [1, 2])
def test_a_channel_needs_a_higher_sequence_than_the_last(registry: Registry, bundle_hash: str, sequence: int) -> None:
    registry.publish_channel(release("mono", 2, bundle_hash))
    with pytest.raises(OrderError, match=f"sequence {sequence} is not higher than the last, 2"):
        registry.publish_channel(release("mono", sequence, bundle_hash, reason="another"))


def test_a_channel_names_published_bundles_only(registry: Registry, bundle_hash: str) -> None:
    with pytest.raises(OrderError, match="is not published for mono"):
        registry.publish_channel(release("mono", 1, "f" * 64))
    shadow = Release(number=2, bundle_hash="f" * 64)
    with pytest.raises(OrderError, match="is not published for mono"):
        registry.publish_channel(release("mono", 1, bundle_hash, shadow=shadow))


def test_a_channel_does_not_run_what_it_refuses(registry: Registry, bundle_hash: str) -> None:
    with pytest.raises(OrderError, match="refused by the same channel"):
        registry.publish_channel(release("mono", 1, bundle_hash, refused=(bundle_hash,)))


def test_a_new_site_needs_the_offline_key_and_can_publish_at_once(registry: Registry, tmp_path: Path) -> None:
    safe = tmp_path / "safe"
    (registry.folder / "keys" / "offline").rename(safe)
    with pytest.raises(ConfigurationError, match=r"targets\.pem .*bring it back"):
        registry.add_site("third")
    registry.add_site("third", offline=safe)
    registry.add_site("third", offline=safe)
    assert registry.sites == ("mono", "poly", "third")
    write_paper_bundle(tmp_path / "bundle", "third")
    assert registry.publish_bundle("third", tmp_path / "bundle")


def test_offline_keys_with_a_passphrase_open_with_it_only(tmp_path: Path) -> None:
    registry = Registry.init(tmp_path / "registry", ["mono"], passphrase=b"a long one")
    pem = (tmp_path / "registry" / "keys" / "offline" / "targets.pem").read_bytes()
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY")
    with pytest.raises(ConfigurationError, match="passphrase"):
        registry.add_site("third")
    with pytest.raises(ConfigurationError, match="passphrase is wrong"):
        registry.add_site("third", passphrase=b"a wrong one")
    registry.add_site("third", passphrase=b"a long one")
    assert "third" in registry.sites


def test_signatures_are_renewed_from_half_of_their_life_on(tmp_path: Path) -> None:
    clock = Calendar(datetime(2026, 1, 1, tzinfo=UTC))
    registry = Registry.init(tmp_path / "registry", ["mono"], clock=clock)
    clock.forward(hours=23)
    assert not registry.refresh()
    clock.forward(hours=2)
    assert registry.refresh()
    assert not registry.refresh()
    for _ in range(120):
        clock.forward(days=1.1)
        registry.refresh()
    online = {role: expiry for role, expiry in registry.expiries().items() if role not in ("root", "targets")}
    assert set(online) == {"snapshot", "timestamp", "site-mono"}
    assert min(online.values()) > clock.now


def test_a_registry_that_was_off_for_months_comes_back_with_one_refresh(tmp_path: Path) -> None:
    clock = Calendar(datetime(2026, 1, 1, tzinfo=UTC))
    registry = Registry.init(tmp_path / "registry", ["mono"], clock=clock)
    clock.forward(days=200)
    assert min(registry.expiries().values()) < clock.now
    assert registry.refresh()
    assert min(registry.expiries().values()) > clock.now


def test_root_and_targets_are_renewed_with_two_of_three_root_keys_and_agents_follow(tmp_path: Path) -> None:
    site = ServedSite(tmp_path, ago=timedelta(days=3 * 365 - 1))
    safe = tmp_path / "safe"
    (site.registry.folder / "keys" / "offline").rename(safe)
    (safe / "root-2.pem").unlink()
    site.clock.forward(days=3 * 365 - 1)
    site.registry.renew_offline(offline=safe)
    site.registry.refresh()
    assert site.registry.expiries()["root"] > site.clock.now + timedelta(days=1000)
    with site.server.running():
        assert site.client().channel().sequence == 1
    (safe / "root-1.pem").unlink()
    with pytest.raises(ConfigurationError, match="holds 1 root keys; 2 are needed"):
        site.registry.renew_offline(offline=safe)


def test_old_metadata_is_deleted_but_not_what_a_slow_client_may_still_read(
    registry: Registry, bundle_hash: str
) -> None:
    for sequence in range(1, 40):
        registry.publish_channel(release("mono", sequence, bundle_hash))
    assert 15 <= len(list(registry.metadata_folder.glob("*.snapshot.json"))) <= 25
    assert 15 <= len(list(registry.metadata_folder.glob("*.site-mono.json"))) <= 25


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path)
    keys.create("root-1")
    with pytest.raises(ConfigurationError, match="never overwritten"):
        keys.create("root-1")


def test_something_else_than_a_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "timestamp.pem").write_text("hello")
    with pytest.raises(ConfigurationError, match=r"timestamp\.pem is no key"):
        KeyFolder(tmp_path).signer("timestamp")
