"""Answers by HTTP POST to a server of the plant, signed where both sides know a secret."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import urllib3

from contracts.answer import Answer
from contracts.errors import LinkError
from edge_agent.outputs.output import Pulse, Refused

_READ_BYTES = 200  # of what the other side says
_LATER = frozenset({408, 425, 429})


class Webhook:
    """POSTs each answer as JSON (`answer-v1`) to `url`. 2xx takes it; 3xx and 4xx refuse it for good, but for 408, 425
    and 429; anything else is tried again. Redirects are not followed.

    Headers: `X-Lineside-Delivery` names the answer and is the same when it comes twice; with a secret,
    `X-Lineside-Timestamp` and `X-Lineside-Signature`, see `signature`.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        secret: str | None,
        ca_file: str | None,
        timeout_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._server = "{0.scheme}://{0.netloc}".format(urlsplit(url))  # a path or query may be secret
        self._url, self._secret, self._clock = url, secret, clock
        self.sent_bytes = 0
        """Of answers that reached the server, since the start."""
        self._timeout = urllib3.Timeout(total=timeout_seconds)
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, ca_certs=ca_file)

    def open(self) -> None:
        """Connections are made when they are needed."""

    def deliver(self, answer: Answer) -> None:
        """Raises LinkError or Refused."""
        body = answer.model_dump_json().encode()
        headers = {
            "Content-Type": "application/json",
            "X-Lineside-Delivery": f"{answer.agent}/{answer.camera}/{answer.sequence}",
            **self._signed(body),
        }
        try:
            response = self._pool.request(
                "POST",
                self._url,
                body=body,
                headers=headers,
                timeout=self._timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            self.sent_bytes += len(body)
            try:
                said = response.read(_READ_BYTES, decode_content=False)
            finally:
                response.close()
        except urllib3.exceptions.HTTPError as error:
            raise LinkError(f"{self._server} cannot be reached: {error}") from error
        self._judge(response.status, said)

    def beat(self, pulse: Pulse) -> bool:
        """Nobody listens for it."""
        return False

    def close(self) -> None:
        """Let go of the connection."""
        self._pool.clear()

    def _signed(self, body: bytes) -> dict[str, str]:
        if self._secret is None:
            return {}
        timestamp = str(int(self._clock()))
        return {"X-Lineside-Timestamp": timestamp, "X-Lineside-Signature": signature(self._secret, timestamp, body)}

    def _judge(self, status: int, said: bytes) -> None:
        if 200 <= status < 300:
            return
        brief = f"{self._server} answers {status} {said.decode('utf-8', errors='replace')}".rstrip()
        if 300 <= status < 400:
            raise Refused(f"{brief}; redirects are not followed: write the address it leads to into the settings")
        if 400 <= status < 500 and status not in _LATER:
            raise Refused(brief)
        raise LinkError(brief)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`sha256=` and the hexadecimal HMAC-SHA-256 of the timestamp (seconds since 1970), a full stop and the body.

    The receiver computes it over the bytes it got, compares in constant time, and refuses old timestamps.

    >>> signature("secret", "1700000000", b"{}")[:23]
    'sha256=b8569b78799ff9e3'
    """
    return "sha256=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
