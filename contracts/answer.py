"""What a line is told about one part (`Answer`), and the sign of life beside it (`Heartbeat`).

A verdict is what the record holds. An answer is what may still be believed when it is sent: one that comes after its
deadline says NO_VERDICT, whatever the model found.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from contracts.frame import Decision, Verdict
from contracts.names import Identifier, Moment, Name, Wire


class SafeAction(StrEnum):
    """What a line does with a part that nobody has judged, and when the agent is not heard."""

    STOP = "stop"
    DIVERT = "divert"
    MANUAL = "manual"


class Answer(Wire):
    """What the line is told about one part. Read `decision`; `recorded` is for whoever keeps books."""

    schema_version: Literal[1] = 1
    site: Name
    agent: Name
    part_id: Identifier
    camera: Name
    sequence: int = Field(ge=0, description="of the image; with `camera` it names this answer, should it come twice")
    decision: Decision = Field(description="of the part, where several cameras see it")
    reason: str | None = Field(default=None, description="why there is no verdict")
    safe_action: SafeAction = Field(description="for every decision that is neither OK nor NG")
    age_seconds: float = Field(ge=0.0, description="from trigger to sending")
    deadline_seconds: float = Field(gt=0.0, description="at a greater age the decision is NO_VERDICT")
    recorded: Verdict = Field(description="as it is on record; its decision may be older than the deadline")


class Heartbeat(Wire):
    """The agent is there. It is gone when `count` has not changed for three times `every_seconds`, whatever else is
    retained somewhere."""

    schema_version: Literal[1] = 1
    site: Name
    agent: Name
    available: bool
    count: int = Field(ge=0, description="one more with each heartbeat since the agent's start")
    every_seconds: float = Field(gt=0.0)
    safe_action: SafeAction
    unready: str | None = Field(default=None, description="why no part can be judged now")
    at: Moment
