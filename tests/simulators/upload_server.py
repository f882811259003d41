"""The monitor's door for image uploads: takes what agents send, or answers what a test wants."""

from __future__ import annotations

import threading
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from contracts.upload import ImageUpload


class UploadServer:
    """`uploads` is what was taken; `status` is the answer from now on; `tokens` the Authorization headers seen."""

    def __init__(self) -> None:
        self.uploads: list[tuple[ImageUpload, bytes]] = []
        self.tokens: set[str] = set()
        self.status = 201
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.tokens.add(self.headers.get("Authorization", ""))
                if server.status < 300:
                    server.uploads.append(_parse(self.headers["Content-Type"], body))
                self.send_response(server.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def parts(self) -> list[str]:
        """Part ids in the order in which they came."""
        return [upload.verdict.frame.part_id for upload, _ in self.uploads]

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _parse(content_type: str, body: bytes) -> tuple[ImageUpload, bytes]:
    message = BytesParser().parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    parts = {part.get_param("name", header="content-disposition"): part for part in message.get_payload()}  # type: ignore[union-attr]
    upload = parts["upload"].get_payload(decode=True)  # type: ignore[union-attr]
    image = parts["image"].get_payload(decode=True)  # type: ignore[union-attr]
    return ImageUpload.model_validate_json(upload), bytes(image)  # type: ignore[arg-type]
