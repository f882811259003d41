"""One model of a planted plant under the real rules: its cameras, raters, trainer and people, minute by minute.

The rules (`monitor.rules.model.step`) are fed with the windows of every minute in which anything may come of them: from
90 windows before the deployed rule finds a drift (`watch.Watch`, which the tests hold against the rules) until its
incident is over. The quiet minutes between are passed over, with the same state as if they had been fed. Audit labels,
answers to questions and news of candidates are fed always. Learning goes through `Commissioning.add_all`, a day at a
time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.plant import NAMES, WEEK, Minutes, Plant
from benchmarks.drift.told import DEFECTS, facts, hash_of, moment, window_seen
from benchmarks.drift.upset import GOOD, Errors, Judge, Tally, Upset
from benchmarks.drift.watch import MONDAY, Learner, Watch, key, settled
from contracts.frame import Decision, OutcomeSource
from drift.profile import ROLL_UP, Commissioning
from monitor.rules.action import (
    Action,
    AskForLabels,
    AskPerson,
    CloseIncident,
    OpenIncident,
    OpenTicket,
    OrderRetrain,
    Phase,
    Withdraw,
)
from monitor.rules.camera import NO_ROLL_UP, WATCHING, CameraState
from monitor.rules.governor import Jobs
from monitor.rules.happening import CandidateMoved, Happening, LabelSeen, PersonSaid, ReleaseServed, WindowSeen
from monitor.rules.model import ModelState, step
from monitor.rules.reason import because
from monitor.rules.settings import RuleSettings

Floats = NDArray[np.floating[Any]]
Stage = Literal["training", "shadow", "refused", "promoted"]

DAY = 24 * 60
FOREVER = 10**9
CYCLE_HOURS = 168.0
AUDIT_A_DAY = 50.0
_CONTEXT = 90  # windows before a drift that the rules are fed: more than they remember
_LINGER = 30  # minutes awake after the last reason to be
_ANSWERS_A_MINUTE = 4
_QUIET: dict[str, object] = {"settles_until": None, "rolled": (), "recent": ()}
_ANSWERS_AFTER, _TRAINS, _SHADOWS, _REPAIRED_AFTER = 30, 180, 120, 240  # minutes


class Site:
    """From when its cameras have learned. `advance` does all that is due in one minute; a `watchful` one passes no
    window over."""

    def __init__(
        self,
        rng: np.random.Generator,
        plant: Plant,
        minutes: Minutes,
        learners: list[Learner],
        day: int,
        *,
        judge: Judge,
        upset: Upset | None = None,
        watchful: bool = False,
    ) -> None:
        self.tally, self.upset, self.began = Tally(), upset, day * DAY
        self._rng, self._plant, self._minutes, self._judge = rng, plant, minutes, judge
        self._settings = RuleSettings()
        self._cameras = [f"agent/camera-{number}/cap" for number in range(len(learners))]
        self._spread = plant.spread()
        self._learners = list(learners)
        self._watches: list[Watch | None] = [Watch(learner.profile) for learner in learners if learner.profile]
        self._awake_until, self._learn_from = FOREVER if watchful else 0, 0
        self._due: list[tuple[int, int, Callable[[int], None]]] = []
        self._numbered = 0
        self._wakes: list[tuple[int, int]] = []  # (from, until), minutes
        self._learned_errors = False
        self.state = ModelState(site="plant", product="cap")
        self.training = 0
        self._others = 0
        self._serve(day * DAY, 1)
        self._begin()
        self._at(day * DAY, self._new_week)

    @property
    def recovered(self) -> bool:
        """Whether a release that has learned the change serves, nothing is open, and every camera is watched again."""
        calm = all(camera.phase is Phase.OK for camera in self.state.cameras.values())
        return self._learned_errors and self.state.incident is None and calm

    # --- time

    def next_minute(self, after: int) -> int:
        """The first minute from `after` on in which there is something to do."""
        times = [self._due[0][0]] if self._due else []
        times += [start for start, _ in self._wakes[:1]]
        if self._awake_until >= after:
            times.append(after)
        return max(after, min(times)) if times else after + WEEK

    def advance(self, minute: int, *, training_elsewhere: int) -> None:
        """All that is due."""
        self._others = training_elsewhere
        while self._wakes and self._wakes[0][0] <= minute:
            self._wake(minute, self._wakes.pop(0)[1])
        while self._due and self._due[0][0] <= minute:
            heapq.heappop(self._due)[2](minute)
        if self._awake_until >= minute:
            self._watch(minute)

    def _at(self, minute: int, deed: Callable[[int], None]) -> None:
        self._numbered += 1
        heapq.heappush(self._due, (minute, self._numbered, deed))

    # --- windows

    def _new_week(self, minute: int) -> None:
        """Draw a week of windows, and see where in it the rules must look."""
        part = self._minutes.between(minute, minute + WEEK)
        self._part, self._means = part, self._plant.means(part)  # [c, n, m]
        if self.upset is not None:
            self._shift(self.upset, minute, 1.0)
        self._row = {int(at): row for row, at in enumerate(part.at)}
        self._ok = settled(part)
        self._audits(minute)
        self._look(minute)
        self._at(minute + WEEK, self._new_week)

    def _shift(self, upset: Upset, minute: int, sign: float) -> None:
        """Put what befell the cameras into the windows from `minute` on, or take it out again."""
        on = upset.on(self._part.at) & (self._part.at >= minute)
        for camera in upset.cameras:
            self._means[camera] += sign * on[:, None] * upset.shift

    def _look(self, minute: int) -> None:
        """Where the deployed rule will find a drift in the rest of the week, and so many windows before."""
        found: set[int] = set()
        at = self._part.at[self._ok]
        first = int(np.searchsorted(at, minute))
        for camera, watch in enumerate(self._watches):
            if watch is not None:
                alarms = np.concatenate(watch.alarms(self._means[camera, self._ok][first:]))
                found |= {int(alarm) for alarm in alarms}
        starts = [(max(alarm // ROLL_UP * ROLL_UP - _CONTEXT, 0), alarm) for alarm in sorted(found)]
        self._wakes = [(int(at[first + start]), int(at[first + alarm]) + _LINGER) for start, alarm in starts]

    def _wake(self, minute: int, until: int) -> None:
        """From now on every window is fed; what was passed over was quiet."""
        if self._awake_until < minute:
            for name, camera in self.state.cameras.items():
                if camera.profile is not None and camera.phase in WATCHING:
                    self._put(name, camera.model_copy(update={**NO_ROLL_UP, **_QUIET, "last_at": moment(minute)}))
        self._awake_until = max(self._awake_until, until)

    def _put(self, name: str, camera: CameraState) -> None:
        self.state = self.state.model_copy(update={"cameras": {**self.state.cameras, name: camera}})

    def _watch(self, minute: int) -> None:
        row = self._row.get(minute)
        if row is not None:
            for camera, name in enumerate(self._cameras):
                if self.state.cameras[name].profile is not None:
                    self.tally.windows += 1
                    self._tell(self._window(name, camera, minute, self._means[camera, row]))
        restless = self.state.incident is not None or any(
            camera.phase in (Phase.SUSPECT, Phase.DRIFT) for camera in self.state.cameras.values()
        )
        if restless:
            self._awake_until = max(self._awake_until, minute + _LINGER)

    def _window(self, name: str, camera: int, minute: int, mean: Floats) -> WindowSeen:
        spread = self._spread[camera] + mean**2
        assert self.state.facts is not None  # noqa: S101  served in the constructor
        return window_seen(name, minute, mean, spread, self.state.facts.bundle_hash)

    # --- what the rules are told, and what comes of it

    def _tell(self, happening: Happening) -> None:
        jobs = Jobs(here=self.training, everywhere=self.training + self._others)
        self.state, actions = step(self.state, happening, self._settings, jobs=jobs)
        minute = round((happening.at - MONDAY).total_seconds() / 60.0)
        for action in actions:
            self._carry_out(action, minute)

    def _carry_out(self, action: Action, minute: int) -> None:
        if isinstance(action, OpenIncident):
            self.tally.incidents.append(minute)
        elif isinstance(action, CloseIncident):
            self.tally.closed[action.resolution] += 1
        elif isinstance(action, AskForLabels):
            self._ask(action, minute)
        elif isinstance(action, AskPerson):
            self.tally.asked += 1
        elif isinstance(action, OpenTicket):
            self.tally.tickets += 1
            self._at(minute + _REPAIRED_AFTER, partial(self._repair, action.incident_id))
        elif isinstance(action, OrderRetrain):
            assert action.incident_id is not None  # noqa: S101  no schedule and no rule of new data is set here
            self.tally.orders.append(minute)
            self.training += 1
            incident = action.incident_id or ""  # an incident's: no other trigger is on
            self._at(minute + 1, partial(self._moved, incident, "training"))
            self._at(minute + _TRAINS, partial(self._trained, incident))
        elif isinstance(action, Withdraw):
            self.tally.withdrawals += 1
            self._at(minute + 1, self._go_back)

    def _repair(self, incident: str, minute: int) -> None:
        if self.upset is not None:
            self._shift(self.upset, minute, -1.0)
            self.upset = None
            self._look(minute)
        self._tell(PersonSaid(at=moment(minute), incident_id=incident, said="repaired", who="fitter"))

    # --- labels

    def _audits(self, minute: int) -> None:
        """The permanent audit of a week."""
        for name in self._cameras:
            count = self._rng.poisson(AUDIT_A_DAY * len(self._part) / DAY)
            for at in self._rng.choice(self._part.at, size=count):
                self._at(int(at), partial(self._label, name, OutcomeSource.AUDIT))

    def _ask(self, action: AskForLabels, minute: int) -> None:
        """Raters answer at their pace as long as the incident is open."""
        wanted = [OutcomeSource.DRIFT_SAMPLE] * action.random + [OutcomeSource.ATYPICAL] * action.atypical
        wanted += [OutcomeSource.UNSURE] * action.unsure  # nobody contradicts a verdict here
        for number, source in enumerate(wanted):
            at = minute + _ANSWERS_AFTER + number // _ANSWERS_A_MINUTE
            self._at(at, partial(self._answer, action, source))

    def _answer(self, asked: AskForLabels, source: OutcomeSource, minute: int) -> None:
        if self.state.incident is not None and self.state.incident.incident_id == asked.incident_id:
            self.tally.answers += 1
            self._label(asked.camera, source, minute)

    def _label(self, name: str, source: OutcomeSource, minute: int) -> None:
        assert self.state.facts is not None  # noqa: S101
        errors = self._errors(minute, self._cameras.index(name))
        defect = bool(self._rng.random() < DEFECTS)
        wrong = bool(self._rng.random() < (errors.escapes if defect else errors.false_rejects))
        said = defect != bool(self._rng.random() < 0.01)
        self._numbered += 1
        self._tell(
            LabelSeen(
                at=moment(minute),
                camera=name,
                part_id=f"part-{self._numbered}",
                label="defect" if said else "good",
                source=source,
                decision=Decision.NG if defect != wrong else Decision.OK,
                bundle_hash=self.state.facts.bundle_hash,
                triggered_at=moment(minute),
            )
        )

    def _errors(self, minute: int, camera: int) -> Errors:
        upset = self.upset
        if upset is None or self._learned_errors or camera not in upset.cameras:
            return GOOD
        return upset.errors if upset.on(np.array([minute]))[0] else GOOD

    # --- candidates and releases

    def _moved(self, incident: str, stage: Stage, minute: int, bundle_hash: str | None = None) -> None:
        reason = because("promoted", number=len(self.tally.releases) + 1)
        news = CandidateMoved(
            at=moment(minute), incident_id=incident, stage=stage, bundle_hash=bundle_hash, reason=reason
        )
        self._tell(news)

    def _trained(self, incident: str, minute: int) -> None:
        self.training -= 1
        if self._judge() is not None:
            self._moved(incident, "refused", minute)
            return
        number = len(self.tally.releases) + 2
        self._moved(incident, "shadow", minute, hash_of(number))
        self._at(minute + _SHADOWS, partial(self._promote, incident, number))

    def _promote(self, incident: str, number: int, minute: int) -> None:
        self.tally.releases.append(minute)
        self._learned_errors = self.upset is not None
        self._serve(minute, number)
        self._moved(incident, "promoted", minute, hash_of(number))
        self._learners = [
            Learner(Commissioning(key=key(camera), cycle_hours=CYCLE_HOURS)) for camera in range(len(self._cameras))
        ]
        self._watches = [None] * len(self._cameras)
        self._wakes, self._learn_from = [], minute
        self._at(minute // DAY * DAY + DAY - 1, self._learn)

    def _serve(self, minute: int, number: int) -> None:
        self._tell(ReleaseServed(at=moment(minute), facts=facts(number, minute)))

    def _go_back(self, minute: int) -> None:
        """The release before serves again, with the profiles that were learned for it."""
        assert self.state.facts is not None  # noqa: S101
        self._learned_errors = False
        self._serve(minute, self.state.facts.number - 1)
        profiles = [self.state.cameras[name].profile for name in self._cameras]
        self._watches = [Watch(profile) if profile is not None else None for profile in profiles]
        self._look(minute)

    def _learn(self, minute: int) -> None:
        """The day that ends now, for every camera that still learns."""
        part = (self._part.at // DAY == minute // DAY) & (self._part.at >= self._learn_from) & self._ok
        for camera, learner in enumerate(self._learners):
            if learner.profile is None:
                learner.learn(self._part.at[part], self._means[camera, part], self._spread[camera])
        if all(learner.profile is not None for learner in self._learners):
            self._begin()
            self._watches = [Watch(learner.profile) for learner in self._learners if learner.profile is not None]
            self.tally.learned.append(minute)
            self._look(minute)
            return
        self._at(minute + DAY, self._learn)

    def _begin(self) -> None:
        """Every camera with the profile it has learned, as its last learning window leaves it."""
        assert self.state.facts is not None  # noqa: S101
        for camera, (name, learner) in enumerate(zip(self._cameras, self._learners, strict=True)):
            assert learner.profile is not None  # noqa: S101
            before = self.state.cameras.get(name) or self._first(name, camera, learner.learned_at)
            own = before.key.model_copy(update={"bundle_hash": self.state.facts.bundle_hash})
            profile = learner.profile.model_copy(update={"key": own})
            changes = {"phase": Phase.OK, "profile": profile, "last_at": moment(learner.learned_at)}
            self._put(name, before.model_copy(update=changes))

    def _first(self, name: str, camera: int, minute: int) -> CameraState:
        seen = self._window(name, camera, minute - 1, np.zeros(len(NAMES)))
        state, _ = step(self.state, seen, self._settings)
        return state.cameras[name]
