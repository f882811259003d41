"""What a change record says, for a page that an auditor prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from monitor import queries
from monitor.changes import altered
from monitor.releases import previous_release
from monitor.store.rollout_tables import ChangeRow, ReleaseRow


@dataclass(frozen=True)
class Change:
    """One record, what came after it, and whether the site's chain of records is whole up to it."""

    row: ChangeRow
    next: ChangeRow | None
    whole: bool
    way_back: ReleaseRow | None

    @property
    def body(self) -> dict[str, Any]:
        """What was recorded."""
        return self.row.body

    @property
    def words(self) -> list[dict[str, Any]]:
        """What people said to it, in the order in which they did."""
        return list((self.body.get("approval") or {}).get("words", []))

    @property
    def rule(self) -> dict[str, Any] | None:
        """Which rule of approval let it through (code and parameters)."""
        return (self.body.get("approval") or {}).get("rule")

    @property
    def reasons(self) -> list[tuple[str, dict[str, Any]]]:
        """(gate or shadow, reason) of everything that was judged."""
        found = []
        for stage in ("gate", "shadow"):
            found += [(stage, reason) for reason in (self.body.get(stage) or {}).get("reasons", [])]
        return found

    @property
    def differences(self) -> list[dict[str, Any]]:
        """What the gate counted, group by group."""
        return [row for row in (self.body.get("gate") or {}).get("differences", []) if row.get("parts")]


def change(session: Session, site: str, number: int) -> Change | None:
    """One record; None where there is none of that number."""
    row = session.get(ChangeRow, (site, number))
    if row is None:
        return None
    broken = altered(queries.changes(session, site=site)["changes"])
    later = session.get(ChangeRow, (site, number + 1))
    back = previous_release(session, site) if later is None else None
    return Change(row=row, next=later, whole=broken is None or broken > number, way_back=back)


def changes(session: Session) -> Sequence[ChangeRow]:
    """All records, newest first."""
    return session.scalars(select(ChangeRow).order_by(ChangeRow.recorded_at.desc(), ChangeRow.number.desc())).all()
