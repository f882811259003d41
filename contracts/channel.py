"""What a site should run: the signed document that an agent follows, and nothing else.

The monitor signs it (TUF target `{site}/channel.json`) after the gate. The floor is on `sequence`: an agent refuses a
channel with a lower sequence than the highest it has ever accepted. A rollback is a new, higher, signed channel that
names an earlier bundle, with its reason.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from contracts.names import Identifier, Moment, Name, Sha256, Wire
from contracts.thresholds import MOST_ENTRIES, SignedThresholds

CHANNEL_FILE = "channel.json"


class Release(Wire):
    """A bundle that the gate let through, under the number people call it by."""

    number: int = Field(ge=1)
    bundle_hash: Sha256


class Refusal(Wire):
    """A bundle that no agent of the site may run (again)."""

    bundle_hash: Sha256
    reason: str


def _once(entries: tuple[SignedThresholds, ...]) -> tuple[SignedThresholds, ...]:
    if len({entry.key for entry in entries}) != len(entries):
        raise ValueError("two thresholds for one bundle and product")
    return entries


class Channel(Wire):
    """`active` is served; `shadow` runs beside it, its answers never reach the line. `thresholds` decide for the
    bundles that they name; a bundle without any decides by its manifest."""

    schema_version: Literal[1] = 1
    site: Name
    sequence: int = Field(ge=1)
    active: Release
    shadow: Release | None = None
    refused: tuple[Refusal, ...] = ()
    thresholds: Annotated[tuple[SignedThresholds, ...], AfterValidator(_once)] = Field(
        default=(), max_length=MOST_ENTRIES, exclude_if=lambda entries: not entries
    )
    reason: str
    issued_at: Moment
    order_id: Identifier | None = None


def channel_target(site: str) -> str:
    """TUF target path of the site's channel."""
    return f"{site}/{CHANNEL_FILE}"


def bundle_target(site: str, bundle_hash: str, file: str) -> str:
    """TUF target path of one file of a bundle."""
    return f"{site}/bundles/{bundle_hash}/{file}"


def site_role(site: str) -> str:
    """Name of the delegated role that may sign for this site and no other."""
    return f"site-{site}"
