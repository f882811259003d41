"""What an agent believes of a registry that lies, stalls or has been taken over in part."""

from __future__ import annotations

import contextlib
import ipaddress
import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from benchmarks.faults.tampering import ACCEPTED, REFUSED, outcomes
from contracts import BundleError, LinkError
from edge_agent.updates import UntrustedError
from monitor.registry.keys import KeyFolder
from runtime.bundle import open_bundle
from tests.simulators.paper_bundle import write_paper_bundle
from tests.simulators.site import ServedSite, release


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ServedSite]:
    """A served registry with release 1 of `mono`."""
    made = ServedSite(tmp_path)
    with made.server.running():
        yield made


def _arrived(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_published_bundle_arrives_whole(site: ServedSite, tmp_path: Path) -> None:
    client = site.client()
    channel = client.channel()
    path = client.fetch(channel.active.bundle_hash, tmp_path / "incoming")
    assert path == tmp_path / "incoming" / site.hash
    assert open_bundle(path, expected_hash=site.hash).manifest.site == "mono"
    assert client.floor.sequence == 1


def test_a_site_without_a_release_is_asked_again_later(site: ServedSite) -> None:
    with pytest.raises(LinkError, match="no release for site 'poly' yet"):
        site.client(site="poly").channel()


def test_a_registry_that_is_away_is_asked_again_later(tmp_path: Path) -> None:
    site = ServedSite(tmp_path)
    with site.server.running():
        client = site.client()
        client.channel()
    with pytest.raises(LinkError, match="cannot update"):
        client.channel()


def test_an_update_that_broke_off_continues_with_what_it_has(site: ServedSite, tmp_path: Path) -> None:
    (site.server.folder / "targets").rename(tmp_path / "targets-away")
    folder = site.server.folder / "targets" / "mono"
    shutil.copytree(tmp_path / "targets-away" / "mono", folder)
    model = next((folder / "bundles" / site.hash).glob("*.int8.onnx"))
    model.unlink()
    client = site.client()
    with pytest.raises(LinkError, match="404"):
        client.fetch(site.hash, tmp_path / "incoming")
    shutil.copytree(tmp_path / "targets-away" / "mono", folder, dirs_exist_ok=True)
    site.server.paths.clear()
    client.fetch(site.hash, tmp_path / "incoming")
    assert not [path for path in site.server.paths if "golden" in path]
    assert [path for path in site.server.paths if "int8.onnx" in path]


def test_files_that_the_manifest_does_not_name_are_removed_from_the_staging_folder(
    site: ServedSite, tmp_path: Path
) -> None:
    stranger = tmp_path / "incoming" / site.hash / "stranger.onnx"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(b"left behind")
    site.client().fetch(site.hash, tmp_path / "incoming")
    assert not stranger.exists()


@pytest.mark.parametrize("file", ["manifest.json", "int8.onnx", "golden/1.png", "channel.json"])
def test_a_tampered_file_is_refused(site: ServedSite, tmp_path: Path, file: str) -> None:
    name = file.rpartition("/")[2]
    site.server.tamper = lambda path, data: data[:-1] + bytes([data[-1] ^ 1]) if path.endswith("." + name) else data
    with pytest.raises(UntrustedError):
        site.client().fetch(site.hash, tmp_path / "incoming")
    assert not [path for path in _arrived(tmp_path / "incoming") if path.endswith("/" + file)]


def test_two_files_of_a_bundle_swapped_for_each_other_are_refused(site: ServedSite, tmp_path: Path) -> None:
    folder = site.server.folder / "targets" / "mono" / "bundles" / site.hash
    other = next(folder.glob("*.reference.safetensors")).read_bytes()
    site.server.tamper = lambda path, data: other if path.endswith("int8.onnx") else data
    with pytest.raises(UntrustedError):
        site.client().fetch(site.hash, tmp_path / "incoming")


def test_an_old_model_in_a_new_bundle_is_refused(site: ServedSite, tmp_path: Path) -> None:
    new = site.publish(2)
    old = site.server.folder / "targets" / "mono" / "bundles" / site.hash
    old_model = next(old.glob("*.int8.onnx")).read_bytes()
    site.server.tamper = lambda path, data: old_model if new in path and path.endswith("int8.onnx") else data
    with pytest.raises(UntrustedError):
        site.client().fetch(new, tmp_path / "incoming")


def test_an_older_repository_served_again_is_refused(site: ServedSite) -> None:
    before = site.snapshot("before")
    site.publish(2)
    client = site.client()
    assert client.channel().sequence == 2
    site.server.folder = before
    with pytest.raises(UntrustedError):
        client.channel()


def test_an_older_repository_is_refused_even_when_the_metadata_was_wiped(site: ServedSite, tmp_path: Path) -> None:
    before = site.snapshot("before")
    site.publish(2)
    site.client().channel()
    shutil.rmtree(tmp_path / "agent" / "tuf")
    site.server.folder = before
    with pytest.raises(UntrustedError, match="channel 1 is older than 2"):
        site.client().channel()
    with pytest.raises(UntrustedError, match="channel 1 is older than 2"):
        site.client().fetch(site.hash, tmp_path / "incoming")


def test_a_rollback_by_a_new_signed_channel_is_followed(site: ServedSite, tmp_path: Path) -> None:
    bad = site.publish(2)
    client = site.client()
    client.channel()
    site.registry.publish_channel(release("mono", 3, site.hash, refused=(bad,), reason="release 2 was wrong"))
    channel = client.channel()
    assert (channel.sequence, channel.active.bundle_hash) == (3, site.hash)
    with pytest.raises(BundleError, match="refused for mono: worse on the line") as caught:
        client.fetch(bad, tmp_path / "incoming")
    assert not isinstance(caught.value, UntrustedError)


def test_a_damaged_floor_stops_updates_instead_of_forgetting(site: ServedSite, tmp_path: Path) -> None:
    site.client().channel()
    (tmp_path / "agent" / "floor.json").write_bytes(b"\0\0")
    with pytest.raises(UntrustedError, match=r"floor\.json is damaged"):
        site.client().channel()


def test_a_frozen_registry_is_noticed_when_its_signatures_expire(tmp_path: Path) -> None:
    site = ServedSite(tmp_path, ago=timedelta(days=3))
    with site.server.running():
        with pytest.raises(UntrustedError, match="expired"):
            site.client().channel()
        site.clock.forward(days=3)
        assert site.registry.refresh()
        assert site.client().channel().sequence == 1


def test_a_snapshot_of_one_moment_with_a_timestamp_of_another_is_refused(site: ServedSite) -> None:
    """Mix and match: everything is properly signed, but not together."""
    before = site.snapshot("before")
    site.publish(2)
    version = max(int(path.name.split(".")[0]) for path in (site.server.folder / "metadata").glob("*.snapshot.json"))
    old = (before / "metadata" / f"{version - 2}.snapshot.json").read_bytes()
    site.server.tamper = lambda path, data: old if path.endswith(f"/{version}.snapshot.json") else data
    with pytest.raises(UntrustedError):
        site.client().channel()


def test_an_old_site_role_beside_a_new_snapshot_is_refused(site: ServedSite) -> None:
    old = sorted((site.server.folder / "metadata").glob("*.site-mono.json"))[-1].read_bytes()
    site.publish(2)
    site.server.tamper = lambda path, data: old if path.endswith("site-mono.json") else data
    with pytest.raises(UntrustedError):
        site.client().channel()


def _take_over(site: ServedSite, thief_role: str, signer: CryptoSigner, targets: dict[str, TargetFile]) -> None:
    """Someone with the online snapshot and timestamp keys and one more key signs these targets in that role."""
    metadata = site.server.folder / "metadata"
    online = KeyFolder(site.folder / "registry" / "keys" / "online")
    timestamp = Metadata[Timestamp].from_file(str(metadata / "timestamp.json"))
    snapshot = Metadata[Snapshot].from_file(str(metadata / f"{timestamp.signed.snapshot_meta.version}.snapshot.json"))
    version = snapshot.signed.meta[f"{thief_role}.json"].version
    role = Metadata[Targets].from_file(str(metadata / f"{version}.{thief_role}.json"))
    role.signed.version += 1
    role.signed.targets.update(targets)
    role.sign(signer)
    role.to_file(str(metadata / f"{version + 1}.{thief_role}.json"))
    snapshot.signed.meta[f"{thief_role}.json"] = MetaFile(version + 1)
    snapshot.signed.version += 1
    snapshot.sign(online.signer("snapshot"))
    snapshot.to_file(str(metadata / f"{snapshot.signed.version}.snapshot.json"))
    timestamp.signed.snapshot_meta = MetaFile(snapshot.signed.version)
    timestamp.signed.version += 1
    timestamp.sign(online.signer("timestamp"))
    timestamp.to_file(str(metadata / "timestamp.json"))


def _plant(site: ServedSite, path: str, data: bytes) -> TargetFile:
    target = TargetFile.from_data(path, data, ["sha256"])
    folder, _, name = path.rpartition("/")
    place = site.server.folder / "targets" / folder / f"{target.hashes['sha256']}.{name}"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return target


def test_one_sites_key_cannot_publish_for_another_site(site: ServedSite) -> None:
    """The thief has everything that is online at site poly's monitor, except mono's key."""
    forged = release("mono", 9, "f" * 64).model_dump_json().encode()
    target = _plant(site, "mono/channel.json", forged)
    key = KeyFolder(site.folder / "registry" / "keys" / "online").signer("site-poly")
    _take_over(site, "site-poly", key, {target.path: target})
    assert site.client().channel().sequence == 1
    with pytest.raises(LinkError, match="no release"):
        site.client("poly-agent", site="poly").channel()


def test_the_takeover_would_work_with_the_sites_own_key(site: ServedSite) -> None:
    """Guards the test above: the forgery is well made."""
    forged = release("mono", 9, "f" * 64).model_dump_json().encode()
    target = _plant(site, "mono/channel.json", forged)
    key = KeyFolder(site.folder / "registry" / "keys" / "online").signer("site-mono")
    _take_over(site, "site-mono", key, {target.path: target})
    assert site.client().channel().sequence == 9


@pytest.mark.parametrize("role", ["site-mono", "targets"])
def test_metadata_signed_with_another_key_is_refused(site: ServedSite, role: str) -> None:
    forged = _plant(site, "mono/channel.json", release("mono", 9, "f" * 64).model_dump_json().encode())
    _take_over(site, role, CryptoSigner.generate_ed25519(), {forged.path: forged})
    with pytest.raises(UntrustedError, match="signed by 0/1 keys"):
        site.client().channel()


def test_a_channel_of_another_site_under_this_sites_path_is_refused(site: ServedSite) -> None:
    forged = _plant(site, "mono/channel.json", release("poly", 9, "f" * 64).model_dump_json().encode())
    key = KeyFolder(site.folder / "registry" / "keys" / "online").signer("site-mono")
    _take_over(site, "site-mono", key, {forged.path: forged})
    with pytest.raises(UntrustedError, match="is for site 'poly'"):
        site.client().channel()


def test_two_channels_with_one_sequence_are_refused(site: ServedSite) -> None:
    client = site.client()
    client.channel()
    forged = _plant(site, "mono/channel.json", release("mono", 1, "f" * 64).model_dump_json().encode())
    key = KeyFolder(site.folder / "registry" / "keys" / "online").signer("site-mono")
    _take_over(site, "site-mono", key, {forged.path: forged})
    with pytest.raises(UntrustedError, match="two different channels"):
        client.channel()


def test_signed_files_that_do_not_make_the_named_bundle_are_refused_as_a_bundle(
    site: ServedSite, tmp_path: Path
) -> None:
    """The signer signed nonsense: then the hash itself is to be refused."""
    write_paper_bundle(tmp_path / "odd", created=7)
    manifest = (tmp_path / "odd" / "manifest.json").read_bytes()
    target = _plant(site, f"mono/bundles/{'e' * 64}/manifest.json", manifest)
    key = KeyFolder(site.folder / "registry" / "keys" / "online").signer("site-mono")
    _take_over(site, "site-mono", key, {target.path: target})
    with pytest.raises(BundleError, match="has another hash") as caught:
        site.client().fetch("e" * 64, tmp_path / "incoming")
    assert not isinstance(caught.value, UntrustedError)


@pytest.mark.parametrize("part", ["timestamp.json", "channel.json", "int8.onnx"])
def test_endless_data_is_cut_off_at_the_signed_length(site: ServedSite, tmp_path: Path, part: str) -> None:
    site.server.endless = part
    with pytest.raises(UntrustedError, match="exceeding"):
        site.client().fetch(site.hash, tmp_path / "incoming")
    assert site.server.sent_bytes < 50_000_000


@pytest.mark.parametrize("part", ["timestamp.json", "int8.onnx"])
@pytest.mark.parametrize("where", ["drips_body", "drips_header"])
def test_data_that_drips_is_given_up_at_the_deadline(site: ServedSite, tmp_path: Path, part: str, where: str) -> None:
    """Each byte comes in time for a socket timeout; only the total deadline ends it."""
    setattr(site.server, where, part)
    with pytest.raises(LinkError, match="took longer than 1 s"):
        site.client(deadline_seconds=1.0).fetch(site.hash, tmp_path / "incoming")


def _own_certificate(folder: Path) -> tuple[Path, Path]:
    """(certificate, key) of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lineside test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "tls.pem", folder / "tls.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def test_updates_come_over_tls_from_a_registry_whose_certificate_is_known(tmp_path: Path) -> None:
    site = ServedSite(tmp_path)
    certificate, key = _own_certificate(tmp_path)
    site.server.use_tls(certificate, key)
    with site.server.running():
        assert site.client(ca_file=str(certificate)).channel().sequence == 1
        with pytest.raises(LinkError, match="certificate verify failed"):
            site.client("other").channel()


def test_a_tls_greeting_that_drips_is_given_up_at_the_deadline(site: ServedSite) -> None:
    """The other side takes its time before anything of HTTP was said."""
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            record_start = b"\x16\x03\x03\x40\x00"
            with connection, contextlib.suppress(OSError):  # the client hangs up
                while not stopped.wait(0.05):
                    connection.send(record_start[:1] or b"a")
                    record_start = record_start[1:]

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        site.server.url = f"https://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(LinkError, match="took longer than 1 s"):
            site.client(deadline_seconds=1.0).channel()
        stopped.set()
        thread.join()


def test_a_bundle_that_is_too_large_for_this_agent_is_not_downloaded(site: ServedSite, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="this agent takes 1000"):
        site.client(max_bytes=1000).fetch(site.hash, tmp_path / "incoming")
    assert not [path for path in site.server.paths if path.endswith("int8.onnx")]


def test_a_redirect_is_not_followed(site: ServedSite) -> None:
    client = site.client()
    client.channel()
    site.server.redirects_to = f"{site.server.url}/metadata/timestamp.json"
    with pytest.raises(LinkError, match="status 302"):
        client.channel()


def test_no_mutant_of_metadata_or_targets_is_accepted(site: ServedSite) -> None:
    """200 mutants; 10,000 with `python -m benchmarks.faults --only updates`."""
    found = outcomes(site, range(200))
    assert found[ACCEPTED] == 0
    assert found[REFUSED] > 180


def _new_root(site: ServedSite, signers: Sequence[str], *, timestamp: CryptoSigner, version: int = 2) -> None:
    """A root that puts another key in the place of the timestamp's, signed by these of its own keys."""
    metadata = site.server.folder / "metadata"
    offline = KeyFolder(site.folder / "registry" / "keys" / "offline")
    root = Metadata[Root].from_file(str(metadata / "1.root.json"))
    (old,) = root.signed.roles["timestamp"].keyids
    root.signed.revoke_key(old, "timestamp")
    root.signed.add_key(timestamp.public_key, "timestamp")
    root.signed.version = version
    root.signatures.clear()
    for name in signers:
        root.sign(offline.signer(name), append=True)
    root.to_file(str(metadata / f"{version}.root.json"))


def _sign_timestamp(site: ServedSite, signer: CryptoSigner) -> None:
    path = site.server.folder / "metadata" / "timestamp.json"
    timestamp = Metadata[Timestamp].from_file(str(path))
    timestamp.signed.version += 1
    timestamp.sign(signer)
    timestamp.to_file(str(path))


def test_a_key_that_was_replaced_signs_nothing_any_more(site: ServedSite) -> None:
    client, stolen = site.client(), KeyFolder(site.folder / "registry" / "keys" / "online").signer("timestamp")
    client.channel()
    fresh = CryptoSigner.generate_ed25519()
    _new_root(site, ["root-1", "root-3"], timestamp=fresh)
    _sign_timestamp(site, stolen)
    with pytest.raises(UntrustedError, match="signed by 0/1 keys"):
        client.channel()
    with pytest.raises(UntrustedError, match="signed by 0/1 keys"):
        site.client("newcomer").channel()
    _sign_timestamp(site, fresh)
    assert client.channel().sequence == 1


@pytest.mark.parametrize("signers", [[], ["root-2"], ["targets"], ["targets", "root-1"]])
def test_keys_are_replaced_by_two_of_the_root_keys_alone(site: ServedSite, signers: list[str]) -> None:
    client = site.client()
    client.channel()
    thief = CryptoSigner.generate_ed25519()
    _new_root(site, signers, timestamp=thief)
    _sign_timestamp(site, thief)
    for asked in (client, site.client("newcomer")):
        with pytest.raises(UntrustedError):
            asked.channel()


def test_a_root_that_leaves_out_a_version_is_not_taken(site: ServedSite) -> None:
    thief = CryptoSigner.generate_ed25519()
    _new_root(site, ["root-1", "root-2"], timestamp=thief, version=3)
    _sign_timestamp(site, thief)
    with pytest.raises(UntrustedError, match="signed by 0/1 keys"):
        site.client().channel()


def test_a_root_goes_back_under_no_version(site: ServedSite) -> None:
    """Version 1 served again as version 2: its keys are good, its number is not."""
    metadata = site.server.folder / "metadata"
    shutil.copy(metadata / "1.root.json", metadata / "2.root.json")
    with pytest.raises(UntrustedError, match="version"):
        site.client().channel()
