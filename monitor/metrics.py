"""Prometheus metrics of all agents, read from the store at each scrape: agents behind NAT are seen through the monitor.

Counters are counts of committed rows, so a restart of the monitor does not reset them. The registry is passed in;
`registry.get_sample_value(...)` is the door for tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from monitor import queries
from monitor.releases import active_release, shadow_release
from monitor.rules.action import Phase
from monitor.store.database import Store
from monitor.store.label_tables import ImageRow, LabelRow, RatingRow
from monitor.store.rollout_tables import CandidateRow, OrderRow, ReleaseRow, RetrainRow
from monitor.store.rule_tables import CameraRow, EventRow, IncidentRow
from monitor.store.telemetry_tables import AgentRow, MessageRow, PoisonRow

COUNT_SECONDS = 600.0
CAMERA = ["site", "agent", "camera", "product"]


class StoreCollector(Collector):
    """All `lineside_monitor_...` metrics. `dropped_arrivals`: what the link had to drop because its queue was full."""

    def __init__(self, store: Store, *, dropped_arrivals: Callable[[], int] = lambda: 0) -> None:
        self._store = store
        self._dropped_arrivals = dropped_arrivals
        self._kept: list[tuple[str, int]] = []
        self._kept_at: float | None = None

    def collect(self) -> Iterable[Metric]:
        """Read everything in one snapshot."""
        with self._store.read() as session:
            yield from _cameras(session)
            yield from _agents(session)
            yield from _delivery(session)
            yield from _people(session)
            yield from _rollout(session)
            yield self._messages(session)
        dropped = CounterMetricFamily(
            "lineside_monitor_arrivals_dropped", "MQTT messages dropped because the queue was full (sent again)."
        )
        dropped.add_metric([], self._dropped_arrivals())
        yield dropped

    def _messages(self, session: Session) -> Metric:
        """Counting them reads the whole table, so it is done every ten minutes only."""
        now = time.monotonic()
        if self._kept_at is None or now - self._kept_at > COUNT_SECONDS:
            found = session.execute(select(MessageRow.kind, func.count()).group_by(MessageRow.kind))
            self._kept, self._kept_at = [(kind, count) for kind, count in found], now
        metric = GaugeMetricFamily(
            "lineside_monitor_messages_kept",
            "Messages in the store, by kind, as of the last 10 minutes.",
            labels=["kind"],
        )
        for kind, count in self._kept:
            metric.add_metric([kind], count)
        return metric


def register(
    registry: CollectorRegistry, store: Store, *, dropped_arrivals: Callable[[], int] = lambda: 0
) -> StoreCollector:
    """Add the monitor's metrics to a registry."""
    collector = StoreCollector(store, dropped_arrivals=dropped_arrivals)
    registry.register(collector)
    return collector


def _cameras(session: Session) -> Iterator[Metric]:
    windows = CounterMetricFamily("lineside_monitor_windows", "Windows judged.", labels=CAMERA)
    images = CounterMetricFamily("lineside_monitor_images", "Images in those windows.", labels=CAMERA)
    decisions = CounterMetricFamily("lineside_monitor_decisions", "Verdicts by decision.", labels=[*CAMERA, "decision"])
    t2 = GaugeMetricFamily("lineside_monitor_drift_t2", "Hotelling's T2 of the newest window.", labels=CAMERA)
    limit = GaugeMetricFamily("lineside_monitor_drift_limit", "T2 that is in control.", labels=CAMERA)
    state = GaugeMetricFamily("lineside_monitor_camera_state", "1 for the present phase.", labels=[*CAMERA, "state"])
    fault = GaugeMetricFamily("lineside_monitor_camera_fault", "1 while the camera is faulty.", labels=CAMERA)
    learned = GaugeMetricFamily("lineside_monitor_windows_learned", "Commissioning windows seen.", labels=CAMERA)
    newest = GaugeMetricFamily(
        "lineside_monitor_last_window_timestamp_seconds", "End of the newest window.", labels=CAMERA
    )
    for row in session.scalars(select(CameraRow)):
        key = [row.site, row.agent, row.camera, row.product]
        windows.add_metric(key, row.windows)
        images.add_metric(key, row.images)
        for decision, count in sorted(row.decisions.items()):
            decisions.add_metric([*key, decision], count)
        if row.t2 is not None and row.limit is not None:
            t2.add_metric(key, row.t2)
            limit.add_metric(key, row.limit)
        for phase in Phase:
            state.add_metric([*key, phase.value], float(phase.value == row.state))
        fault.add_metric(key, float(row.fault is not None))
        learned.add_metric(key, row.learned_windows)
        newest.add_metric(key, row.last_window_at.timestamp())
    yield from (windows, images, decisions, t2, limit, state, fault, learned, newest)


def _agents(session: Session) -> Iterator[Metric]:
    names = ["site", "agent"]
    online = GaugeMetricFamily("lineside_monitor_agent_online", "1 while the agent is connected.", labels=names)
    seen = GaugeMetricFamily(
        "lineside_monitor_agent_silent_seconds", "Time since the agent's last message.", labels=names
    )
    release = GaugeMetricFamily("lineside_monitor_agent_release", "Release that the agent serves.", labels=names)
    now = datetime.now(UTC)
    for row in session.scalars(select(AgentRow)):
        key = [row.site, row.agent]
        online.add_metric(key, float(row.online))
        seen.add_metric(key, (now - row.last_seen_at).total_seconds())
        if row.release_number is not None:
            release.add_metric(key, row.release_number)
    yield from (online, seen, release)


def _delivery(session: Session) -> Iterator[Metric]:
    names = ["site", "agent"]
    acknowledged = CounterMetricFamily("lineside_monitor_acknowledged", "Messages acknowledged.", labels=names)
    waiting = GaugeMetricFamily("lineside_monitor_backlog", "Acknowledged and not worked through yet.", labels=names)
    dropped = CounterMetricFamily("lineside_monitor_agent_dropped", "Messages an outbox had to drop.", labels=names)
    totals: dict[tuple[str, str], list[int]] = {}
    for boot in queries.delivery(session):
        total = totals.setdefault((boot["site"], boot["agent"]), [0, 0, 0])
        total[0] += boot["contiguous"]
        total[1] += boot["contiguous"] - boot["processed"]
        total[2] += boot["dropped"]
    for key, (sent, behind, lost) in sorted(totals.items()):
        acknowledged.add_metric(list(key), sent)
        waiting.add_metric(list(key), behind)
        dropped.add_metric(list(key), lost)
    poison = CounterMetricFamily(
        "lineside_monitor_unreadable", "Messages that could not be used.", labels=[*names, "reason"]
    )
    for row in session.scalars(select(PoisonRow)):
        poison.add_metric([row.site, row.agent, row.reason], row.count)
    yield from (acknowledged, waiting, dropped, poison)


def _people(session: Session) -> Iterator[Metric]:
    given = _counted(
        session,
        CounterMetricFamily(
            "lineside_monitor_labels", "Labels by source and use.", labels=["site", "camera", "source", "use"]
        ),
        LabelRow.site,
        LabelRow.camera,
        LabelRow.source,
        LabelRow.use,
    )
    spent = CounterMetricFamily(
        "lineside_monitor_label_seconds", "Seconds that people looked at pictures to label them.", labels=["site"]
    )
    for site, seconds in session.execute(select(RatingRow.site, func.sum(RatingRow.seconds)).group_by(RatingRow.site)):
        spent.add_metric([site], seconds or 0.0)
    queue = _counted(
        session,
        GaugeMetricFamily("lineside_monitor_images_asked", "Uploaded images by state.", labels=["site", "state"]),
        ImageRow.site,
        ImageRow.state,
    )
    incidents = _counted(
        session,
        GaugeMetricFamily("lineside_monitor_incidents", "Incidents.", labels=["site", "state", "diagnosis"]),
        IncidentRow.site,
        IncidentRow.state,
        IncidentRow.diagnosis,
    )
    events = _counted(
        session,
        CounterMetricFamily("lineside_monitor_events", "Lines of the timeline.", labels=["site", "kind"]),
        EventRow.site,
        EventRow.kind,
    )
    yield from (given, spent, queue, incidents, events)


def _rollout(session: Session) -> Iterator[Metric]:
    retrains = _counted(
        session,
        GaugeMetricFamily("lineside_monitor_retrains", "Retrains by state.", labels=["site", "state"]),
        RetrainRow.site,
        RetrainRow.state,
    )
    candidates = _counted(
        session,
        GaugeMetricFamily("lineside_monitor_candidates", "Candidates by state.", labels=["site", "state"]),
        CandidateRow.site,
        CandidateRow.state,
    )
    orders = _counted(
        session,
        GaugeMetricFamily("lineside_monitor_orders", "Orders by kind and state.", labels=["site", "kind", "state"]),
        OrderRow.site,
        OrderRow.kind,
        OrderRow.state,
    )
    active = GaugeMetricFamily("lineside_monitor_release_active", "Number of the active release.", labels=["site"])
    shadow = GaugeMetricFamily("lineside_monitor_release_shadow", "Number of the shadow release.", labels=["site"])
    for site in session.scalars(select(ReleaseRow.site).distinct().order_by(ReleaseRow.site)):
        if (row := active_release(session, site)) is not None:
            active.add_metric([site], row.number)
        if (row := shadow_release(session, site)) is not None:
            shadow.add_metric([site], row.number)
    yield from (retrains, candidates, orders, active, shadow)


def _counted(
    session: Session, metric: CounterMetricFamily | GaugeMetricFamily, *columns: InstrumentedAttribute[str]
) -> Metric:
    """How many rows there are for each combination of the columns, which name the metric's labels in order."""
    for row in session.execute(select(*columns, func.count()).group_by(*columns)):
        *key, count = row
        metric.add_metric([str(part) for part in key], float(count))
    return metric
