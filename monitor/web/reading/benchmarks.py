"""What a bundle costs on the devices that measured it, by class of devices, and who can be asked next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.figures import Figures
from monitor.store.rollout_tables import BenchmarkRow, OrderRow
from monitor.store.telemetry_tables import AgentRow

SHOWN = 3
"""Reports of one class of devices; the others are counted, and the API has them."""


@dataclass(frozen=True)
class Report:
    """One device's figures."""

    row: BenchmarkRow
    figures: Figures


@dataclass(frozen=True)
class DeviceClass:
    """The newest reports of one class of devices, newest first."""

    name: str
    reports: tuple[Report, ...]
    older: int


@dataclass(frozen=True)
class Measured:
    """Of one bundle. `orders`: those that wait, and those that failed and are the newest of their agent. `agents`:
    those that have the bundle on their device, as far as is known here."""

    classes: tuple[DeviceClass, ...] = ()
    orders: tuple[OrderRow, ...] = ()
    agents: tuple[AgentRow, ...] = ()

    @property
    def reports(self) -> int:
        """How many there are."""
        return sum(len(each.reports) + each.older for each in self.classes)

    @property
    def waits(self) -> bool:
        """An agent is at it."""
        return any(order.state == "open" for order in self.orders)


def measured(session: Session, site: str) -> Mapping[str, Measured]:
    """By bundle hash; empty for a bundle that nobody has and nobody measured."""
    kept: dict[str, list[BenchmarkRow]] = defaultdict(list)
    newest_first = select(BenchmarkRow).where(BenchmarkRow.site == site).order_by(BenchmarkRow.received_at.desc())
    for row in session.scalars(newest_first):
        kept[row.bundle_hash].append(row)
    orders = _orders(session, site)
    agents: dict[str, list[AgentRow]] = defaultdict(list)
    for agent in session.scalars(select(AgentRow).where(AgentRow.site == site).order_by(AgentRow.agent)):
        for bundle_hash in {agent.bundle_hash, agent.shadow_hash} - {None}:
            agents[str(bundle_hash)].append(agent)
    known = {*kept, *orders, *agents}
    found = {name: Measured(_by_class(kept[name]), tuple(orders[name]), tuple(agents[name])) for name in known}
    return defaultdict(Measured, found)


def _by_class(rows: Sequence[BenchmarkRow]) -> tuple[DeviceClass, ...]:
    """The class with the newest report first."""
    classes: dict[str, list[BenchmarkRow]] = defaultdict(list)
    for row in rows:
        classes[row.device_class].append(row)
    return tuple(
        DeviceClass(name, tuple(filter(None, map(_report, found[:SHOWN]))), len(found[SHOWN:]))
        for name, found in classes.items()
    )


def _orders(session: Session, site: str) -> dict[str, list[OrderRow]]:
    newest: dict[tuple[str, str], OrderRow] = {}
    asked = select(OrderRow).where(OrderRow.site == site, OrderRow.kind == "benchmark").order_by(OrderRow.issued_at)
    for row in session.scalars(asked):
        newest[str(row.body.get("bundle_hash")), row.agent] = row
    found: dict[str, list[OrderRow]] = defaultdict(list)
    for (bundle_hash, _), row in newest.items():
        if row.state in ("open", "failed", "expired"):
            found[bundle_hash].append(row)
    return found


def _report(row: BenchmarkRow) -> Report | None:
    """None for what a newer version wrote."""
    try:
        return Report(row, Figures.model_validate(row.figures))
    except ValidationError:
        return None
