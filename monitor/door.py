"""Who may come in over HTTP: people with the password, raters with a key of their own, agents with their token; on
loopback nobody is asked.

Two things are checked even there, because a browser carries any page's requests to 127.0.0.1: the `Host` must be ours
(a foreign name means DNS rebinding), and a change must not come from a page of another origin.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from contracts.access import key_digest

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
OPEN_PATHS = ("/live", "/ready")
REGISTRY_PATH = "/registry/"
UPLOAD_PATH = "/v1/images"
LABEL_PAGE = "/labels"
_RATERS_READ = (f"{LABEL_PAGE}/images/", "/v1/images/", "/static/")
_RATERS_POST = ("/v1/labels",)
_RATERS_GET = (LABEL_PAGE, "/v1/labels/queue", "/v1/labels/agreement")


@dataclass(frozen=True)
class Door:
    """None as password or token: that door is open (loopback only, see `settings.WebSettings`). `raters`: digests of
    their keys by name; they may look at pictures and label them."""

    user: str
    password: str | None
    agent_token: str | None
    hosts: frozenset[str]
    largest_body_bytes: int = 40_000_000
    raters: Mapping[str, str] = field(default_factory=dict)

    def refuse(self, request: Request) -> Response | None:
        """The answer to a request that may not pass; None for one that may."""
        if not self._is_ours(request.headers.get("host", "")):
            return _answer(421, "this server does not go by that name; add it to web.allowed_hosts")
        if request.method not in SAFE_METHODS and not _same_origin(request):
            return _answer(403, "a page of another origin may not change anything here")
        if request.method not in SAFE_METHODS and (refusal := self._too_large(request)) is not None:
            return refusal
        path = request.url.path
        if path in OPEN_PATHS or self._is_agent(request) or self._is_person(request):
            return None
        if self._rater(request) is not None:
            return self._refuse_rater(request)
        return _answer(401, "sign in with the monitor's user and password, or send its token", ask=True)

    def person(self, request: Request) -> str | None:
        """Who asks, where the monitor can tell people apart: a rater, or the user of the password."""
        if not self.raters:
            return None
        rater = self._rater(request)
        return self.user if rater is None and self._is_person(request) else rater

    def _rater(self, request: Request) -> str | None:
        name, key = _basic(request)
        wanted = self.raters.get(name)
        return name if wanted is not None and hmac.compare_digest(key_digest(key), wanted) else None

    def _refuse_rater(self, request: Request) -> Response | None:
        path = request.url.path
        if request.method in SAFE_METHODS:
            if path == "/":
                return RedirectResponse(LABEL_PAGE, status_code=303)
            allowed = path in _RATERS_GET or path.startswith(_RATERS_READ)
        else:
            allowed = path in _RATERS_POST
        return None if allowed else _answer(403, f"your key is for labelling, at {LABEL_PAGE}")

    def _too_large(self, request: Request) -> Response | None:
        """A body must say its length before it is read: what is too long never reaches the disk."""
        length = request.headers.get("content-length")
        if length is None:
            if "transfer-encoding" in request.headers:
                return _answer(411, "say the length of the body in Content-Length")
            return None
        if not length.isdecimal() or int(length) > self.largest_body_bytes:
            return _answer(413, f"the body may have {self.largest_body_bytes} bytes at most")
        return None

    def _is_ours(self, host: str) -> bool:
        name = urlsplit(f"//{host}").hostname or ""
        if name in self.hosts or name == "localhost":
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True  # an address cannot be rebound

    def _is_agent(self, request: Request) -> bool:
        if request.method in SAFE_METHODS:
            return request.url.path.startswith(REGISTRY_PATH)  # signed, and verified by whoever fetches it
        if not _is_upload(request):
            return False
        return self.password is None if self.agent_token is None else _equal(_bearer(request), self.agent_token)

    def _is_person(self, request: Request) -> bool:
        if self.password is None:
            return not _is_upload(request)
        if _equal(_bearer(request), self.password):
            return True
        user, password = _basic(request)
        return _equal(user, self.user) and _equal(password, self.password)


def guard(door: Door) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    """The door as FastAPI middleware."""

    async def check(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        refusal = door.refuse(request)
        request.state.person = door.person(request)
        return refusal if refusal is not None else await go_on(request)

    return check


def hosts_of(host: str, allowed: Iterable[str]) -> frozenset[str]:
    """Names the server may be called by."""
    return frozenset({host, *allowed})


def _is_upload(request: Request) -> bool:
    return request.method == "POST" and request.url.path == UPLOAD_PATH


def _same_origin(request: Request) -> bool:
    """Browsers say where a request comes from; programs do not and carry no ambient rights."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")


def _bearer(request: Request) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def _basic(request: Request) -> tuple[str, str]:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        text = base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    user, _, password = text.partition(":")
    return user, password


def _equal(given: str, wanted: str) -> bool:
    return bool(given) and hmac.compare_digest(given.encode(), wanted.encode())


def _answer(status: int, detail: str, *, ask: bool = False) -> Response:
    headers = {"WWW-Authenticate": 'Basic realm="Lineside monitor", charset="UTF-8"'} if ask else {}
    return JSONResponse({"detail": detail}, status_code=status, headers=headers)
