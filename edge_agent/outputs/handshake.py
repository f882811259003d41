"""The handshake with a PLC: trigger, ready, result, acknowledge. A pure state machine; no clock, no network.

      Trigger rises (ready)            verdict, or the deadline
    IDLE -----------------> BUSY ------------------------------> RESULT
     ^  \\                    |                                     |
     |   Trigger rises        | Acknowledge rises (abandon)         | Acknowledge rises
     |   (not ready):         v                                     v
     |   RESULT = NO_VERDICT  +-------------> CLEARING <------------+
     +------------------------------------------+
              Trigger and Acknowledge are low

A Trigger that rises in BUSY or RESULT is a part that nobody looked at: it gets NO_VERDICT, and so does the one before
it if that had no result yet. Whatever goes wrong, the result is NO_VERDICT or none; nothing but a verdict of this very
trigger is ever read as OK.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum, auto

from contracts.frame import Decision


class Phase(Enum):
    """Where a cycle stands."""

    IDLE = auto()
    BUSY = auto()
    RESULT = auto()
    CLEARING = auto()


class Code(IntEnum):
    """The result as a PLC reads it. 0, what memory holds that was never written, is no result."""

    NONE = 0
    OK = 1
    NG = 2
    REVIEW = 3
    NO_VERDICT = 4


CODES = {
    Decision.OK: Code.OK,
    Decision.NG: Code.NG,
    Decision.REVIEW: Code.REVIEW,
    Decision.NO_VERDICT: Code.NO_VERDICT,
}


@dataclass(frozen=True)
class Levels:
    """What the PLC has written. `trigger_id`, `part_id` and `product` count at the moment when `trigger` rises."""

    trigger: bool = False
    acknowledge: bool = False
    trigger_id: int = 0
    part_id: str = ""
    product: str = ""


@dataclass(frozen=True)
class Cycle:
    """One inspection from trigger to acknowledge; times are monotonic seconds."""

    phase: Phase = Phase.IDLE
    levels: Levels = Levels()
    trigger_id: int = 0
    part_id: str = ""
    due: float = 0.0
    code: Code = Code.NONE
    reason: str = ""
    unready: str | None = "the agent is starting"

    @property
    def ready(self) -> bool:
        """A trigger would be answered with a verdict."""
        low = not self.levels.trigger and not self.levels.acknowledge
        return self.phase is Phase.IDLE and self.unready is None and low

    @property
    def busy(self) -> bool:
        """A verdict is under way."""
        return self.phase is Phase.BUSY

    @property
    def result_ready(self) -> bool:
        """`code`, `part_id`, `trigger_id` and `reason` belong together and may be read."""
        return self.phase is Phase.RESULT


def written(cycle: Cycle, levels: Levels, *, now: float, deadline: float) -> Cycle:
    """The PLC has written something; a part triggered now has `deadline` seconds."""
    rose = levels.trigger and not cycle.levels.trigger
    acknowledged = levels.acknowledge and not cycle.levels.acknowledge
    cycle = replace(cycle, levels=levels)
    if acknowledged and cycle.phase in (Phase.BUSY, Phase.RESULT):
        cycle = replace(cycle, phase=Phase.CLEARING, code=Code.NONE, part_id="", trigger_id=0, reason="")
    if rose:
        return _triggered(cycle, now + deadline)
    if cycle.phase is Phase.CLEARING and not levels.trigger and not levels.acknowledge:
        return replace(cycle, phase=Phase.IDLE)
    return cycle


def answered(cycle: Cycle, decision: Decision, *, part_id: str, reason: str | None) -> Cycle:
    """The verdict on the image of this very trigger is there."""
    if cycle.phase is not Phase.BUSY:
        return cycle
    return replace(cycle, phase=Phase.RESULT, code=CODES[decision], part_id=part_id, reason=reason or "")


def passed(cycle: Cycle, now: float) -> Cycle:
    """Time has passed: without a verdict by now there is none."""
    if cycle.phase is not Phase.BUSY or now <= cycle.due:
        return cycle
    return _none(cycle, "no verdict before the deadline")


def failed(cycle: Cycle, reason: str) -> Cycle:
    """There will be no verdict on this trigger."""
    return _none(cycle, reason) if cycle.phase is Phase.BUSY else cycle


def readiness(cycle: Cycle, unready: str | None) -> Cycle:
    """Whether parts can be judged now; a part that is under way already is not touched."""
    return replace(cycle, unready=unready)


def _triggered(cycle: Cycle, due: float) -> Cycle:
    levels, phase = cycle.levels, cycle.phase
    cycle = replace(cycle, trigger_id=levels.trigger_id, part_id=levels.part_id, due=due, code=Code.NONE, reason="")
    if phase is Phase.BUSY:
        return _none(cycle, "triggered again before the result of the part before")
    if phase is Phase.RESULT:
        return _none(cycle, "triggered again before the result of the part before was acknowledged")
    if phase is Phase.CLEARING or levels.acknowledge:
        return _none(cycle, "triggered while Acknowledge was still high, or Trigger had not been low")
    if cycle.unready is not None:
        return _none(cycle, cycle.unready)
    return replace(cycle, phase=Phase.BUSY)


def _none(cycle: Cycle, reason: str) -> Cycle:
    return replace(cycle, phase=Phase.RESULT, code=Code.NO_VERDICT, reason=reason)
