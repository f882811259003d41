"""TUF's downloads from a folder: the same bounds as over the network, no network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from tuf.api.exceptions import DownloadError, DownloadHTTPError
from tuf.ngclient import FetcherInterface

BASE = "file:///"
_CHUNK_BYTES = 64 * 1024


class FolderFetcher(FetcherInterface):
    """Reads plain files below `folder`; never through a link. Fits where `edge_agent.download.BoundedFetcher` does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bytes_left = 0
        self.expired = False
        self.received_bytes = 0

    def allow(self, *, seconds: float, max_bytes: int) -> None:
        """Start one operation; a local disk is not waited for."""
        self._bytes_left = max_bytes

    def _fetch(self, url: str) -> Iterator[bytes]:
        parts = Path(unquote(url.removeprefix(BASE))).parts
        if not url.startswith(BASE) or any(part in ("..", "/") for part in parts):
            raise DownloadError(f"{url} does not lie on the stick")
        path = self._folder.joinpath(*parts)
        if not path.is_file() or not path.resolve().is_relative_to(self._folder.resolve()):
            raise DownloadHTTPError(f"{path} is not there", 404)
        return self._chunks(path)

    def _chunks(self, path: Path) -> Iterator[bytes]:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                self._bytes_left -= len(chunk)
                if self._bytes_left < 0:
                    raise DownloadError(f"{path}: more bytes than one update may take")
                yield chunk
