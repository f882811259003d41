"""The rules and their memory: what happens goes in, the next state is stored and the actions are carried out, all in
the caller's transaction. Killed before its commit, nothing happened; after it, everything did.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

import numpy as np
from sqlalchemy.orm import Session

from contracts.frame import Decision, OutcomeSource
from contracts.telemetry import Window
from drift.hotelling import HotellingT2
from drift.window import window_mean
from monitor import memory, releases
from monitor.retrain_order import jobs_of
from monitor.rules.action import Action, Phase
from monitor.rules.camera import CameraState
from monitor.rules.happening import (
    CandidateMoved,
    Happening,
    LabelSeen,
    PersonSaid,
    ReleaseServed,
    RetrainAsked,
    Tick,
    WindowSeen,
)
from monitor.rules.model import ModelState, step
from monitor.rules.past import is_past, profile_of
from monitor.rules.reason import Reason
from monitor.rules.settings import RuleSettings
from monitor.store.label_tables import LabelRow
from monitor.store.rollout_tables import CandidateRow, ReleaseRow
from monitor.store.rule_tables import ModelRow

Stage = Literal["training", "shadow", "refused", "failed", "promoted"]
Said = Literal["repaired", "permanent", "adopt", "retrain", "close"]


class Hands(Protocol):
    """Carries out what the rules decide (see `actions.Actions`). A release that this brings into service is returned,
    to be told to the rules in its turn."""

    def carry_out(self, session: Session, action: Action, state: ModelState, *, at: datetime) -> ReleaseRow | None: ...

    def settle(self, session: Session, state: ModelState, *, at: datetime) -> None:
        """Called after all actions of one happening."""


@dataclass(frozen=True)
class Sight:
    """What the rules saw in one window. `t2` and `limit` are None where it was not judged (learning, no images);
    `contributions` holds T2 over limit (1 is the limit) per group of entries. `past`: newer ones were judged before."""

    phase: str
    t2: float | None
    limit: float | None
    contributions: dict[str, float] | None
    learned_windows: int
    windows_needed: int
    incident_id: str | None
    past: bool = False


def camera_name(agent: str, camera: str, product: str) -> str:
    """How the rules call one camera looking at one product."""
    return f"{agent}/{camera}/{product}"


def camera_parts(name: str) -> tuple[str, str, str]:
    """(agent, camera, product) of a camera's name.

    >>> camera_parts(camera_name("agent-1", "top", "cap"))
    ('agent-1', 'top', 'cap')
    """
    agent, camera, product = name.split("/")
    return agent, camera, product


class Rulebook:
    """One model per site, by the rules that `rules_of` gives for it. Every `tell_...` is one happening."""

    def __init__(self, rules_of: Callable[[str], RuleSettings], hands: Hands) -> None:
        self._rules_of = rules_of
        self._hands = hands

    def clock(self, session: Session, site: str) -> datetime:
        """The site's present on the clock of its frames: the newest window's end, plus what has passed since then."""
        row = session.get(ModelRow, site)
        now = datetime.now(UTC)
        return now if row is None else row.clock + max(now - row.clock_set_at, timedelta(0))

    def state(self, session: Session, site: str) -> ModelState:
        """What the rules remember of the site's model."""
        known = memory.recall(session, site)
        if known is not None:
            return known
        release = releases.active_release(session, site)
        return ModelState(site=site, product=release.product if release is not None else "default")

    def tell_window(
        self, session: Session, site: str, agent: str, window: Window, *, line: str, late: bool = False
    ) -> Sight:
        """A committed window, `late` where its agent did not wait for it; returns what it looked like."""
        camera = camera_name(agent, window.camera, window.product)
        place = f"{line}/{window.product}"  # siblings look at the same product on the same line
        seen = WindowSeen(at=window.ended_at, camera=camera, line=place, window=window, late=late)
        state = self._tell(session, site, [seen])
        self._set_clock(session, site, window.ended_at)
        return _sight(state, state.cameras.get(camera), seen, self._rules_of(site))

    def tell_label(self, session: Session, row: LabelRow, *, late: bool = False) -> None:
        """A label that was just recorded; hand each in once."""
        self._tell(
            session,
            row.site,
            [
                LabelSeen(
                    at=self.clock(session, row.site),
                    camera=camera_name(row.agent, row.camera, row.product),
                    part_id=row.part_id,
                    label=row.label,
                    source=OutcomeSource(row.source),
                    decision=Decision(row.decision),
                    bundle_hash=row.bundle_hash,
                    triggered_at=row.triggered_at,
                    late=late,
                )
            ],
        )

    def tell_release(self, session: Session, release: ReleaseRow) -> None:
        """A release is served from now on. Raises ConfigurationError where its certificate says nothing usable."""
        self._tell(session, release.site, [self._served(session, release)])

    def tell_person(self, session: Session, site: str, *, incident_id: str, said: Said, who: str) -> None:
        """A person's click on an incident."""
        at = self.clock(session, site)
        self._tell(session, site, [PersonSaid(at=at, incident_id=incident_id, said=said, who=who)])

    def tell_retrain_asked(self, session: Session, site: str, *, who: str, why: str) -> None:
        """A person wants a retrain without an incident."""
        self._tell(session, site, [RetrainAsked(at=self.clock(session, site), who=who, why=why)])

    def tell_candidate(self, session: Session, row: CandidateRow, *, stage: Stage, reason: Reason) -> None:
        """What became of a candidate; those that no incident ordered are no news."""
        if row.incident_id is not None:
            self.tell_stage(
                session, row.site, incident_id=row.incident_id, stage=stage, reason=reason, bundle_hash=row.bundle_hash
            )

    def tell_stage(
        self, session: Session, site: str, *, incident_id: str, stage: Stage, reason: Reason, bundle_hash: str | None
    ) -> None:
        """Where the retrain stands that the incident ordered."""
        at = self.clock(session, site)
        news = CandidateMoved(at=at, incident_id=incident_id, stage=stage, bundle_hash=bundle_hash, reason=reason)
        self._tell(session, site, [news])

    def tick(self, session: Session, site: str) -> None:
        """Time passed."""
        if session.get(ModelRow, site) is not None:
            self._tell(session, site, [Tick(at=self.clock(session, site))])

    def _served(self, session: Session, release: ReleaseRow) -> ReleaseServed:
        facts = releases.facts_of_release(session, release, self._rules_of(release.site))
        return ReleaseServed(at=self.clock(session, release.site), facts=facts)

    def _tell(self, session: Session, site: str, happenings: Iterable[Happening]) -> ModelState:
        waiting = deque(happenings)
        state, rules = self.state(session, site), self._rules_of(site)
        while waiting:
            happening = waiting.popleft()
            jobs = jobs_of(session, site, with_hours=rules.compute_hours_a_week is not None)
            state, actions = step(state, happening, rules, jobs=jobs)
            for action in actions:
                served = self._hands.carry_out(session, action, state, at=happening.at)
                if served is not None:
                    waiting.append(self._served(session, served))
            self._hands.settle(session, state, at=happening.at)
        memory.remember(session, site, state)
        return state

    def _set_clock(self, session: Session, site: str, moment: datetime) -> None:
        row = session.get_one(ModelRow, site)
        before_first_window = row.clock == row.clock_set_at  # until then it is the monitor's own clock
        if moment > row.clock or before_first_window:
            row.clock, row.clock_set_at = moment, datetime.now(UTC)


def _sight(state: ModelState, camera: CameraState | None, seen: WindowSeen, settings: RuleSettings) -> Sight:
    if camera is None:
        return Sight("LEARNING", None, None, None, 0, settings.commissioning_windows, None)
    past = is_past(camera, seen)
    t2, limit, groups = _judgement(camera, seen, settings, past=past)
    incident = state.incident
    profile, commissioning = camera.profile, camera.commissioning
    learned, asked = (profile.windows,) * 2 if profile is not None else (commissioning.seen, commissioning.asked)
    return Sight(
        phase=_past_phase(t2, limit) if past else camera.phase.value,
        t2=t2,
        limit=limit,
        contributions=groups,
        learned_windows=learned,
        windows_needed=asked,
        incident_id=incident.incident_id if incident is not None and camera.camera in incident.cameras else None,
        past=past,
    )


def _past_phase(t2: float | None, limit: float | None) -> str:
    """What one window alone would have made of its camera then."""
    if t2 is None or limit is None:
        return Phase.LEARNING.value
    return (Phase.SUSPECT if t2 > limit else Phase.OK).value


def _judgement(
    camera: CameraState, seen: WindowSeen, settings: RuleSettings, *, past: bool
) -> tuple[float | None, float | None, dict[str, float] | None]:
    """T2, limit and groups of the window where the rules judged it, for the charts."""
    mean, profile = window_mean(seen.window), profile_of(camera, seen) if past else camera.profile
    if profile is None or mean is None or mean.names != profile.names:
        return None, None, None
    if not past and (not camera.recent or camera.recent[-1].at != seen.at):
        return None, None, None
    detector = HotellingT2(profile, p=settings.level, persistence=camera.persistence)
    found = detector.judge(np.array(mean.mean), mean.images)
    return found.t2, found.limit, found.groups
