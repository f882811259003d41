"""Where a service may be reached from, and how it is told a secret: the same rules for agents and monitor."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from contracts.errors import ConfigurationError
from contracts.settings import Settings


def is_loopback(host: str) -> bool:
    """Whether `host` can be reached from this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0"), is_loopback("plant-7")
    (True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def secret(value: SecretStr | None, file: Path | None) -> str | None:
    """The secret itself, or the first line of its file, or None. Raises ConfigurationError for an unreadable file."""
    if value is not None:
        return value.get_secret_value()
    if file is None:
        return None
    try:
        text = file.read_text(encoding="utf-8").splitlines()[0].strip()
    except (OSError, IndexError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read a secret from {file}: {error}; it must hold one line of text") from error
    if not text:
        raise ConfigurationError(f"{file} is empty; it must hold one line of text")
    return text


def new_key() -> str:
    """A random key of 256 bits, to be shown once."""
    return secrets.token_urlsafe(32)


def key_digest(key: str) -> str:
    """SHA-256 of a key, for settings. Only digests are compared: how long it takes says nothing about a key. Fit for
    random keys alone: a password that somebody thought of could be found by trying."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class BrokerAccess(Settings):
    """Where an MQTT broker (3.1.1) is and who we are to it. Beyond loopback it needs a user and a password."""

    host: str = "127.0.0.1"
    port: int = Field(default=1883, ge=1, le=65535)
    user: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    ca_file: Path | None = Field(default=None, description="turns TLS on")

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not is_loopback(self.host) and (self.user is None or (self.password is None and self.password_file is None)):
            raise ValueError(f"{self.host} is another machine: set user and password_file")
        return self
