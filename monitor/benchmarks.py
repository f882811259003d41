"""Figures of bundles on devices: ordered from an agent or submitted by a person, kept by class of devices.

Nothing is decided by them here. An agent is believed about its own device, for the order that it was given, in the
bounds of `Figures` and of what the bundle's manifest says; everything else is refused with the reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.benchmark import Benchmark as Found
from contracts.bundle import Manifest
from contracts.errors import ConfigurationError, OrderError
from contracts.figures import Figures
from contracts.orders import Benchmark
from monitor import timeline
from monitor.orders import OrderDesk
from monitor.rulebook import Rulebook
from monitor.store.database import Store
from monitor.store.rollout_tables import BenchmarkRow, BundleRow, OrderRow, RefusedRow
from monitor.store.telemetry_tables import AgentRow
from runtime.figures import figures


class BenchmarkDesk:
    """What people may do about figures. `on_change` wakes whoever sends orders."""

    def __init__(
        self, store: Store, orders: OrderDesk, rulebook: Rulebook, *, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._store, self._orders, self._rulebook, self._on_change = store, orders, rulebook, on_change

    def order(
        self, *, site: str, agent: str, bundle_hash: str, runs: int, threads: int | None, reason: str, by: str
    ) -> str:
        """Ask an agent to measure a bundle that lies on its device; returns the order's id.

        Raises KeyError for an agent or bundle that is not known, OrderError for a refused bundle or an agent that has
        such an order already.
        """
        with self._store.write() as session:
            self._check_agent(session, site, agent)
            _bundle(session, site, bundle_hash)
            refused = session.get(RefusedRow, (site, bundle_hash))
            if refused is not None:
                raise OrderError(f"bundle {bundle_hash[:12]} may not run at {site}: {refused.reason}")
            order_id = self._orders.issue(
                session, Benchmark, site=site, agent=agent, reason=reason, bundle_hash=bundle_hash, runs=runs,
                threads=threads,
            )  # fmt: skip
            timeline.note(
                session,
                "benchmark.ordered",
                site=site,
                at=self._rulebook.clock(session, site),
                agent=agent,
                bundle_hash=bundle_hash,
                order_id=order_id,
                by=by,
                why=reason,
            )
        self._on_change()
        return order_id

    def submit(self, found: Found, *, site: str, by: str) -> str:
        """Keep what somebody measured elsewhere; returns its id, the same for the same file.

        Raises KeyError for a bundle that is not known, ConfigurationError where the figures cannot be right.
        """
        told = figures(found)
        with self._store.write() as session:
            manifest = _manifest(_bundle(session, site, told.bundle_hash))
            check(told, manifest)
            name = f"hand-{hashlib.sha256(f'{site} {told.model_dump_json()}'.encode()).hexdigest()[:32]}"
            if session.get(BenchmarkRow, name) is None:
                session.add(_row(name, told, site=site, agent=None, by=by))
                at = self._rulebook.clock(session, site)
                _note(session, told, ("benchmark.submitted", "benchmark.submitted-none"), site=site, at=at, by=by)
        return name

    def _check_agent(self, session: Session, site: str, agent: str) -> None:
        if session.get(AgentRow, (site, agent)) is None:
            raise KeyError(f"site {site} has no agent {agent!r}")
        waiting = select(OrderRow).where(
            OrderRow.site == site, OrderRow.agent == agent, OrderRow.kind == "benchmark", OrderRow.state == "open"
        )
        order = session.scalars(waiting).first()
        if order is not None:
            raise OrderError(
                f"{agent} has benchmark order {order.order_id} of {order.issued_at:%Y-%m-%d %H:%M} UTC to carry out; "
                "wait for it"
            )


def record(session: Session, order: OrderRow, details: Mapping[str, Any], *, at: datetime) -> None:
    """Keep what an agent found out on an order of its own that is open.

    Raises ConfigurationError where that cannot be right; nothing is kept then.
    """
    try:
        told = Figures.model_validate(details)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{where[:100]}: {first['msg'][:200]}") from error
    if told.bundle_hash != order.body["bundle_hash"]:
        raise ConfigurationError(f"they are of bundle {told.bundle_hash[:12]}, which was not asked for")
    try:
        bundle = _bundle(session, order.site, told.bundle_hash)
    except KeyError as error:
        raise ConfigurationError(str(error.args[0])) from error
    check(told, _manifest(bundle))
    session.add(_row(order.order_id, told, site=order.site, agent=order.agent, by=None))
    codes = ("benchmark.measured", "benchmark.measured-none")
    _note(session, told, codes, site=order.site, at=at, agent=order.agent, order_id=order.order_id)


def check(told: Figures, manifest: Manifest) -> None:
    """Raises ConfigurationError where the figures name what the bundle has not."""
    known = {variant.name for variant in manifest.variants}
    named = {told.reference, *told.skipped, *(row.variant for row in told.rows)}
    if named - known:
        raise ConfigurationError(f"bundle {told.bundle_hash[:12]} has no variant {min(named - known)}")
    passed = {certificate.variant for certificate in manifest.certificates if certificate.passed}
    for row in told.rows:
        if row.certified and row.variant not in passed:
            raise ConfigurationError(f"bundle {told.bundle_hash[:12]} has no certificate of {row.variant} that passed")


def _bundle(session: Session, site: str, bundle_hash: str) -> BundleRow:
    row = session.get(BundleRow, bundle_hash)
    if row is None or row.site != site:
        raise KeyError(f"site {site} has no bundle {bundle_hash[:12]!r}; hand it in first")
    return row


def _manifest(row: BundleRow) -> Manifest:
    try:
        return Manifest.model_validate(row.manifest)
    except ValidationError as error:
        raise ConfigurationError(
            f"the manifest of bundle {row.bundle_hash[:12]} was written by another version of the monitor"
        ) from error


def _row(name: str, told: Figures, *, site: str, agent: str | None, by: str | None) -> BenchmarkRow:
    return BenchmarkRow(
        benchmark_id=name,
        site=site,
        bundle_hash=told.bundle_hash,
        device_class=told.device_class,
        agent=agent,
        by=by,
        measured_at=told.measured_at,
        received_at=datetime.now(UTC),
        figures=told.model_dump(mode="json"),
    )


def _note(session: Session, told: Figures, codes: tuple[str, str], *, site: str, at: datetime, **more: Any) -> None:
    """The first of `codes` where there is a variant to serve, else the second."""
    chosen = next((row for row in told.rows if told.is_chosen(row)), None)
    timeline.note(
        session,
        codes[0] if chosen is not None else codes[1],
        site=site,
        at=at,
        bundle_hash=told.bundle_hash,
        device_class=told.device_class,
        processor=told.machine.processor,
        chosen=None if chosen is None else chosen.variant,
        milliseconds=None if chosen is None else 1000 * chosen.p50_seconds,
        what=told.remark,
        **more,
    )
