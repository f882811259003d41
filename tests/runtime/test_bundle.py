"""A bundle is refused when any byte of it is not what its manifest says."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from contracts.errors import BundleError
from runtime.bundle import Bundle, open_bundle, write_bundle_manifest
from tests.simulators.paper_bundle import paper_fields, write_paper_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_paper_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_written_bundle_opens_under_its_hash(tmp_path: Path) -> None:
    bundle_hash = write_paper_bundle(tmp_path / "bundle")
    bundle = open_bundle(tmp_path / "bundle", expected_hash=bundle_hash)
    assert bundle.hash == bundle_hash
    assert bundle.read("golden/1.png") == b"picture"
    assert set(bundle.manifest.files) == {"golden/1.png", "int8.onnx", "reference.safetensors"}


def test_equal_content_has_an_equal_hash_wherever_it_lies(tmp_path: Path) -> None:
    hashes = {write_paper_bundle(tmp_path / name) for name in ("one", "two")}
    assert len(hashes) == 1
    assert write_paper_bundle(tmp_path / "three", created=2) not in hashes


def test_a_link_to_a_bundle_is_followed_once(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "active").symlink_to(folder, target_is_directory=True)
    assert open_bundle(tmp_path / "active").path == folder.resolve()


@pytest.mark.parametrize("name", ["int8.onnx", "reference.safetensors", "golden/1.png"])
def test_one_changed_byte_is_found_and_named(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[0] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} differs"):
        open_bundle(folder)


def test_appended_bytes_are_found(folder: Path) -> None:
    with (folder / "int8.onnx").open("ab") as file:
        file.write(b"more")
    with pytest.raises(BundleError, match=r"int8\.onnx differs"):
        open_bundle(folder)


def test_missing_file_is_named(folder: Path) -> None:
    (folder / "golden" / "1.png").unlink()
    with pytest.raises(BundleError, match=r"lacks golden/1\.png"):
        open_bundle(folder)


def test_extra_file_is_named(folder: Path) -> None:
    (folder / "golden" / "notes.txt").write_text("hello")
    with pytest.raises(BundleError, match=r"golden/notes\.txt, which its manifest does not name"):
        open_bundle(folder)


def test_hidden_extra_file_is_found(folder: Path) -> None:
    (folder / ".weights.data").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"\.weights\.data"):
        open_bundle(folder)


def test_link_inside_is_refused_even_to_the_right_bytes(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "int8.onnx", tmp_path / "elsewhere.onnx")
    (folder / "int8.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(BundleError, match=r"int8\.onnx is a link"):
        open_bundle(folder)


def test_linked_folder_inside_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "golden", tmp_path / "golden")
    (folder / "golden").symlink_to(tmp_path / "golden", target_is_directory=True)
    with pytest.raises(BundleError, match="golden is a link"):
        open_bundle(folder)


def test_linked_manifest_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "manifest.json", tmp_path / "manifest.json")
    (folder / "manifest.json").symlink_to(tmp_path / "manifest.json")
    with pytest.raises(BundleError, match=r"manifest\.json"):
        open_bundle(folder)


def test_pipe_inside_is_refused_without_waiting_for_it(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(BundleError, match="neither a file nor a folder"):
        open_bundle(folder)


def test_pipe_as_manifest_is_refused_without_waiting_for_it(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")
    with pytest.raises(BundleError, match="not a plain file"):
        open_bundle(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "golden/../../outside", ".hidden", "a//b", "a\\b"])
def test_path_that_leaves_the_bundle_is_refused(folder: Path, name: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = {"sha256": "0" * 64, "bytes": 1}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="not a manifest this version can read"):
        open_bundle(folder)


def test_another_bundle_than_expected_is_refused(folder: Path) -> None:
    with pytest.raises(BundleError, match=f"expected {'f' * 12}"):
        open_bundle(folder, expected_hash="f" * 64)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "nonsense", '{"schema_version": 2}', '{"schema_version": NaN}'])
def test_broken_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json is not a manifest"):
        open_bundle(folder)


def test_field_of_a_newer_version_is_tolerated(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "from_the_future": 1}))
    assert open_bundle(folder).manifest.site == "mono"


def test_manifest_of_unreasonable_size_is_not_parsed(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b" " * (4 * 1024 * 1024 + 1))
    with pytest.raises(BundleError, match="larger than"):
        open_bundle(folder)


def test_nothing_there_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no bundle at"):
        open_bundle(tmp_path / "nowhere")


def test_file_instead_of_a_folder_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "bundle.zip").write_bytes(b"PK")
    with pytest.raises(BundleError, match="a bundle is a directory"):
        open_bundle(tmp_path / "bundle.zip")


def test_file_swapped_after_verification_is_not_loaded(folder: Path) -> None:
    bundle: Bundle = open_bundle(folder)
    (folder / "int8.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match="has changed since"):
        bundle.read("int8.onnx")


def test_manifest_is_not_written_for_fields_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"files lacks \['golden/1\.png', 'int8\.onnx', 'reference\.safetensors'\]"):
        write_bundle_manifest(tmp_path, paper_fields())
    assert not (tmp_path / "manifest.json").exists()
