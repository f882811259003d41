"""The agent that runs with these settings on this machine, as another program here may call it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import urllib3

from contracts.access import secret
from contracts.errors import LinesideError, LinkError
from edge_agent.claim import is_claimed
from edge_agent.settings import AgentSettings

_SECONDS = 30.0


class Neighbour:
    """Its HTTP door, with the password of the settings."""

    def __init__(self, settings: AgentSettings) -> None:
        web = settings.web
        self._folder = settings.state_folder
        self.url = f"http://{_reachable(web.host)}:{web.port}"
        password = secret(web.password, web.password_file)
        self._headers = {} if password is None else urllib3.make_headers(basic_auth=f"{web.user}:{password}")
        self._pool = urllib3.PoolManager(num_pools=1)

    @property
    def runs(self) -> bool:
        """Whether the agent runs at all."""
        return is_claimed(self._folder)

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        preload: bool = True,
        seconds: float = _SECONDS,
    ) -> urllib3.BaseHTTPResponse:
        """Its answer, whatever the status. Raises LinkError where it does not answer."""
        try:
            return self._pool.request(
                method,
                self.url + path,
                fields=None if query is None else dict(query),
                json=body,
                headers=self._headers if body is None else {**self._headers, "Content-Type": "application/json"},
                preload_content=preload,
                timeout=seconds,
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise LinkError(
                f"no agent answers at {self.url} ({type(error).__name__}); start it: systemctl start lineside-agent"
            ) from error

    def tell(self, path: str, body: Any) -> Any:
        """What it answers to a POST. Raises LinkError where it does not answer, LinesideError where it refuses."""
        answer = self.ask("POST", path, body=body)
        if answer.status >= 400:
            raise LinesideError(f"the agent refuses: {refusal(answer)}")
        return answer.json()


def refusal(answer: urllib3.BaseHTTPResponse) -> str:
    """What is wrong and what to do, in the agent's own words."""
    try:
        told = answer.json()
        return f"{told['error']}; {told['remedy']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status} {answer.data[:200].decode('utf-8', errors='replace')}"


def _reachable(host: str) -> str:
    """Where to call what listens on `host`.

    >>> _reachable("0.0.0.0"), _reachable("::"), _reachable("10.0.0.5")
    ('127.0.0.1', '[::1]', '10.0.0.5')
    """
    if host in ("", "0.0.0.0"):  # noqa: S104 it is what somebody else listens on
        return "127.0.0.1"
    host = "::1" if host == "::" else host
    return f"[{host}]" if ":" in host else host
