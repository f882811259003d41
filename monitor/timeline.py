"""The timeline: every decision and deed with its time, reason code, parameters and plain words.

Codes and parameters are what machines and translations use; the words of each language lie in `texts/timeline.*.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from monitor.rules.reason import Reason
from monitor.store.rule_tables import EventRow

TEXTS = Path(__file__).parent / "texts"
LANGUAGES = ("en", "de")


def note(
    session: Session,
    code: str,
    *,
    site: str,
    at: datetime,
    agent: str | None = None,
    camera: str | None = None,
    product: str | None = None,
    bundle_hash: str | None = None,
    incident_id: str | None = None,
    order_id: str | None = None,
    **parameters: Any,
) -> EventRow:
    """Add one line, `at` the clock of the frames. `code` is `kind.reason`; parameters must be plain JSON values."""
    row = EventRow(
        site=site,
        at=at,
        recorded_at=datetime.now(UTC),
        kind=code.split(".")[0],
        code=code,
        parameters=parameters,
        text="",
        agent=agent,
        camera=camera,
        product=product,
        bundle_hash=bundle_hash,
        incident_id=incident_id,
        order_id=order_id,
    )
    row.text = words(row)
    session.add(row)
    return row


def note_reason(
    session: Session,
    kind: str,
    reason: Reason,
    *,
    site: str,
    at: datetime,
    agent: str | None = None,
    camera: str | None = None,
    product: str | None = None,
    bundle_hash: str | None = None,
    incident_id: str | None = None,
    order_id: str | None = None,
    **also: Any,
) -> EventRow:
    """Add one line for what the rules decided: `kind` of action, code and words of their reason."""
    row = EventRow(
        site=site,
        at=at,
        recorded_at=datetime.now(UTC),
        kind=kind,
        code=reason.code,
        parameters={**reason.parameters, **also},
        text=plain(reason),
        agent=agent,
        camera=camera,
        product=product,
        bundle_hash=bundle_hash,
        incident_id=incident_id,
        order_id=order_id,
    )
    session.add(row)
    return row


def plain(reason: Reason) -> str:
    """A reason in plain English: the rules' own (`drift`) or one of this file's (`candidate.refused`)."""
    return render(reason.code, reason.parameters) if "." in reason.code else reason.plain


def as_json(reason: Reason) -> dict[str, Any]:
    """A reason as rows keep it and pages show it."""
    return {"code": reason.code, "parameters": reason.parameters, "plain": plain(reason)}


def words(row: EventRow, language: str = "en") -> str:
    """The line in plain words."""
    places = {
        "site": row.site,
        "agent": row.agent or "",
        "camera": row.camera or "",
        "product": row.product or "",
        "bundle": (row.bundle_hash or "none")[:12],
        "incident": row.incident_id or "",
        "order": row.order_id or "",
    }
    return render(row.code, places | row.parameters, language)


def render(code: str, parameters: Mapping[str, Any], language: str = "en") -> str:
    """The template of `code` filled in. Raises KeyError for a code or parameter that the language's file lacks."""
    return templates(language)[code].format_map({name: _plain(value) for name, value in parameters.items()})


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    return str(value)


@lru_cache(maxsize=len(LANGUAGES))
def templates(language: str) -> dict[str, str]:
    """`kind.reason` -> template."""
    with (TEXTS / f"timeline.{language}.toml").open("rb") as file:
        kinds = tomllib.load(file)
    return {f"{kind}.{reason}": text for kind, reasons in kinds.items() for reason, text in reasons.items()}
