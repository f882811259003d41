"""What is decided about one part of which several cameras see a view each."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.frame import Decision
from contracts.names import Identifier, Moment, Name, Wire


class PartVerdict(Wire):
    """The decision on one part out of the verdicts on its views: the worst of them, NO_VERDICT where one is missing."""

    schema_version: Literal[1] = 1
    part: Name = Field(description="which kind of part: the name of its views in the agent's settings")
    part_id: Identifier
    product: Name
    line: Name = "line-1"
    decision: Decision
    views: dict[Name, Decision] = Field(description="camera -> the worst decision on its pictures")
    missing: tuple[Name, ...] = Field(default=(), description="cameras whose picture did not come in time")
    decided_at: Moment
    reason: str | None = Field(default=None, description="why it is not OK")
