"""Images to the monitor over HTTP, one at a time."""

from __future__ import annotations

import urllib3

from contracts.errors import LinkError, OrderError
from contracts.upload import ImageUpload

_TIMEOUT = urllib3.Timeout(connect=5.0, read=30.0)
_TAKEN = frozenset({200, 201, 202, 204, 409})
_NEVER = frozenset({400, 404, 413, 415, 422})
_MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".bmp": "image/bmp", ".tiff": "image/tiff"}


class ImageUploader:
    """`POST {url}/v1/images`, see `contracts.upload`."""

    def __init__(self, url: str, *, token: str | None, ca_file: str | None = None) -> None:
        self._url = f"{url.rstrip('/')}/v1/images"
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.sent_bytes = 0
        """Of images, since the start."""
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, ca_certs=ca_file)

    def post(self, upload: ImageUpload, image: bytes, suffix: str) -> None:
        """Hand one image over. Raises LinkError (try again later) or OrderError (the monitor will never take it)."""
        fields: dict[str, str | tuple[str, bytes, str]] = {
            "upload": upload.model_dump_json(),
            "image": (f"image{suffix}", image, _MEDIA_TYPES.get(suffix, "application/octet-stream")),
        }
        try:
            response = self._pool.request(
                "POST", self._url, fields=fields, headers=self._headers, timeout=_TIMEOUT, retries=False, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise LinkError(f"the monitor at {self._url} cannot be reached: {error}") from error
        self.sent_bytes += len(image)
        if response.status in _NEVER:
            raise OrderError(
                f"the monitor refuses the image of part {upload.verdict.frame.part_id}: {_brief(response)}"
            )
        if response.status not in _TAKEN:
            raise LinkError(f"the monitor at {self._url} answers {_brief(response)}")

    def close(self) -> None:
        """Let go of the connection."""
        self._pool.clear()


def _brief(response: urllib3.BaseHTTPResponse) -> str:
    return f"{response.status} {response.data[:200].decode('utf-8', errors='replace')}"
