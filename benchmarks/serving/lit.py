"""The same model behind LitServe, with a worker a core.

    PYTHON -m benchmarks.serving.lit BUNDLE PORT

LitServe brings other servers than Lineside has, so it runs in an environment of its own (`--litserve PYTHON`). It reads
the annotation of `decode_request` itself, which therefore must not be text (`from __future__ import annotations`).
"""

import sys
from pathlib import Path
from typing import Any

import litserve
from fastapi import UploadFile

from benchmarks.serving.plain import Plain


class Api(litserve.LitAPI):  # type: ignore[misc]
    """Image in, label and logits out."""

    def setup(self, device: str) -> None:
        self.model = Plain(Path(sys.argv[1]))

    def decode_request(self, request: UploadFile) -> bytes:
        return request.file.read()

    def predict(self, image: bytes) -> dict[str, object]:
        return self.model.answer(image)

    def encode_response(self, output: dict[str, object]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="error")
