"""What may come out. The caller carries actions out in order, in the transaction that stores the next state."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from monitor.rules.reason import Reason


class Phase(StrEnum):
    """Where a camera stands. DIAGNOSE and PRODUCT are passed through within one step and show up in records only."""

    LEARNING = "LEARNING"
    OK = "OK"
    SUSPECT = "SUSPECT"
    DRIFT = "DRIFT"
    DIAGNOSE = "DIAGNOSE"
    SENSOR = "SENSOR"
    PRIOR = "PRIOR"
    PRODUCT = "PRODUCT"
    LABELS = "LABELS"
    HARMFUL = "HARMFUL"
    HARMLESS = "HARMLESS"
    RETRAIN = "RETRAIN"
    SHADOW = "SHADOW"
    CLOSED = "CLOSED"


class Kind(StrEnum):
    """What a drift is."""

    SENSOR = "sensor"
    PRIOR = "prior"
    PRODUCT = "product"
    LABELS = "labels"


class Symptom(StrEnum):
    """What a ticket says about the picture."""

    DARKER = "darker"
    BRIGHTER = "brighter"
    BLURRED = "blurred"
    NOISIER = "noisier"
    HAZE = "haze"
    HARSHER = "harsher"
    DIRT = "dirt"
    MOVED = "moved"
    UNCLEAR = "unclear"


class _Action(BaseModel):
    model_config = ConfigDict(frozen=True)

    reason: Reason


class PhaseChanged(_Action):
    """A camera went from one phase to another: to be recorded."""

    kind: Literal["phase-changed"] = "phase-changed"
    camera: str
    before: Phase
    after: Phase


class PastDrift(_Action):
    """A camera had drifted at a time that is over: to be recorded."""

    kind: Literal["past-drift"] = "past-drift"
    camera: str


class OpenIncident(_Action):
    """A new incident of the model."""

    kind: Literal["open-incident"] = "open-incident"
    incident_id: str
    diagnosis: Kind
    cameras: tuple[str, ...]


class ChangeIncident(_Action):
    """An incident moved on, or another camera joined it."""

    kind: Literal["change-incident"] = "change-incident"
    incident_id: str
    phase: Phase
    diagnosis: Kind
    cameras: tuple[str, ...]


class CloseIncident(_Action):
    """An incident is over; standing label requests of it end."""

    kind: Literal["close-incident"] = "close-incident"
    incident_id: str
    resolution: str


class OpenTicket(_Action):
    """Somebody should look at a camera."""

    kind: Literal["open-ticket"] = "open-ticket"
    incident_id: str
    camera: str
    symptoms: tuple[Symptom, ...]


class CloseTicket(_Action):
    """Nobody needs to look at that camera any more."""

    kind: Literal["close-ticket"] = "close-ticket"
    incident_id: str
    camera: str


class Images(BaseModel):
    """How many images to label: `random` ones prove something; the others are picked (see `contracts.orders.Sample`)
    and only to be learned from."""

    model_config = ConfigDict(frozen=True)

    random: int = Field(default=0, ge=0)
    atypical: int = Field(default=0, ge=0)
    unsure: int = Field(default=0, ge=0)
    overruled: int = Field(default=0, ge=0)

    @property
    def counts(self) -> dict[str, int]:
        """By kind, in the order in which a budget serves them."""
        return {kind: getattr(self, kind) for kind in Images.model_fields}

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())


class AskForLabels(_Action, Images):
    """Ask the camera's agent for images to label (a `Sample` order): this many *more* than asked for before."""

    kind: Literal["ask-for-labels"] = "ask-for-labels"
    incident_id: str
    camera: str
    since: datetime


class HoldLabels(_Action):
    """Images that would have been asked for and are not: to be recorded."""

    kind: Literal["hold-labels"] = "hold-labels"
    incident_id: str
    camera: str


class QualityAlert(_Action):
    """The mix of parts changed. `shares` estimates the true share of each class; None where it cannot be estimated."""

    kind: Literal["quality-alert"] = "quality-alert"
    incident_id: str
    camera: str
    shares: dict[str, float] | None


class VerdictsUnsafe(_Action):
    """Labels prove that verdicts are wrong more often than tolerated: the line should not rely on them."""

    kind: Literal["verdicts-unsafe"] = "verdicts-unsafe"
    incident_id: str
    cameras: tuple[str, ...]


class OfferAdoption(_Action):
    """The drift does no harm that labels could show: a person may adopt the present state as the new normal."""

    kind: Literal["offer-adoption"] = "offer-adoption"
    incident_id: str


class OrderRetrain(_Action):
    """Start a retrain of the model."""

    kind: Literal["order-retrain"] = "order-retrain"
    incident_id: str | None = Field(description="None: no incident wanted it, but a schedule, new data or a person")
    parent_bundle: str


class HoldRetrain(_Action):
    """A retrain is wanted and may not run yet: to be recorded. `until` is None when it depends on more than time."""

    kind: Literal["hold-retrain"] = "hold-retrain"
    incident_id: str | None
    until: datetime | None


class AskPerson(_Action):
    """The rules will not go on by themselves: a person decides."""

    kind: Literal["ask-person"] = "ask-person"
    incident_id: str


class Withdraw(_Action):
    """The served release is wrong: back to `to`, and refuse `bundle_hash` for ever."""

    kind: Literal["withdraw"] = "withdraw"
    bundle_hash: str
    to: str


Action = Annotated[
    PhaseChanged
    | PastDrift
    | OpenIncident
    | ChangeIncident
    | CloseIncident
    | OpenTicket
    | CloseTicket
    | AskForLabels
    | HoldLabels
    | QualityAlert
    | VerdictsUnsafe
    | OfferAdoption
    | OrderRetrain
    | HoldRetrain
    | AskPerson
    | Withdraw,
    Field(discriminator="kind"),
]
