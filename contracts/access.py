"""Where a service may be reached from, and how it is told a secret: the same rules for agents and monitor."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import SecretStr

from contracts.errors import ConfigurationError


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
