"""How far the labelling is. The queue itself is the API's `/v1/labels/queue`."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from monitor.store.label_tables import ImageRow, LabelRow


@dataclass(frozen=True)
class Progress:
    """Counts over the whole queue."""

    queued: int
    labelled: int


def progress(session: Session) -> Progress:
    """How many images wait and how many of the uploaded ones have a label."""
    queued = session.scalar(select(func.count()).where(ImageRow.state == "queued"))
    labelled = session.scalar(select(func.count()).where(LabelRow.image_id.is_not(None)))
    return Progress(queued=queued or 0, labelled=labelled or 0)
