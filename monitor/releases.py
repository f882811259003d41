"""Releases and the channel of a site: what is active, what shadows it, what is refused. Every change is a new channel.

Only written here; signed and published by `publishing` after the commit, so a kill in between changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contracts.bundle import Manifest
from contracts.channel import Channel, Refusal, Release
from contracts.errors import OrderError
from monitor import changes
from monitor.rules.facts import BundleFacts, facts_of
from monitor.rules.settings import RuleSettings
from monitor.signed_thresholds import standing
from monitor.store.rollout_tables import BundleRow, ChannelRow, RefusedRow, ReleaseRow


def current_channel(session: Session, site: str) -> Channel | None:
    """The newest channel of the site, published or about to be; None before the first release."""
    row = session.scalars(
        select(ChannelRow).where(ChannelRow.site == site).order_by(ChannelRow.sequence.desc()).limit(1)
    ).first()
    return Channel.model_validate(row.body) if row is not None else None


def active_release(session: Session, site: str) -> ReleaseRow | None:
    """The release that the site serves."""
    query = select(ReleaseRow).where(ReleaseRow.site == site, ReleaseRow.state == "active")
    return session.scalars(query).first()


def shadow_release(session: Session, site: str) -> ReleaseRow | None:
    """The release that runs beside it."""
    query = select(ReleaseRow).where(ReleaseRow.site == site, ReleaseRow.state == "shadow")
    return session.scalars(query).first()


def previous_release(session: Session, site: str) -> ReleaseRow | None:
    """The release to go back to: the one that was served last and is not refused."""
    refused = select(RefusedRow.bundle_hash).where(RefusedRow.site == site)
    query = (
        select(ReleaseRow)
        .where(ReleaseRow.site == site, ReleaseRow.state == "superseded", ReleaseRow.bundle_hash.not_in(refused))
        .order_by(ReleaseRow.ended_at.desc(), ReleaseRow.number.desc())
    )
    return session.scalars(query).first()


def is_refused(session: Session, site: str, bundle_hash: str) -> str | None:
    """Why the bundle may not run at the site; None when it may."""
    row = session.get(RefusedRow, (site, bundle_hash))
    return row.reason if row is not None else None


def facts_of_release(session: Session, release: ReleaseRow, settings: RuleSettings) -> BundleFacts:
    """What the rules need to know about an active release."""
    bundle = session.get_one(BundleRow, release.bundle_hash)
    before = previous_release(session, release.site)
    return facts_of(
        Manifest.model_validate(bundle.manifest),
        release.bundle_hash,
        number=release.number,
        activated_at=release.activated_at or release.created_at,
        previous=before.bundle_hash if before is not None else None,
        settings=settings,
    )


def new_release(
    session: Session, *, site: str, product: str, bundle_hash: str, candidate_id: str | None, state: str, reason: str
) -> ReleaseRow:
    """Give a bundle its number."""
    last = session.scalar(select(func.max(ReleaseRow.number)).where(ReleaseRow.site == site)) or 0
    row = ReleaseRow(
        site=site,
        number=last + 1,
        product=product,
        bundle_hash=bundle_hash,
        candidate_id=candidate_id,
        state=state,
        reason=reason,
        created_at=datetime.now(UTC),
    )
    session.add(row)
    session.flush()
    return row


def start_shadow(session: Session, release: ReleaseRow, *, reason: str) -> Channel:
    """The release runs beside the active one. Raises OrderError where nothing is active."""
    active = active_release(session, release.site)
    if active is None:
        raise OrderError(f"site {release.site} has no active release that release {release.number} could shadow")
    release.state = "shadow"
    return _write(session, release.site, active=active, shadow=release, reason=reason)


def activate(session: Session, release: ReleaseRow, *, reason: str, at: datetime, by: str | None = None) -> Channel:
    """The release is served from now on (`at`: clock of the frames), which is put on record; the one before stays as
    the way back."""
    left = current_channel(session, release.site)
    before = active_release(session, release.site)
    if before is not None and before.number != release.number:
        before.state, before.ended_at = "superseded", datetime.now(UTC)
    release.state, release.activated_at, release.ended_at = "active", at, None
    shadow = shadow_release(session, release.site)
    channel = _write(session, release.site, active=release, shadow=shadow, reason=reason)
    changes.record(session, release, channel, left=left, reason=reason, by=by)
    return channel


def end_shadow(session: Session, release: ReleaseRow, *, reason: str, refuse: bool) -> Channel | None:
    """The shadow stops; with `refuse` its bundle never runs again. The channel, where it had said otherwise."""
    release.state, release.ended_at, release.reason = "refused", datetime.now(UTC), reason
    if refuse:
        refuse_bundle(session, site=release.site, bundle_hash=release.bundle_hash, reason=reason)
    active = active_release(session, release.site)
    return _write(session, release.site, active=active, shadow=None, reason=reason) if active is not None else None


def go_back(
    session: Session, to: ReleaseRow, *, reason: str, at: datetime, refuse: bool, by: str | None = None
) -> Channel:
    """Serve an earlier release again (or a later one, after a way back too far) and withdraw the active one; with
    `refuse` that one never runs again.

    Raises OrderError where `to` is refused or was never served.
    """
    if (why := is_refused(session, to.site, to.bundle_hash)) is not None:
        raise OrderError(f"release {to.number} is refused: {why}")
    if to.activated_at is None:
        raise OrderError(f"release {to.number} was never served; submit its bundle as a candidate")
    bad = active_release(session, to.site)
    if bad is not None and bad.number == to.number:
        raise OrderError(f"release {to.number} is served already")
    if bad is not None:
        bad.state = "withdrawn" if refuse or to.number < bad.number else "superseded"
        bad.ended_at, bad.reason = datetime.now(UTC), reason
        if refuse:
            refuse_bundle(session, site=bad.site, bundle_hash=bad.bundle_hash, reason=reason)
    return activate(session, to, reason=reason, at=at, by=by)


def publish_thresholds(session: Session, site: str, *, reason: str) -> Channel:
    """The same releases with the thresholds that stand now. Raises OrderError where nothing is served."""
    active = active_release(session, site)
    if active is None:
        raise OrderError(f"site {site} serves no release yet; its thresholds come with the first one")
    return _write(session, site, active=active, shadow=shadow_release(session, site), reason=reason)


def refuse_bundle(session: Session, *, site: str, bundle_hash: str, reason: str) -> None:
    """The bundle may never run at the site (again). The first reason stays."""
    if session.get(RefusedRow, (site, bundle_hash)) is None:
        session.add(RefusedRow(site=site, bundle_hash=bundle_hash, reason=reason, at=datetime.now(UTC)))
        session.flush()


def _write(session: Session, site: str, *, active: ReleaseRow, shadow: ReleaseRow | None, reason: str) -> Channel:
    session.flush()
    last = session.scalar(select(func.max(ChannelRow.sequence)).where(ChannelRow.site == site)) or 0
    refused = session.scalars(select(RefusedRow).where(RefusedRow.site == site).order_by(RefusedRow.at))
    channel = Channel(
        site=site,
        sequence=last + 1,
        active=_named(active),
        shadow=_named(shadow) if shadow is not None else None,
        refused=tuple(Refusal(bundle_hash=row.bundle_hash, reason=row.reason) for row in refused),
        thresholds=standing(session, site),
        reason=reason,
        issued_at=datetime.now(UTC),
    )
    session.add(
        ChannelRow(
            site=site, sequence=channel.sequence, body=channel.model_dump(mode="json"), created_at=channel.issued_at
        )
    )
    session.flush()
    return channel


def _named(row: ReleaseRow) -> Release:
    return Release(number=row.number, bundle_hash=row.bundle_hash)
