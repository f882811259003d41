"""The change record: what came into service, why, on which evidence, who approved it, and what to go back to. One for
each activation, written in its transaction and never changed; each holds the hash of the one before, so that a record
that was altered or taken out beside the database shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contracts.bundle import Manifest
from contracts.channel import Channel
from monitor.store.rollout_tables import (
    BundleRow,
    CandidateRow,
    ChangeRow,
    GoldRow,
    RefusedRow,
    ReleaseRow,
    RetrainRow,
)
from monitor.store.rule_tables import IncidentRow

FIRST = "0" * 64
"""Stands for the hash before a site's first record."""


def record(
    session: Session, release: ReleaseRow, channel: Channel, *, left: Channel | None, reason: str, by: str | None
) -> ChangeRow:
    """Write down that `release` serves from now on, instead of what the channel `left` named. `by`: the person who
    went back, where one did."""
    last = session.scalars(
        select(ChangeRow).where(ChangeRow.site == release.site).order_by(ChangeRow.number.desc()).limit(1)
    ).first()
    now = datetime.now(UTC)
    at = release.activated_at or now
    body = {
        "schema": "change-record-v1",
        "site": release.site,
        "number": 1 if last is None else last.number + 1,
        "kind": _kind(session, release, left),
        "at": at.isoformat(),
        "recorded_at": now.isoformat(),
        "channel_sequence": channel.sequence,
        "release": release.number,
        "product": release.product,
        "bundle_hash": release.bundle_hash,
        "replaces": None if left is None else left.active.model_dump(mode="json"),
        "reason": reason,
        "by": by,
        **_way_here(session, release),
        "bundle": _bundle(session, release.bundle_hash),
        "gold_version": session.scalar(select(func.max(GoldRow.version)).where(GoldRow.site == release.site)),
        "thresholds": [item.model_dump(mode="json") for item in channel.thresholds],
    }
    previous = FIRST if last is None else last.sha256
    row = ChangeRow(
        site=release.site,
        number=body["number"],
        release=release.number,
        bundle_hash=release.bundle_hash,
        at=at,
        recorded_at=now,
        body=body,
        previous_sha256=previous,
        sha256=digest(previous, body),
    )
    session.add(row)
    session.flush()
    return row


def digest(previous: str, body: dict[str, Any]) -> str:
    """SHA-256 of a record: of the hash before it and its body as JSON with sorted keys and no spaces."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


def altered(records: Sequence[dict[str, Any]]) -> int | None:
    """The number of the first of a site's records (all of them, oldest first, as `GET /v1/changes` gives them) that is
    not as it was written, or before which one is missing; None where all are."""
    previous = FIRST
    for expected, found in enumerate(records, start=1):
        whole = found["previous_sha256"] == previous and found["sha256"] == digest(previous, found["body"])
        if not whole or found["body"]["number"] != expected:
            return expected
        previous = found["sha256"]
    return None


def _kind(session: Session, release: ReleaseRow, left: Channel | None) -> str:
    """first, promotion, rollback (by a person) or withdrawal (by evidence, for good)."""
    if left is None:
        return "first"
    served = select(ChangeRow.number).where(ChangeRow.site == release.site, ChangeRow.release == release.number)
    if session.scalars(served.limit(1)).first() is None:
        return "promotion"
    return "withdrawal" if session.get(RefusedRow, (release.site, left.active.bundle_hash)) else "rollback"


def _way_here(session: Session, release: ReleaseRow) -> dict[str, Any]:
    """Candidate, gate, shadow, approvals, incident and retrain that led to the release; None where there was none."""
    row = session.get(CandidateRow, release.candidate_id) if release.candidate_id else None
    incident = session.get(IncidentRow, row.incident_id) if row is not None and row.incident_id else None
    retrain = session.get(RetrainRow, row.order_id) if row is not None and row.order_id else None
    return {
        "candidate": None if row is None else _candidate(row),
        "gate": None if row is None else row.gate,
        "shadow": None if row is None or row.shadow is None else _shadow(row.shadow),
        "approval": None if row is None else {"rule": (row.shadow or {}).get("approval"), "words": row.approvals},
        "incident": None if incident is None else _incident(incident),
        "retrain": None if retrain is None else _retrain(retrain),
    }


def _candidate(row: CandidateRow) -> dict[str, Any]:
    return {
        "candidate_id": row.candidate_id,
        "origin": row.origin,
        "reason": row.reason,
        "submitted_by": row.submitted_by,
        "submitted_at": row.submitted_at.isoformat(),
    }


def _shadow(shadow: dict[str, Any]) -> dict[str, Any]:
    told = [replay["summary"] for replay in shadow.get("replays", {}).values() if replay.get("summary")]
    return {
        "started_at": shadow.get("started_at"),
        "replayed_images": sum(summary.get("images", 0) for summary in told),
        "replayed_agreements": sum(summary.get("agreements", 0) for summary in told),
        "labelled_parts": len(shadow.get("labelled", [])),
        "reasons": shadow.get("passed", []),
    }


def _incident(row: IncidentRow) -> dict[str, Any]:
    return {
        "incident_id": row.incident_id,
        "diagnosis": row.diagnosis,
        "title": row.title,
        "reason": row.reason,
        "opened_at": row.opened_at.isoformat(),
        "cameras": row.cameras,
        **{name: row.details.get(name) for name in ("labels", "random", "wrong")},
    }


def _retrain(row: RetrainRow) -> dict[str, Any]:
    return {
        "order_id": row.order_id,
        "labels": row.labels,
        "attempts": row.attempts,
        "started_at": row.started_at.isoformat() if row.started_at else None,
        "ended_at": row.ended_at.isoformat() if row.ended_at else None,
    }


def _bundle(session: Session, bundle_hash: str) -> dict[str, Any]:
    """What the bundle's manifest promises: certificates, figures, lineage and licence."""
    manifest = Manifest.model_validate(session.get_one(BundleRow, bundle_hash).manifest)
    lineage = manifest.lineage.model_dump(mode="json", exclude={"training"})
    return {
        "lineage": lineage,
        "licence": manifest.licence.model_dump(mode="json"),
        "test_metrics": manifest.test_metrics.model_dump(mode="json"),
        "certificates": [
            certificate.model_dump(mode="json", include={"variant", "images", "argmax_agreement", "passed", "reasons"})
            | {"max_probability_difference": certificate.max_probability_difference}
            for certificate in manifest.certificates
        ],
    }
