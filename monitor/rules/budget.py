"""How many images a model may ask people about in a week. What goes beyond is not asked for, and says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from contracts.names import Moment
from monitor.rules.action import Action, AskForLabels, HoldLabels
from monitor.rules.reason import because

WEEK = timedelta(days=7)
Asks = tuple[tuple[Moment, int], ...]


def within(actions: Sequence[Action], asks: Asks, at: Moment, budget: int) -> tuple[list[Action], Asks]:
    """The actions with their requests for labels cut to what is left of the week's `budget`, and what was asked for in
    the last seven days. Random images go first: only they prove anything."""
    asks = tuple(ask for ask in asks if at - ask[0] < WEEK)
    left = max(budget - sum(count for _, count in asks), 0)
    kept: list[Action] = []
    for action in actions:
        if not isinstance(action, AskForLabels):
            kept.append(action)
            continue
        granted: dict[str, int] = {}
        for kind, count in action.counts.items():
            granted[kind] = min(count, left)
            left -= granted[kind]
        if total := sum(granted.values()):
            asks = (*asks, (at, total))
            kept.append(action.model_copy(update=granted))
        if (cut := action.total - total) > 0:
            reason = because("labels-budget", cut=cut, budget=budget)
            kept.append(HoldLabels(incident_id=action.incident_id, camera=action.camera, reason=reason))
    return kept, asks
