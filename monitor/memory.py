"""What the rules remember of each site's model, within one transaction: read once, written once, before the commit.

A state is some 100 kB of JSON, and a batch of telemetry asks for it with every window.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import event
from sqlalchemy.orm import Session

from monitor.rules.model import ModelState
from monitor.store.rule_tables import ModelRow

_KEY = "models"


@dataclass
class _Model:
    row: ModelRow
    state: ModelState
    changed: bool = False


def recall(session: Session, site: str) -> ModelState | None:
    """The site's model as of now; None where nothing is remembered."""
    known = _models(session).get(site)
    if known is not None:
        return known.state
    row = session.get(ModelRow, site)
    if row is None:
        return None
    state = ModelState.model_validate(row.state)
    _models(session)[site] = _Model(row, state)
    return state


def remember(session: Session, site: str, state: ModelState) -> ModelRow:
    """From now on this is the site's model; in the database with the commit, as all of the transaction."""
    models = _models(session)
    if not any(model.changed for model in models.values()):
        event.listen(session, "before_commit", _write)
    known = models.get(site)
    row = known.row if known is not None else session.get(ModelRow, site)
    if row is None:
        now = datetime.now(UTC)
        row = ModelRow(site=site, state={}, clock=now, clock_set_at=now)
        session.add(row)
    models[site] = _Model(row, state, changed=True)
    return row


def _models(session: Session) -> dict[str, _Model]:
    models: dict[str, _Model] = session.info.setdefault(_KEY, {})
    return models


def _write(session: Session) -> None:
    for model in _models(session).values():
        if model.changed:
            model.row.state = model.state.model_dump(mode="json")
