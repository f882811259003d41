"""HTTP downloads that end: a total deadline and a total number of bytes, whatever the other side does.

TUF asks for lengths and signatures but leaves time to the transport. A server that sends one byte every few seconds
never trips a socket timeout; here a timer shuts the connection down instead.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import urllib3
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient import FetcherInterface

_SOCKET_SECONDS = 10.0
_CHUNK_BYTES = 64 * 1024


class BoundedFetcher(FetcherInterface):
    """Fetches without redirects, proxies or compression until `allow`ed time or bytes are used up.

    Connecting to a name that a resolver never answers is bounded by the resolver, not by this.
    """

    def __init__(self, *, headers: Mapping[str, str] | None = None, ca_file: str | None = None) -> None:
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "lineside-agent", **(headers or {})}
        self._ca_file = ca_file
        self._deadline = 0.0  # monotonic seconds
        self._bytes_left = 0
        self.expired = False
        """True when the last failure came from the deadline."""
        self.received_bytes = 0
        """Of all answers, since the start."""

    def allow(self, *, seconds: float, max_bytes: int) -> None:
        """Start one operation: everything it fetches together gets this much time and this many bytes."""
        self._deadline = time.monotonic() + seconds
        self._bytes_left = max_bytes
        self.expired = False

    def _fetch(self, url: str) -> Iterator[bytes]:
        return self._chunks(url)

    def _chunks(self, url: str) -> Iterator[bytes]:
        left = self._deadline - time.monotonic()
        if left <= 0:
            self.expired = True
            raise SlowRetrievalError(f"no time left for {url}")
        watch = _Watch()
        timer = threading.Timer(left, watch.expire)
        timer.daemon = True
        timer.start()
        try:
            yield from self._read(url, watch, min(left, _SOCKET_SECONDS))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise DownloadError(f"{url}: {error}") from error
        finally:
            timer.cancel()
            self.expired = self.expired or watch.expired
            watch.close()

    def _read(self, url: str, watch: _Watch, timeout: float) -> Iterator[bytes]:
        with _pool(watch, self._ca_file) as pool:
            response = pool.request(
                "GET",
                url,
                headers=self._headers,
                preload_content=False,
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=timeout, read=timeout),
            )
            if response.status != 200:
                raise DownloadHTTPError(f"{url}: HTTP status {response.status}", response.status)
            while chunk := response.read1(_CHUNK_BYTES, decode_content=False):
                self._bytes_left -= len(chunk)
                self.received_bytes += len(chunk)
                if self._bytes_left < 0:
                    raise DownloadError(f"{url}: more bytes than one update may take")
                yield chunk
            if watch.expired:
                raise SlowRetrievalError(f"{url}: the deadline passed")


class _Watch:
    """Holds a second handle of every connection that is opened, to shut them down from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.expired = False

    def add(self, connection: socket.socket) -> None:
        """A handle of its own: TLS takes the first one away."""
        with self._lock:
            self._sockets.append(socket.socket(fileno=os.dup(connection.fileno())))

    def expire(self) -> None:
        """Whoever waits for bytes on one of the connections gets an end of file or an error at once."""
        with self._lock:
            self.expired = True
            for handle in self._sockets:
                try:
                    handle.shutdown(socket.SHUT_RDWR)
                except OSError:  # the other side was faster
                    continue

    def close(self) -> None:
        """Give the handles back."""
        with self._lock:
            for handle in self._sockets:
                handle.close()
            self._sockets.clear()


def _pool(watch: _Watch, ca_file: str | None) -> urllib3.PoolManager:
    """Connections that report themselves to `watch` as soon as they are open, before TLS."""

    class _Plain(urllib3.connection.HTTPConnection):
        def _new_conn(self) -> socket.socket:
            connection = super()._new_conn()
            watch.add(connection)
            return connection

    class _Tls(urllib3.connection.HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            connection = super()._new_conn()
            watch.add(connection)
            return connection

    class _PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = _Plain

    class _TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = _Tls

    options: dict[str, Any] = {"ca_certs": ca_file} if ca_file else {}
    pool = urllib3.PoolManager(**options)
    pool.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
    return pool
