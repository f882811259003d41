"""Programs that may use the agent's door with a key of their own, and what each may do with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from contracts import access
from contracts.access import key_digest
from contracts.names import Name, Sha256
from contracts.settings import Settings

Right = Literal["inspect", "outcomes", "read"]
"""`inspect`: images and triggers; `outcomes`: what parts turned out to be; `read`: record, parts, page, metrics."""
_POSTS: dict[str, Right] = {
    "/v1/inspect": "inspect",
    "/v1/trigger": "inspect",
    "/v1/product": "inspect",
    "/v1/outcomes": "outcomes",
}


class ClientSettings(Settings):
    """A program with a key of its own; `lineside agent key NAME` makes one."""

    name: Name
    key_sha256: Sha256 = Field(description="of its key, which is written down nowhere here")
    may: tuple[Right, ...] = Field(
        default=("inspect",),
        min_length=1,
        description="inspect: images and triggers; outcomes: what parts turned out to be; read: everything to look at",
    )


@dataclass(frozen=True)
class NewKey:
    """A key, to be given to the program, and what the settings say of it."""

    key: str
    settings: ClientSettings

    @property
    def toml(self) -> str:
        """The block for the agent's settings."""
        may = ", ".join(f'"{right}"' for right in self.settings.may)
        name, digest = self.settings.name, self.settings.key_sha256
        return f'[[web.clients]]\nname = "{name}"\nkey_sha256 = "{digest}"\nmay = [{may}]\n'


class Clients:
    """Those that the settings name."""

    def __init__(self, known: Iterable[ClientSettings]) -> None:
        self._known = {client.key_sha256: client for client in known}

    def find(self, key: str) -> ClientSettings | None:
        """Whose key that is. Only digests are compared: how long it takes says nothing about a key."""
        return self._known.get(key_digest(key))


def new_key(name: str, may: Iterable[str]) -> NewKey:
    """A random key of 256 bits. Raises pydantic's ValidationError for a name or a right that there is not."""
    key = access.new_key()
    return NewKey(key, ClientSettings.model_validate({"name": name, "key_sha256": key_digest(key), "may": tuple(may)}))


def right_for(method: str, path: str) -> Right | None:
    """What a request needs; None: no key is enough."""
    return "read" if method in ("GET", "HEAD", "OPTIONS") else _POSTS.get(path)
