"""Identifiers that appear in topics, paths and keys, and the base class of everything that crosses a boundary."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
"""A site, agent, line, camera, view or product: it becomes part of topics and paths, so only `[a-z0-9-]{1,64}`."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""Lower-case hexadecimal SHA-256."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""A class name as the plant writes it."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]
"""A part, order, boot or incident id."""

FilePath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$")]
"""A path inside the bundle: relative, forward slashes, no `..`, no leading dot."""


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("needs a time zone (for example 2026-01-31T12:00:00Z)")
    return moment.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A point in time with a zone; kept in UTC."""


class Wire(BaseModel):
    """A frozen value that crosses a boundary. Unknown fields of a newer peer are dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


def absent(value: object) -> bool:
    """For `exclude_if`: a field that is not there is not written, and what is older than it stays as it was."""
    return value is None
