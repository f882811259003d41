"""A bundle directory, verified: nothing missing, nothing extra, nothing changed, no links."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contracts.bundle import MANIFEST_NAME, FileEntry, Manifest
from contracts.errors import BundleError

LARGEST_MANIFEST_BYTES = 4 * 1024 * 1024
LARGEST_BUNDLE_BYTES = 1024 * 1024 * 1024
MOST_FILES = 1000
_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. `hash` is its identity: the SHA-256 of the bytes of its manifest."""

    path: Path
    hash: str
    manifest: Manifest

    def read(self, name: str) -> bytes:
        """The bytes of one file, checked against the manifest once more: what was verified is what gets loaded.

        Raises BundleError.
        """
        entry = self.manifest.files.get(name)
        if entry is None:
            raise BundleError(f"bundle {self.hash[:12]} has no file {name!r}")
        data = _read(self.path / name, limit=entry.bytes)
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise BundleError(f"{self.path / name} has changed since the bundle was verified; fetch the bundle again")
        return data


def open_bundle(path: Path, *, expected_hash: str | None = None) -> Bundle:
    """The bundle at `path` (which may itself be a link, as an active slot is), every byte verified.

    Raises BundleError naming the file: damaged, missing, extra, a link, too large, or another bundle than expected.
    """
    try:
        root = path.resolve(strict=True)
    except OSError as error:
        raise BundleError(f"there is no bundle at {path}") from error
    if not root.is_dir():
        raise BundleError(f"{path} is not a directory; a bundle is a directory with a {MANIFEST_NAME}")
    text = _read(root / MANIFEST_NAME, limit=LARGEST_MANIFEST_BYTES)
    found_hash = hashlib.sha256(text).hexdigest()
    if expected_hash is not None and found_hash != expected_hash:
        raise BundleError(f"{path} is bundle {found_hash[:12]}, expected {expected_hash[:12]}; fetch the right one")
    manifest = _parse(text, root / MANIFEST_NAME)
    _check_files(root, manifest.files)
    return Bundle(path=root, hash=found_hash, manifest=manifest)


def write_bundle_manifest(path: Path, fields: Mapping[str, Any]) -> str:
    """Write `manifest.json` of the files that lie under `path` and return the bundle's hash.

    `fields` are the manifest's fields without `files`, which is filled in here. The JSON is canonical (sorted keys, no
    spaces), so equal content has an equal hash. Raises BundleError when fields or files do not make a valid manifest.
    """
    files = {}
    for name in _walk(path):
        if name != MANIFEST_NAME:
            sha256, size = _hash(path / name)
            files[name] = FileEntry(sha256=sha256, bytes=size)
    try:
        manifest = Manifest.model_validate({**fields, "files": files})
    except ValidationError as error:
        raise BundleError(f"cannot write {path / MANIFEST_NAME}: {_explain(error)}") from error
    text = canonical_json(manifest.model_dump(mode="json"))
    _write_durably(path / MANIFEST_NAME, text)
    return hashlib.sha256(text).hexdigest()


def canonical_json(value: Any) -> bytes:
    """One spelling for one value.

    >>> canonical_json({"b": 1, "a": [1.5, None]})
    b'{"a":[1.5,null],"b":1}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def _parse(text: bytes, path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(f"{path} is not a manifest this version can read: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    items = [f"{'.'.join(str(part) for part in item['loc']) or 'manifest'}: {item['msg']}" for item in error.errors()]
    return "; ".join(item[:300] for item in items[:5])


def _check_files(root: Path, files: Mapping[str, FileEntry]) -> None:
    if len(files) > MOST_FILES or sum(entry.bytes for entry in files.values()) > LARGEST_BUNDLE_BYTES:
        raise BundleError(
            f"{root / MANIFEST_NAME} names more than {MOST_FILES} files or {LARGEST_BUNDLE_BYTES} bytes; refused"
        )
    present = set(_walk(root)) - {MANIFEST_NAME}
    if missing := sorted(set(files) - present):
        raise BundleError(f"the bundle at {root} lacks {missing[0][:300]}; fetch the bundle again")
    if extra := sorted(present - set(files)):
        raise BundleError(
            f"the bundle at {root} holds {extra[0][:300]}, which its manifest does not name; fetch the bundle again"
        )
    for name, entry in sorted(files.items()):
        sha256, size = _hash(root / name, limit=entry.bytes)
        if size != entry.bytes or sha256 != entry.sha256:
            raise BundleError(f"{root / name} differs from the manifest; fetch the bundle again")


def _walk(root: Path, folder: str = "") -> Iterator[str]:
    """Names of all regular files, relative, with forward slashes. Links, devices and pipes are refused."""
    for entry in sorted(os.scandir(root / folder), key=lambda item: item.name):
        name = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_symlink():
            raise BundleError(f"{root / name} is a link; a bundle holds plain files only")
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, name)
        elif entry.is_file(follow_symlinks=False):
            yield name
        else:
            raise BundleError(f"{root / name} is neither a file nor a folder; a bundle holds plain files only")


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}; fetch the bundle again") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BundleError(f"{path} is not a plain file; fetch the bundle again")
    return descriptor


def _read(path: Path, *, limit: int) -> bytes:
    with os.fdopen(_open(path), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise BundleError(f"{path} is larger than the {limit} bytes allowed; fetch the bundle again")
    return data


def _hash(path: Path, *, limit: int | None = None) -> tuple[str, int]:
    """(SHA-256, size); stops reading just after `limit` bytes, which the caller sees as a wrong size."""
    digest, size = hashlib.sha256(), 0
    with os.fdopen(_open(path), "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            size += len(block)
            if limit is not None and size > limit:
                break
    return digest.hexdigest(), size


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
