"""Releases and candidates with the evidence that let them through or stopped them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contracts.bundle import CARD_NAME, Manifest
from contracts.certificate import Certificate
from contracts.channel import Channel
from monitor.store.rollout_tables import (
    BundleRow,
    CandidateRow,
    ChannelRow,
    RefusedRow,
    ReleaseRow,
    RetrainRow,
)
from monitor.store.telemetry_tables import WindowRow
from monitor.web.reading.benchmarks import Measured, measured

WAITING_STATES = ("approving",)
"""Of a candidate that needs a person."""


@dataclass(frozen=True)
class ShadowCounts:
    """What a candidate answered beside the active model, in windows and replays together."""

    images: int = 0
    agreements: int = 0
    failures: int = 0

    @property
    def agreement(self) -> float | None:
        """Share of the images with the active model's decision, 0..1."""
        return self.agreements / self.images if self.images else None

    def add(self, summary: dict[str, Any] | None) -> ShadowCounts:
        """And one more `ShadowSummary`."""
        if not summary:
            return self
        return ShadowCounts(
            images=self.images + summary.get("images", 0),
            agreements=self.agreements + summary.get("agreements", 0),
            failures=self.failures + summary.get("failures", 0),
        )


@dataclass(frozen=True)
class Entry:
    """One candidate and the release it became, or a release that came by hand."""

    candidate: CandidateRow | None
    release: ReleaseRow | None
    manifest: Manifest | None
    refused: str | None
    retrain: RetrainRow | None
    shadow: ShadowCounts
    measured: Measured

    @property
    def bundle_hash(self) -> str:
        """Of the bundle that this is about."""
        if self.release is not None:
            return self.release.bundle_hash
        return self.candidate.bundle_hash if self.candidate is not None else ""

    @property
    def state(self) -> str:
        """The release's state, or the candidate's while there is none."""
        if self.release is not None:
            return self.release.state
        return self.candidate.state if self.candidate is not None else ""

    @property
    def waits_for_a_person(self) -> bool:
        """Approve and reject are offered."""
        return self.release is not None and self.candidate is not None and self.candidate.state in WAITING_STATES

    @property
    def can_return(self) -> bool:
        """Served once, not now, and not refused."""
        served = self.release is not None and self.release.activated_at is not None
        return served and self.state != "active" and self.refused is None

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """fp32 first, then what it was quantised to."""
        if self.manifest is None:
            return ()
        return tuple(sorted(self.manifest.certificates, key=lambda item: not item.variant.endswith("fp32")))

    @property
    def has_card(self) -> bool:
        """Its bundle came with a model card."""
        return self.manifest is not None and CARD_NAME in self.manifest.files

    @property
    def reason(self) -> str:
        """Why it exists."""
        if self.release is not None:
            return self.release.reason
        return self.candidate.reason if self.candidate is not None else ""

    @property
    def closing(self) -> str | None:
        """Why it ended."""
        return self.candidate.closing if self.candidate is not None else None

    @property
    def approved_by(self) -> str:
        """Pseudonyms of those who approved."""
        words = self.candidate.approvals if self.candidate is not None else []
        return ", ".join(word["by"] for word in words if word.get("approved"))

    @property
    def gate_reasons(self) -> list[dict[str, Any]]:
        """Reasons of the gate (code and parameters)."""
        return list(self._gate.get("reasons", []))

    @property
    def gate_differences(self) -> list[dict[str, Any]]:
        """What the gate counted, group by group (see `rules.paired.Difference`); groups without parts are left out."""
        return [row for row in self._gate.get("differences", []) if row.get("parts")]

    @property
    def _gate(self) -> dict[str, Any]:
        return (self.candidate.gate or {}) if self.candidate is not None else {}


@dataclass(frozen=True)
class SiteReleases:
    """One site's page."""

    site: str
    channel: Channel | None
    published: bool
    running: tuple[RetrainRow, ...]
    entries: tuple[Entry, ...]

    @property
    def earlier(self) -> tuple[Entry, ...]:
        """Releases that one could roll back to."""
        return tuple(entry for entry in self.entries if entry.can_return)


def releases(session: Session) -> list[SiteReleases]:
    """All sites, newest entries first."""
    sites = sorted({*session.scalars(select(ReleaseRow.site)), *session.scalars(select(CandidateRow.site))})
    return [_site(session, site) for site in sites]


def _site(session: Session, site: str) -> SiteReleases:
    channel = session.scalars(
        select(ChannelRow).where(ChannelRow.site == site).order_by(ChannelRow.sequence.desc())
    ).first()
    retrains = select(RetrainRow).where(RetrainRow.site == site, RetrainRow.state.in_(("queued", "running")))
    return SiteReleases(
        site=site,
        channel=Channel.model_validate(channel.body) if channel is not None else None,
        published=channel is not None and channel.published_at is not None,
        running=tuple(session.scalars(retrains.order_by(RetrainRow.requested_at))),
        entries=tuple(_entries(session, site)),
    )


def _entries(session: Session, site: str) -> list[Entry]:
    refused = {
        row.bundle_hash: row.reason for row in session.scalars(select(RefusedRow).where(RefusedRow.site == site))
    }
    manifests = {
        row.bundle_hash: _manifest(row) for row in session.scalars(select(BundleRow).where(BundleRow.site == site))
    }
    retrains = {row.order_id: row for row in session.scalars(select(RetrainRow).where(RetrainRow.site == site))}
    found = list(session.scalars(select(ReleaseRow).where(ReleaseRow.site == site)))
    by_candidate = {release.candidate_id: release for release in found if release.candidate_id}
    made: list[tuple[datetime, CandidateRow | None, ReleaseRow | None]] = []
    for candidate in session.scalars(select(CandidateRow).where(CandidateRow.site == site)):
        release = by_candidate.pop(candidate.candidate_id, None)
        made.append((candidate.submitted_at, candidate, release))
    made += [(release.created_at, None, release) for release in found if release.candidate_id is None]
    made += [(release.created_at, None, release) for release in by_candidate.values()]
    made.sort(key=lambda item: item[0], reverse=True)
    entries, on_devices = [], measured(session, site)
    for _, submitted, release in made:
        entry = Entry(
            submitted, release, manifest=None, refused=None, retrain=None, shadow=ShadowCounts(), measured=Measured()
        )
        entries.append(
            replace(
                entry,
                manifest=manifests.get(entry.bundle_hash),
                refused=refused.get(entry.bundle_hash),
                retrain=retrains.get(submitted.order_id or "") if submitted is not None else None,
                shadow=_shadow_counts(session, submitted),
                measured=on_devices[entry.bundle_hash],
            )
        )
    return entries


def _shadow_counts(session: Session, candidate: CandidateRow | None) -> ShadowCounts:
    """Replays as the agents reported them, and windows since the shadow began (by the frames' clock)."""
    if candidate is None or not candidate.shadow:
        return ShadowCounts()
    summary = WindowRow.shadow
    windows = select(
        func.sum(summary["images"].as_integer()),
        func.sum(summary["agreements"].as_integer()),
        func.sum(summary["failures"].as_integer()),
    ).where(WindowRow.site == candidate.site, summary["bundle_hash"].as_string() == candidate.bundle_hash)
    if "started_at" in candidate.shadow:
        windows = windows.where(WindowRow.ended_at >= datetime.fromisoformat(candidate.shadow["started_at"]))
    images, agreements, failures = session.execute(windows).one()
    counts = ShadowCounts(images or 0, agreements or 0, failures or 0)
    for replay in candidate.shadow.get("replays", {}).values():
        counts = counts.add(replay.get("summary"))
    return counts


def manifest_of(session: Session, bundle_hash: str) -> Manifest | None:
    """Of a bundle that was handed in; None where there is none, or a newer version wrote it."""
    row = session.get(BundleRow, bundle_hash)
    return None if row is None else _manifest(row)


def _manifest(row: BundleRow) -> Manifest | None:
    """None for one that a newer version wrote: the page shows the rest."""
    try:
        return Manifest.model_validate(row.manifest)
    except ValidationError:
        return None
