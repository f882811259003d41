"""What is remembered of one camera: its profile or what it has learned so far, its last windows, where it stands."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from contracts.names import Label, Moment
from drift.persistence import Persistence
from drift.profile import Commissioning, Profile, ProfileKey
from drift.rolling import Rolling
from monitor.rules.action import Phase
from monitor.rules.happening import WindowSeen
from monitor.rules.pace import Pace
from monitor.rules.settings import RuleSettings
from monitor.rules.size import UsualSize

REMEMBERED_WINDOWS = 8
NO_ROLL_UP: dict[str, object] = {"rolling": Rolling(), "rolling_since": None, "rolling_answers": {}}
WATCHING = frozenset({Phase.OK, Phase.SUSPECT, Phase.DRIFT})
"""Phases that the camera leads itself; in all later ones it follows its incident."""


class Seen(BaseModel):
    """One judged window or roll-up of windows. `ratio` is T2 over its limit (of a roll-up the largest of all entries
    and of each group alone); the dictionaries are those of `drift.hotelling.Judgement`."""

    model_config = ConfigDict(frozen=True)

    started_at: Moment
    at: Moment
    ratio: float
    groups: dict[str, float]
    given: dict[str, float]
    shifts: dict[str, float]
    changes: dict[str, float]
    answers: dict[Label, int]
    size: tuple[int, int] | None = Field(default=None, description="of the pictures, where it is one and known")

    @property
    def over(self) -> bool:
        """Whether the window was over its limit."""
        return self.ratio > 1.0


class CameraState(BaseModel):
    """All that is remembered of one camera."""

    model_config = ConfigDict(frozen=True)

    camera: str
    line: str
    phase: Phase = Phase.LEARNING
    since: Moment
    commissioning: Commissioning
    profile: Profile | None = None
    archive: tuple[Profile, ...] = ()
    persistence: Persistence
    recent: tuple[Seen, ...] = ()
    rolling: Rolling = Rolling()
    rolling_since: Moment | None = Field(default=None, description="start of the roll-up that is not full")
    rolling_answers: dict[Label, int] = {}
    rolled: tuple[Seen, ...] = Field(default=(), description="the last roll-ups")
    slow: bool = Field(default=False, description="the drift was raised by roll-ups: single windows do not show it")
    settles_until: Moment | None = Field(default=None, description="after a pause: windows before are passed over")
    last_at: Moment | None = None
    late_at: Moment | None = Field(default=None, description="end of the last window that came late")
    late_over: tuple[bool, ...] = Field(default=(), description="which of the last ones of them were over their limit")
    late_key: ProfileKey | None = Field(default=None, description="what the roll-up of them holds for")
    late_rolling: Rolling = Field(default=Rolling(), description="their roll-up that is not full")
    late_rolled_over: tuple[bool, ...] = Field(default=(), description="which of the last roll-ups were over")
    onset: Moment | None = Field(default=None, description="start of the first window over, of the present run")
    waited: int = Field(default=0, description="windows since DRIFT")
    quiet: int = Field(default=0, description="windows in a row that were not over")
    repaired_at: Moment | None = None
    pace: Pace = Pace()
    foreign: int = Field(default=0, description="windows in a row from another bundle than the served one")
    usual_size: UsualSize = UsualSize()

    @property
    def key(self) -> ProfileKey:
        """What the state holds for."""
        return self.commissioning.key

    def since_onset(self) -> tuple[Seen, ...]:
        """What was judged of the time from the onset on."""
        return tuple(seen for seen in self.evidence if self.onset is not None and seen.started_at >= self.onset)

    @property
    def evidence(self) -> tuple[Seen, ...]:
        """What shows the drift: windows, or roll-ups where only they do."""
        return self.rolled if self.slow else self.recent

    @property
    def resized(self) -> bool:
        """Whether the pictures of the windows that show the drift have another size than all had before."""
        drifted = [seen.size for seen in self.recent[-self.persistence.k :]]
        return bool(drifted) and all(self.usual_size.differs(size) for size in drifted)

    @property
    def drift_detected(self) -> bool:
        """Whether k of the last n windows were over their limit, or of the last n roll-ups."""
        return self.persistence.drift_detected or self._rolled_over.drift_detected

    @property
    def _rolled_over(self) -> Persistence:
        over = tuple(seen.over for seen in self.rolled[-self.persistence.n :])
        return self.persistence.model_copy(update={"recent": over})


def key_of(happening: WindowSeen) -> ProfileKey:
    """What a window's profile is keyed by."""
    window = happening.window
    return ProfileKey(
        bundle_hash=window.bundle_hash, camera=happening.camera, product=window.product, runtime=window.runtime
    )


def first_state(happening: WindowSeen, settings: RuleSettings) -> CameraState:
    """A camera seen for the first time."""
    return CameraState(
        camera=happening.camera,
        line=happening.line,
        since=happening.at,
        commissioning=commissioning_of(key_of(happening), settings),
        persistence=Persistence(k=settings.windows_over, n=settings.windows_looked_at),
    )


def commissioning_of(key: ProfileKey, settings: RuleSettings) -> Commissioning:
    """The empty commissioning under a key."""
    return Commissioning(
        key=key,
        windows_needed=settings.commissioning_windows,
        windows_most=settings.commissioning_most_windows,
        cycle_hours=settings.commissioning_cycle_hours,
    )


def without_evidence(state: CameraState) -> CameraState:
    """The camera with no memory of windows that were over: what it sees from now on counts."""
    changes = {"persistence": state.persistence.cleared(), "quiet": 0, "rolled": (), **NO_ROLL_UP}
    return state.model_copy(update=changes)


def forgotten(state: CameraState) -> dict[str, object]:
    """What changes when a camera's past no longer counts."""
    return {
        "persistence": state.persistence.cleared(),
        "recent": (),
        "rolled": (),
        **NO_ROLL_UP,
        "slow": False,
        "onset": None,
        "waited": 0,
        "quiet": 0,
        "repaired_at": None,
    }
