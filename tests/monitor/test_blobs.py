"""Blobs: the name is the content."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import LinkError
from monitor.blobs import Blobs


def test_same_bytes_are_one_blob(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path))
    assert blobs.write(b"x") == blobs.write(b"x")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_changed_blob_is_refused(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path))
    name = blobs.write(b"x")
    path = blobs.local_path(name)
    assert path is not None
    path.write_bytes(b"y")
    with pytest.raises(LinkError, match="damaged"):
        blobs.read(name)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63])
def test_name_that_is_no_hash_reaches_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no SHA-256"):
        Blobs(str(tmp_path)).read(name)


def test_removed_blob_is_gone_and_removing_again_is_fine(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path))
    name = blobs.write(b"x")
    blobs.remove(name)
    blobs.remove(name)
    with pytest.raises(LinkError):
        blobs.read(name)


def test_store_that_is_no_local_folder_works_the_same() -> None:
    blobs = Blobs("memory://lineside-test")
    name = blobs.write(b"x")
    assert blobs.read(name) == b"x"
    assert blobs.local_path(name) is None
    blobs.remove(name)
