"""What the rules remember of one model, and one step of it in the making."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from contracts.names import Moment
from drift.eprocess import EProcess
from monitor.rules import withdrawal
from monitor.rules.action import Action, CloseIncident, Kind, Phase
from monitor.rules.budget import Asks
from monitor.rules.camera import CameraState
from monitor.rules.decision import moved
from monitor.rules.facts import BundleFacts
from monitor.rules.governor import Jobs
from monitor.rules.incident import Incident
from monitor.rules.reason import because
from monitor.rules.settings import RuleSettings

_REOPENS = frozenset({"repaired", "vanished"})


class Closed(BaseModel):
    """An incident that ended by itself or by a repair, and may have done so too early."""

    model_config = ConfigDict(frozen=True)

    incident_id: str
    at: Moment
    cameras: dict[str, Kind]


class Since(BaseModel):
    """What came in since the model was last trained, or since its first release."""

    model_config = ConfigDict(frozen=True)

    at: Moment
    labels: int = 0
    audit: EProcess | None = None
    held: tuple[str, ...] = Field(default=(), description="codes of refusals recorded since")


class ModelState(BaseModel):
    """All that the rules remember of one model; JSON-serialisable."""

    model_config = ConfigDict(frozen=True)

    site: str
    product: str
    facts: BundleFacts | None = None
    watch: withdrawal.Watch | None = None
    cameras: dict[str, CameraState] = {}
    incident: Incident | None = None
    opened: int = 0
    last_closed: Closed | None = None
    attempts: tuple[Moment, ...] = ()
    since: Since | None = None
    asks: Asks = ()


class Turn:
    """The state so far and the actions collected, at one moment."""

    def __init__(self, state: ModelState, at: Moment, settings: RuleSettings, jobs: Jobs) -> None:
        self.state, self.at, self.settings, self.jobs = state, at, settings, jobs
        self.actions: list[Action] = []

    def set(self, **changes: object) -> None:
        """Change fields of the state."""
        self.state = self.state.model_copy(update=changes)

    def set_camera(self, camera: CameraState, actions: list[Action] | None = None) -> None:
        """Take a camera's next value."""
        self.set(cameras={**self.state.cameras, camera.camera: camera})
        self.actions += actions or []

    def set_incident(self, incident: Incident, actions: list[Action]) -> None:
        """Take the incident's next value; its cameras follow it. A closed one is forgotten but for its cameras."""
        self.actions += actions
        if incident.phase is Phase.CLOSED:
            again = any(isinstance(action, CloseIncident) and action.resolution in _REOPENS for action in actions)
            last = Closed(incident_id=incident.incident_id, at=self.at, cameras=incident.cameras)
            self.set(incident=None, last_closed=last if again else None)
            if incident.leading:
                self.fresh_watch()
            return
        self.set(incident=incident)
        reason = actions[-1].reason if actions else because("follows-incident")
        for name in incident.cameras:
            if name in self.state.cameras:
                camera, changes = moved(self.state.cameras[name], incident.phase_of(name), self.at, reason)
                self.set_camera(camera, list(changes))

    def new_incident_id(self) -> str:
        """An id that no incident of any site or product has had."""
        self.set(opened=self.state.opened + 1)
        return f"{self.state.site[:48]}.{self.state.product[:48]}.{self.state.opened}"

    def fresh_watch(self) -> None:
        """Forget what was held against the served release."""
        facts = self.state.facts
        self.set(watch=None if facts is None else withdrawal.watch_of(facts, self.settings))
