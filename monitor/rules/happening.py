"""What may come in. Each carries its own time (`at`, the frames' clock); the rules have no other clock.

A camera's name is `agent/camera` or `agent/camera/product`, because two agents of a site may each have a `camera-1`.
The caller hands in every label once per part, every window once, in the order in which they were committed; of an agent
that was away, newer ones come first.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.frame import Decision, OutcomeSource
from contracts.names import Label, Moment, Sha256
from contracts.telemetry import Window
from monitor.rules.facts import BundleFacts
from monitor.rules.reason import Reason


class _Happening(BaseModel):
    model_config = ConfigDict(frozen=True)

    at: Moment


class WindowSeen(_Happening):
    """A committed window; `at` is its end. Cameras of the same line and product are siblings. `late`: its agent has
    sent newer ones without waiting for it."""

    kind: Literal["window"] = "window"
    camera: str
    line: str = "line-1"
    window: Window
    late: bool = False


class LabelSeen(_Happening):
    """Somebody said what a part really is, and what the verdict on it was. `late` as of windows."""

    kind: Literal["label"] = "label"
    camera: str
    part_id: str
    label: Label
    source: OutcomeSource
    decision: Decision
    bundle_hash: Sha256 | None
    triggered_at: Moment
    late: bool = False


class ReleaseServed(_Happening):
    """A release became the active one (also after a rollback or withdrawal)."""

    kind: Literal["release"] = "release"
    facts: BundleFacts


class PersonSaid(_Happening):
    """A person's click on an incident: `repaired` and `permanent` answer a ticket, `adopt` makes the present state the
    new normal, `retrain` overrules the governor's waiting, `close` ends the incident without more."""

    kind: Literal["person"] = "person"
    incident_id: str
    said: Literal["repaired", "permanent", "adopt", "retrain", "close"]
    who: str


class RetrainAsked(_Happening):
    """A person wants the served model retrained, without an incident."""

    kind: Literal["retrain-asked"] = "retrain-asked"
    who: str
    why: str


class CandidateMoved(_Happening):
    """What became of the retrain that the incident ordered. Candidates that nobody's incident ordered are not told."""

    kind: Literal["candidate"] = "candidate"
    incident_id: str
    stage: Literal["training", "shadow", "refused", "failed", "promoted"]
    bundle_hash: Sha256 | None = None
    reason: Reason


class Tick(_Happening):
    """Time passed. One a minute is plenty."""

    kind: Literal["tick"] = "tick"


Happening = Annotated[
    WindowSeen | LabelSeen | ReleaseServed | PersonSaid | RetrainAsked | CandidateMoved | Tick,
    Field(discriminator="kind"),
]
