"""How far the labelling is. The queue itself is the API's `/v1/labels/queue`."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from monitor.labels import TURN, TURNS
from monitor.ratings import ASKED_STATES
from monitor.store.label_tables import ImageRow, LabelRow


@dataclass(frozen=True)
class Progress:
    """Counts over the whole queue. `turns`: how many images wait, by whose turn it is, in the queue's order. Why a
    picked one was picked is not told: it would say what the model thought."""

    queued: int
    labelled: int
    turns: dict[str, int]


def progress(session: Session) -> Progress:
    """How many images wait and how many of the uploaded ones have a label."""
    queued = session.scalar(select(func.count()).where(ImageRow.state == "queued"))
    labelled = session.scalar(select(func.count()).where(LabelRow.image_id.is_not(None)))
    return Progress(queued=queued or 0, labelled=labelled or 0, turns=_turns(session))


def _turns(session: Session) -> dict[str, int]:
    counts = session.execute(select(TURN, func.count()).where(ImageRow.state.in_(ASKED_STATES)).group_by(TURN))
    waiting = {row[0]: row[1] for row in counts}
    return {name: waiting.get(turn, 0) for turn, name in enumerate(TURNS)}
