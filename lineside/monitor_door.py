"""A running monitor as a command sees it: ask, and be told in one line why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts.errors import LinesideError, LinkError

if TYPE_CHECKING:
    import httpx

_PATIENCE_SECONDS = 60.0


class MonitorDoor:
    """`token`: the monitor's password, where it has one. Every call raises LinkError when the monitor is away and
    LinesideError, in its words, when it refuses."""

    def __init__(self, address: str, token: str | None) -> None:
        self._address = address.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **wanted: Any) -> httpx.Response:
        """What lies there."""
        return self._ask("GET", path, params={name: value for name, value in wanted.items() if value is not None})

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """The answer to a wish."""
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        import httpx

        try:
            response = httpx.request(
                method, f"{self._address}{path}", headers=self._headers, timeout=_PATIENCE_SECONDS, **request
            )
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise LinkError(f"the monitor at {self._address} does not answer ({error}); is it running?") from error
        if not response.is_success:
            raise LinesideError(f"the monitor refused: {_detail(response)}")
        return response


def _detail(response: httpx.Response) -> str:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.text[:500]}"
    if isinstance(detail, str):
        return detail
    return "; ".join(f"{'.'.join(str(part) for part in item['loc'][1:])}: {item['msg']}" for item in detail)
