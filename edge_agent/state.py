"""What an agent says of itself: on the operator's page, to whoever scrapes it, to the monitor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from contracts.orders import Sample
from contracts.telemetry import Birth, CameraState
from edge_agent.core import Core
from edge_agent.follower import channel_sequence
from edge_agent.settings import AgentSettings
from edge_agent.trouble import Trouble
from edge_agent.version import software_version
from edge_agent.web.page import CameraView, StationView
from runtime.session import runtime_name

if TYPE_CHECKING:
    from edge_agent.agent import Agent


def station_view(agent: Agent, states: Mapping[str, str], troubles: Sequence[Trouble]) -> StationView:
    """What the operator's page says. `states`: camera -> the monitor's word for it."""
    core, active = agent.core, agent.core.station.active
    manifest = None if active is None else active.bundle.manifest
    labels = [] if manifest is None else list(manifest.labels)
    drift = {order.camera: "labels" for order in core.orders.open(Sample) if order.purpose == "drift-sample"}
    drift |= states
    return StationView(
        site=agent.settings.site,
        agent=agent.settings.agent,
        bundle_hash=None if active is None else active.bundle.hash,
        release=None if active is None else core.bundles.release_number(active.bundle.hash),
        shadow=core.shadow.inspector is not None,
        connected=None if agent.uplink is None else agent.uplink.connected.is_set(),
        acknowledged_at=None if agent.uplink is None else agent.uplink.acknowledged_at,
        waiting_messages=core.outbox.size()[0],
        cameras=[
            CameraView(name, core.station.faults.get(name), drift.get(name))
            for name in sorted({*core.record.last_sequences(), *drift, *core.station.faults})
        ],
        troubles=troubles,
        labels=[*labels, *(label for label in agent.settings.extra_labels if label not in labels)],
        good_labels=[] if manifest is None else list(manifest.good_labels),
        parts=core.parts if core.parts.active else None,
        paused=core.pause.now,
        trained_at=None if manifest is None else manifest.created_at,
        variant=None if active is None else active.session.variant,
        certified=active is None or active.selection is None or active.selection.basis == "certificate",
    )


def refresh_metrics(agent: Agent) -> None:
    """Bring gauges up to date before they are read."""
    metrics, core = agent.core.metrics, agent.core
    messages, size = core.outbox.size()
    metrics.outbox_messages.set(messages)
    metrics.outbox_bytes.set(size)
    images, size = core.buffer.size()
    metrics.buffer_images.set(images)
    metrics.buffer_bytes.set(size)
    for lane in agent.outputs.lanes:
        metrics.output_failing.labels(lane.output.name).set(lane.trouble is not None)
        metrics.output_waiting.labels(lane.output.name).set(lane.waiting)
    metrics.paused.set(core.pause.now is not None)
    metrics.connected.set(agent.uplink is not None and agent.uplink.connected.is_set())


def birth(settings: AgentSettings, core: Core, started_at: datetime) -> Birth:
    """Full state, for every new connection."""
    active, shadow = core.station.active, core.shadow.inspector
    bundle_hash = None if active is None else active.bundle.hash
    return Birth(
        software_version=software_version(),
        started_at=started_at,
        cameras=tuple(
            CameraState(
                camera=row["camera"],
                product=row["product"],
                source=row["source"],
                fault=core.station.faults.get(row["camera"], ""),
            )
            for row in core.store.rows("SELECT * FROM cameras ORDER BY camera")
        ),
        bundle_hash=bundle_hash,
        release_number=core.bundles.release_number(bundle_hash),
        shadow_hash=None if shadow is None else shadow.bundle.hash,
        channel_sequence=channel_sequence(core.store),
        runtime=runtime_name() if active is None else active.runtime,
        production=settings.production,
    )
