"""The signed thresholds that this device follows: believed from the channel, kept over restarts, told once.

They come with the channel, so they are as signed, as fresh and as hard to roll back as a release. One that this device
may not follow changes nothing: what decided before goes on deciding.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol

from pydantic import Field, ValidationError

from contracts.channel import Channel
from contracts.names import Wire
from contracts.telemetry import Event, EventKind, ThresholdsReport
from contracts.thresholds import SignedThresholds
from edge_agent.outbox import Outbox
from edge_agent.store import Store
from edge_agent.trouble import Trouble
from runtime.bundle import Bundle
from runtime.thresholds import ThresholdBook

_FACT = "thresholds"
_log = logging.getLogger(__name__)


class _Kept(Wire):
    """What the database holds."""

    entries: tuple[SignedThresholds, ...] = ()
    refused: dict[int, str] = Field(default={}, description="number -> why")


class SignedChoices:
    """`highest_ng`: no threshold above it is followed, whoever signed it."""

    def __init__(self, store: Store, outbox: Outbox, *, highest_ng: float) -> None:
        self._store, self._outbox, self._highest_ng = store, outbox, highest_ng
        self._kept = _read(store)

    @property
    def entries(self) -> tuple[SignedThresholds, ...]:
        """What is followed now."""
        return self._kept.entries

    @property
    def trouble(self) -> Trouble | None:
        """Which signed thresholds are not followed, and why; None: all are."""
        told = [f"thresholds {number} are not followed: {why}" for number, why in self._kept.refused.items()]
        return Trouble(text, code="thresholds-refused", details=text) if (text := "; ".join(told)) else None

    def book(self, bundle: Bundle) -> ThresholdBook:
        """What decides while this bundle does."""
        return ThresholdBook(bundle.manifest, bundle.hash, self.entries)

    def follow(self, channel: Channel) -> bool:
        """Take over what a believed channel says; whether that changed anything. It is on the disk, and reported, when
        this returns. Raises QuotaError where the disk is full; nothing has changed then."""
        before = {entry.key: entry for entry in self.entries}
        after, refused = [], {}
        for entry in channel.thresholds:
            why = refusal(entry, highest_ng=self._highest_ng)
            if why is None:
                after.append(entry)
            else:
                refused[entry.number] = why
                after.extend([before[entry.key]] if entry.key in before else [])
        kept = _Kept(entries=tuple(after), refused=refused)
        if kept == self._kept:
            return False
        with self._store.transaction():
            self._store.remember(_FACT, kept.model_dump_json())
            self._report(before, after)
            self._report_refused([entry for entry in channel.thresholds if entry.number in refused], refused)
        self._kept = kept
        return True

    def _report(self, before: dict[tuple[str, str | None], SignedThresholds], after: list[SignedThresholds]) -> None:
        for entry in after:
            if before.get(entry.key) != entry:
                self._tell(EventKind.THRESHOLDS_APPLIED, entry, entry.reason)
        left = {entry.key for entry in after}
        for key, entry in before.items():
            if key not in left:
                undone = Event(
                    event=EventKind.THRESHOLDS_APPLIED, at=datetime.now(UTC), bundle_hash=entry.bundle_hash,
                    product=entry.product, reason=f"thresholds {entry.number} no longer decide",
                    details=ThresholdsReport().model_dump(mode="json"),
                )  # fmt: skip
                self._outbox.add(undone)

    def _report_refused(self, entries: Iterable[SignedThresholds], why: dict[int, str]) -> None:
        for entry in entries:
            if entry.number not in self._kept.refused:
                _log.warning("thresholds %d are not followed: %s", entry.number, why[entry.number])
                self._tell(EventKind.THRESHOLDS_REFUSED, entry, why[entry.number])

    def _tell(self, kind: EventKind, entry: SignedThresholds, reason: str) -> None:
        told = ThresholdsReport(
            number=entry.number, ng=entry.thresholds.ng, review_from=entry.thresholds.review_from
        ).model_dump(mode="json")
        self._outbox.add(
            Event(
                event=kind, at=datetime.now(UTC), bundle_hash=entry.bundle_hash, product=entry.product,
                reason=reason, details=told,
            )
        )  # fmt: skip


def refusal(entry: SignedThresholds, *, highest_ng: float) -> str | None:
    """Why a device does not follow thresholds that were signed for it; None where it does."""
    if entry.thresholds.ng > highest_ng:
        return (
            f"NG from {entry.thresholds.ng:g} lies above {highest_ng:g} (inspection.highest_ng): nearly every defect "
            "would pass"
        )
    return None


class Remembering(Protocol):
    """Whatever knows a fact of the agent's database."""

    def fact(self, name: str) -> str | None: ...


def kept_entries(store: Remembering) -> tuple[SignedThresholds, ...]:
    """What the agent of this database follows."""
    return _read(store).entries


def _read(store: Remembering) -> _Kept:
    """As they were before a restart. Damaged, or of another version: none, until the channel is read again."""
    try:
        return _Kept.model_validate_json(store.fact(_FACT) or "{}")
    except ValidationError as error:
        _log.error("the signed thresholds on this device cannot be read; the bundle's own decide: %s", error)
        return _Kept()
