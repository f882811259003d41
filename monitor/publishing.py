"""Signing and publishing what was decided: channels that the store holds and agents cannot see yet."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.channel import Channel
from contracts.orders import Install, Rollback
from monitor import timeline
from monitor.orders import OrderDesk
from monitor.registry import Registry
from monitor.store.database import Store
from monitor.store.rollout_tables import ChannelRow, ReleaseRow
from monitor.store.telemetry_tables import AgentRow

_log = logging.getLogger(__name__)


class Publishing:
    """Brings registry and agents up to date with the newest channel of every site. Every step may be repeated."""

    def __init__(self, store: Store, registry: Registry, orders: OrderDesk, *, bundles: Path) -> None:
        self._store = store
        self._registry = registry
        self._orders = orders
        self._bundles = bundles

    def publish_due(self) -> int:
        """Publish what is waiting; returns how many sites changed."""
        with self._store.read() as session:
            waiting = session.scalars(select(ChannelRow.site).where(ChannelRow.published_at.is_(None)).distinct()).all()
        for site in waiting:
            self._publish(site)
        return len(waiting)

    def _publish(self, site: str) -> None:
        channel = self._newest(site)
        last = self._registry.channel(site)
        if last is not None and last.sequence >= channel.sequence and last != channel:
            channel = self._renumber(channel, above=last.sequence)
        for release in (channel.active, channel.shadow):
            if release is not None:
                self._registry.publish_bundle(site, self._bundles / release.bundle_hash)
        self._registry.publish_channel(channel)
        _log.info("site %s: channel %d published: %s", site, channel.sequence, channel.reason)
        with self._store.write() as session:
            self._note_published(session, channel)

    def _newest(self, site: str) -> Channel:
        with self._store.read() as session:
            row = session.scalars(
                select(ChannelRow).where(ChannelRow.site == site).order_by(ChannelRow.sequence.desc()).limit(1)
            ).one()
            return Channel.model_validate(row.body)

    def _renumber(self, channel: Channel, *, above: int) -> Channel:
        """The registry is ahead of the store (which was restored from a copy): say the same under a higher sequence."""
        raised = channel.model_copy(update={"sequence": above + 1, "issued_at": datetime.now(UTC)})
        with self._store.write() as session:
            session.add(
                ChannelRow(
                    site=raised.site,
                    sequence=raised.sequence,
                    body=raised.model_dump(mode="json"),
                    created_at=raised.issued_at,
                )
            )
        return raised

    def _note_published(self, session: Session, channel: Channel) -> None:
        now = datetime.now(UTC)
        for row in session.scalars(
            select(ChannelRow).where(
                ChannelRow.site == channel.site,
                ChannelRow.sequence <= channel.sequence,
                ChannelRow.published_at.is_(None),
            )
        ):
            row.published_at = now
        for kind in ("install", "rollback"):
            self._orders.cancel(session, site=channel.site, kind=kind)
        back = self._goes_back(session, channel)
        for agent in session.scalars(select(AgentRow.agent).where(AgentRow.site == channel.site)):
            self._orders.issue(
                session,
                Rollback if back else Install,
                site=channel.site,
                agent=agent,
                reason=channel.reason,
                channel_sequence=channel.sequence,
            )
        timeline.note(
            session,
            "channel.published",
            site=channel.site,
            at=channel.issued_at,
            bundle_hash=channel.active.bundle_hash,
            sequence=channel.sequence,
            release=channel.active.number,
            shadow=channel.shadow.number if channel.shadow else None,
            why=channel.reason,
        )

    def _goes_back(self, session: Session, channel: Channel) -> bool:
        newer = select(ReleaseRow.number).where(
            ReleaseRow.site == channel.site, ReleaseRow.number > channel.active.number, ReleaseRow.state == "withdrawn"
        )
        return session.scalars(newer).first() is not None
