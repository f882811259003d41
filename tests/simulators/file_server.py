"""A real HTTP server over a folder that can be told to lie, stall or drip."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FileServer:
    """Serves `folder` on loopback. `tamper(path, data) -> data` may change any answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tamper: Callable[[str, bytes], bytes] = lambda _path, data: data
        self.paths: list[str] = []
        self.drips_body: str | None = None
        """Of paths that contain this, the body arrives one byte at a time, for ever."""
        self.drips_header: str | None = None
        self.endless: str | None = None
        """Of paths that contain this, the body never ends."""
        self.redirects_to: str | None = None
        self.sent_bytes = 0
        self.stopped = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def use_tls(self, certificate: Path, key: Path) -> None:
        """From now on `https`, with this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """One answer, with the planted fault."""
        self.paths.append(request.path)
        try:
            if self.drips_header and self.drips_header in request.path:
                self._drip(request, b"HTTP/1.1 200 OK\r\nX-Long: ")
            elif self.drips_body and self.drips_body in request.path:
                self._drip(request, b"HTTP/1.1 200 OK\r\n\r\n")
            elif self.endless and self.endless in request.path:
                self._flood(request)
            else:
                self._plain(request)
        except OSError:
            return  # the client went away, as it should

    def _plain(self, request: BaseHTTPRequestHandler) -> None:
        if self.redirects_to:
            request.send_response(302)
            request.send_header("Location", self.redirects_to)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        path = self.folder / request.path.lstrip("/")
        if not path.is_file():
            request.send_error(404)
            return
        data = self.tamper(request.path, path.read_bytes())
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _drip(self, request: BaseHTTPRequestHandler, start: bytes) -> None:
        request.wfile.write(start)
        while not self.stopped.wait(0.05):
            request.wfile.write(b"a")
            request.wfile.flush()

    def _flood(self, request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        block = b"a" * 65536
        while not self.stopped.is_set():
            request.wfile.write(block)
            self.sent_bytes += len(block)

    @contextmanager
    def running(self) -> Iterator[FileServer]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.stopped.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join()
