"""What another policy would have decided over the same history: both are run through the same rules and compared.

History goes on as it was recorded: labels that nobody asked for are not there, and a retrain that only one policy
orders has no candidate. So the comparison is right up to the first difference in what is asked for or retrained, and an
estimate after it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from pydantic import BaseModel, ConfigDict

from contracts.names import Moment
from monitor.rules.action import (
    Action,
    AskForLabels,
    AskPerson,
    ChangeIncident,
    CloseIncident,
    HoldLabels,
    HoldRetrain,
    OfferAdoption,
    OpenIncident,
    OpenTicket,
    OrderRetrain,
    Phase,
    PhaseChanged,
    QualityAlert,
    VerdictsUnsafe,
    Withdraw,
)
from monitor.rules.happening import Happening, Tick
from monitor.rules.model import ModelState, step
from monitor.rules.reason import Reason
from monitor.rules.settings import RuleSettings

_TOLD: dict[type[BaseModel], str] = {
    OpenIncident: "incident",
    CloseIncident: "closed",
    OpenTicket: "ticket",
    AskForLabels: "labels",
    HoldLabels: "labels held",
    QualityAlert: "quality alert",
    VerdictsUnsafe: "unsafe",
    OfferAdoption: "offer",
    OrderRetrain: "retrain",
    HoldRetrain: "retrain held",
    AskPerson: "person asked",
    Withdraw: "withdrawal",
}
_QUIET = timedelta(hours=1)  # without anything happening: the clock is told about


class Decision(BaseModel):
    """One decision: when, what, about which camera (or whatever it is about), why."""

    model_config = ConfigDict(frozen=True)

    at: Moment
    what: str
    about: str
    reason: Reason


class Difference(BaseModel):
    """A decision that one policy takes and the other does not, or takes at another time or for another reason."""

    model_config = ConfigDict(frozen=True)

    now: Decision | None
    then: Decision | None

    @property
    def at(self) -> Moment:
        """The earlier of both."""
        return min(decision.at for decision in (self.now, self.then) if decision is not None)

    @property
    def either(self) -> Decision:
        """One of both: what it is and what it is about are the same."""
        found = self.now or self.then
        if found is None:
            raise ValueError("a difference without a decision")
        return found


def decisions(happenings: Iterable[Happening], settings: RuleSettings, *, state: ModelState) -> Iterator[Decision]:
    """What a policy decides about a model that starts with `state`."""
    last: Moment | None = None
    for happening in happenings:
        for due in (*_ticks(last, happening.at), happening):
            state, actions = step(state, due, settings)
            for action in actions:
                yield from _told(action, due.at)
        last = happening.at if last is None else max(last, happening.at)


def _ticks(last: Moment | None, at: Moment) -> list[Tick]:
    if last is None or at - last < 2 * _QUIET:
        return []
    return [Tick(at=last + count * _QUIET) for count in range(1, (at - last) // _QUIET)]


def _told(action: Action, at: Moment) -> Iterator[Decision]:
    if isinstance(action, PhaseChanged) and action.after is Phase.DRIFT:
        yield Decision(at=at, what="drift", about=action.camera, reason=action.reason)
    if isinstance(action, ChangeIncident) and action.phase is Phase.HARMFUL:
        yield Decision(at=at, what="harm", about=", ".join(action.cameras), reason=action.reason)
    if type(action) in _TOLD:
        yield Decision(at=at, what=_TOLD[type(action)], about=_subject(action), reason=action.reason)


def _subject(action: Action) -> str:
    if isinstance(action, OpenTicket | AskForLabels | HoldLabels | QualityAlert):
        return action.camera
    if isinstance(action, OpenIncident | VerdictsUnsafe):
        return ", ".join(action.cameras)
    return "the model"


def differences(now: Sequence[Decision], then: Sequence[Decision]) -> list[Difference]:
    """Where two lists of decisions part, in the order of time. Decisions of one kind about one thing are held against
    each other in their order."""
    pairs: list[Difference] = []
    old, new = _by_subject(now), _by_subject(then)
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key, []), new.get(key, [])
        same = [decision for decision in before if decision in after]
        before = [decision for decision in before if decision not in same]
        after = [decision for decision in after if decision not in same]
        for index in range(max(len(before), len(after))):
            pairs.append(
                Difference(
                    now=before[index] if index < len(before) else None,
                    then=after[index] if index < len(after) else None,
                )
            )
    return sorted(pairs, key=lambda pair: (pair.at, pair.either.what, pair.either.about))


def _by_subject(found: Sequence[Decision]) -> dict[tuple[str, str], list[Decision]]:
    grouped: dict[tuple[str, str], list[Decision]] = defaultdict(list)
    for decision in found:
        grouped[decision.what, decision.about].append(decision)
    return grouped
