"""A plant's server that takes answers by HTTP, or does to them what a test wants."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from contracts.answer import Answer


class WebhookServer:
    """`answers` and `headers` of what was taken; `status` is the reply from now on. While `held` is set, requests wait
    for `release`."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        self.requests = 0
        self.status = 200
        self.reply_headers: dict[str, str] = {}
        self.held = False
        self.release = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.requests += 1
                if server.held:
                    server.release.wait(60)
                status = server.status
                if status < 300:
                    server.bodies.append(body)
                    server.headers.append(dict(self.headers))
                    server.answers.append(Answer.model_validate_json(body))
                try:
                    self.send_response(status)
                    for name, value in server.reply_headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except (BrokenPipeError, ConnectionResetError):
                    """The agent did not wait for it."""

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/answers"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def parts(self) -> list[str]:
        """Part ids in the order in which they came."""
        return [answer.part_id for answer in self.answers]

    def close(self) -> None:
        """Stop."""
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
