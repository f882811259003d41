"""Who may use the agent's HTTP door: people with the password beyond loopback, programs with a key of their own, and no
page of another origin ever."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from contracts.access import is_loopback
from edge_agent.web.clients import Clients, ClientSettings, right_for

OPEN_PATHS = frozenset({"/live", "/ready"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Access:
    """ASGI middleware. `password` None: only loopback may be bound, and only loopback names are answered (a page
    elsewhere whose name suddenly points to this machine gets nothing). A request with a key (`Authorization: Bearer
    KEY` or `X-Api-Key: KEY`) may do what its client may, with or without a password; `came` hears the client's name."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        user: str,
        password: str | None,
        clients: Clients | None = None,
        came: Callable[[str], None] = lambda client: None,
    ) -> None:
        self._app = app
        self._user, self._password = user, password
        self._clients, self._came = clients or Clients(()), came

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope["method"], scope["path"], Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, method: str, path: str, headers: Headers) -> JSONResponse | None:
        host = _host(headers.get("host", ""))
        if self._password is None and not is_loopback(host):
            return _no(403, f"this agent answers on loopback only, not as {host[:80]!r}", "open http://127.0.0.1")
        if method not in _READING and not _same_origin(headers):
            return _no(
                403, "the request comes from a page of another origin", "use the agent's own page, or no browser"
            )
        if path in OPEN_PATHS:
            return None
        if (key := _key(headers)) is not None:
            return self._refuse_client(self._clients.find(key), method, path)
        if self._password is None or self._knows_password(headers):
            return None
        return _no(401, "a user name and a password are needed", "see [web] in the agent's settings", challenge=True)

    def _refuse_client(self, client: ClientSettings | None, method: str, path: str) -> JSONResponse | None:
        if client is None:
            return _no(401, "no client has this key", "make one with: lineside agent key NAME")
        if (right := right_for(method, path)) not in client.may:
            remedy = f"add it to `may` of its [[web.clients]]: {right!r}" if right else "use the operator's password"
            return _no(403, f"the client {client.name!r} may not do that", remedy)
        self._came(client.name)
        return None

    def _knows_password(self, headers: Headers) -> bool:
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, _, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        wanted = (self._password or "").encode()
        right_user = secrets.compare_digest(user.encode(), self._user.encode())
        return secrets.compare_digest(password.encode(), wanted) and right_user


def _key(headers: Headers) -> str | None:
    """The key that a request brings, or None."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")


def _same_origin(headers: Headers) -> bool:
    """Browsers say where a request comes from; other clients send neither header."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


def _host(value: str) -> str:
    return urlsplit(f"//{value}").hostname or "" if _is_plain(value) else ""


def _is_plain(value: str) -> bool:
    return (
        bool(value) and not any(character in value for character in "/@ \\?#") and value.count("[") == value.count("]")
    )


def _no(status: int, error: str, remedy: str, *, challenge: bool = False) -> JSONResponse:
    headers = {"WWW-Authenticate": 'Basic realm="Lineside", charset="UTF-8"'} if challenge else {}
    return JSONResponse({"error": error, "remedy": remedy}, status, headers)
