"""Who labels: people with a credential of their own, and the pseudonyms under which everybody else sees them.

A pseudonym is a keyed hash of the name. The key never leaves the monitor's folder, so nobody who sees pseudonyms,
exports or the database can tell names from them by trying. Where nobody is registered the monitor cannot tell people
apart: then it takes the pseudonym that a person chose.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from base64 import b32encode
from collections.abc import Iterable
from pathlib import Path

from contracts.errors import ConfigurationError

_KEY_BYTES = 32


class People:
    """`registered`: names with a credential. `key`: of the pseudonyms."""

    def __init__(self, registered: Iterable[str], key: bytes) -> None:
        self._registered = frozenset(registered)
        self._key = key

    @property
    def count(self) -> int:
        """How many the monitor can tell apart; 0 where it takes everybody's word."""
        return len(self._registered)

    def pseudonym(self, name: str) -> str:
        """The same for the same name for ever, and telling nothing about it.

        >>> People(["ann"], b"k" * 32).pseudonym("ann")
        'rater-rlpogc6h'
        """
        digest = hmac.new(self._key, name.encode(), hashlib.sha256).digest()
        return "rater-" + b32encode(digest)[:8].decode().lower()

    def registered(self, name: str) -> bool:
        """Whether that person has a credential."""
        return name in self._registered

    def names(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted(self._registered))


def pseudonym_key(folder: Path) -> bytes:
    """The key in the monitor's folder; made when it is missing. Raises ConfigurationError for one that was damaged:
    with another key everybody would be a new person."""
    path = folder / "pseudonyms.key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) != _KEY_BYTES:
            raise ConfigurationError(f"{path} is damaged; restore it from a copy") from None
        return key
    key = secrets.token_bytes(_KEY_BYTES)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key
