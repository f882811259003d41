"""What an agent does now and then, whatever comes in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from edge_agent.caretaker import Duty
from edge_agent.core import Core
from edge_agent.memory import Sweeper
from edge_agent.settings import AgentSettings
from edge_agent.uploads import Uploads


def duties(settings: AgentSettings, core: Core) -> list[Duty]:
    """Commits that are due, quotas, retention, cameras that have fallen silent, memory."""

    def commit() -> None:
        if core.ledger.due() or core.station.commits.unwritable is not None:
            core.station.commits.now()

    retention = timedelta(days=settings.record.retention_days)
    kept = timedelta(days=settings.buffer.retention_days)
    uploads = Uploads(core.store)
    sweeper = Sweeper(lambda: core.station.courtesy.line_works)
    return [
        Duty("commit", 0.1, commit),
        Duty("idle windows", 1.0, lambda: core.ledger.commit(end=core.ledger.idle_windows())),
        Duty("silent cameras", 1.0, lambda: core.station.check_silence(datetime.now(UTC))),
        Duty("bundles", 0.5, core.bundles.watch),
        Duty("image buffer", 0.5, lambda: core.metrics.buffer_dropped.inc(core.buffer.trim())),
        Duty("outbox", 1.0, lambda: core.metrics.outbox_dropped.inc(core.outbox.shrink())),
        Duty("memory", 1.0, sweeper.sweep),
        Duty("retention of verdicts", 10.0, lambda: core.record.forget_before(datetime.now(UTC) - retention)),
        Duty("retention of parts", 60.0, lambda: core.parts.forget_before(datetime.now(UTC) - retention)),
        Duty("retention of images", 60.0, lambda: core.buffer.forget_before(datetime.now(UTC) - kept)),
        Duty("retention of uploads", 600.0, lambda: uploads.forget_before(datetime.now(UTC) - max(retention, kept))),
        Duty("retention of orders", 600.0, lambda: core.orders.forget_before(datetime.now(UTC) - retention)),
    ]
