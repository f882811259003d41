"""Images and gold sets as content-addressed blobs: the name is the SHA-256 of the bytes, so writing twice is once."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from contracts.errors import LinkError

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """A store of bytes under `url` (a local folder today; any fsspec address that can rename).

    >>> import tempfile
    >>> blobs = Blobs(tempfile.mkdtemp())
    >>> blobs.read(blobs.write(b"a picture"))
    b'a picture'
    """

    def __init__(self, url: str) -> None:
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._files.makedirs(self._root, exist_ok=True)

    def write(self, data: bytes) -> str:
        """Store the bytes; they are on disk under their name when this returns. Returns the name."""
        name = hashlib.sha256(data).hexdigest()
        target = self._path(name)
        if self._files.exists(target):
            return name
        self._files.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        draft = f"{self._root}/.draft-{secrets.token_hex(8)}"
        self._files.pipe_file(draft, data)
        self._flush(draft)
        self._files.mv(draft, target)
        self._flush(target.rsplit("/", 1)[0])
        return name

    def read(self, name: str) -> bytes:
        """The bytes. Raises LinkError when they are missing or no longer what the name says."""
        try:
            data: bytes = self._files.cat_file(self._path(name))
        except OSError as error:
            raise LinkError(f"blob {name[:12]} cannot be read from {self._root}: {error}") from error
        if hashlib.sha256(data).hexdigest() != name:
            raise LinkError(f"blob {name[:12]} in {self._root} is damaged; restore it from a copy")
        return data

    def local_path(self, name: str) -> Path | None:
        """Where the blob lies on this machine; None for a store elsewhere."""
        return Path(self._path(name)) if isinstance(self._files, LocalFileSystem) else None

    def remove(self, name: str) -> None:
        """Delete; a missing blob is fine."""
        if self._files.exists(self._path(name)):
            self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        if _SHA256.fullmatch(name) is None:
            raise ValueError(f"{name[:80]!r} is no SHA-256")
        return f"{self._root}/{name[:2]}/{name}"

    def _flush(self, path: str) -> None:
        if isinstance(self._files, LocalFileSystem):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
