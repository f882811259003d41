"""The parts of an agent that need no network, made from its settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from drift.camera import CameraHealth
from drift.focus import Focus
from edge_agent.activation import Bundles
from edge_agent.buffer import ImageBuffer
from edge_agent.crash import blamed_on_model
from edge_agent.deadline import Deadlines
from edge_agent.focus import FocusBook, forget_focus
from edge_agent.ledger import Ledger
from edge_agent.loader import Loader
from edge_agent.metrics import Metrics
from edge_agent.orders import Orders
from edge_agent.outbox import Outbox
from edge_agent.outcomes import Outcomes
from edge_agent.parts.parts import Parts
from edge_agent.pause import Pause
from edge_agent.recent import Recent
from edge_agent.record import Record
from edge_agent.selection import Selector
from edge_agent.sequences import Sequences
from edge_agent.settings import AgentSettings
from edge_agent.shadow import ShadowRunner
from edge_agent.slots import Slots
from edge_agent.station import Station
from edge_agent.store import Store
from edge_agent.thresholds import SignedChoices
from edge_agent.window import Windows
from runtime.session import runtime_name
from runtime.trial import Trials

_FROZEN_LIVE = 10  # equal images in a row: no sensor does that
_FROZEN_FILES = 200  # people and programs do send the same file again


@dataclass(frozen=True)
class Core:
    """What inspects, remembers and decides what to say."""

    store: Store
    record: Record
    outbox: Outbox
    metrics: Metrics
    recent: Recent
    buffer: ImageBuffer
    ledger: Ledger
    shadow: ShadowRunner
    station: Station
    sequences: Sequences
    orders: Orders
    outcomes: Outcomes
    parts: Parts
    bundles: Bundles
    loader: Loader
    pause: Pause


def build_core(settings: AgentSettings) -> Core:
    """Everything in `settings.state_folder`, resumed where an earlier run left it."""
    store = Store(settings.state_folder / "agent.sqlite")
    record = Record(store)
    outbox = Outbox(store, agent=settings.agent, max_bytes=settings.outbox.max_bytes)
    metrics = Metrics(CollectorRegistry())
    recent = Recent()
    buffer = _buffer(settings, store)
    ledger = _ledger(settings, store, record, outbox)
    parts = Parts(store, settings.parts, count=lambda part, decision: metrics.parts.labels(part, decision).inc())
    ledger.written = parts.wake
    failed_shadows: list[tuple[str, str]] = []
    shadow = _shadow(settings, ledger, metrics, failed_shadows)
    options = settings.inspection
    if not options.watch_focus:
        forget_focus(store)
    station = Station(
        ledger,
        health=lambda camera, live: CameraHealth(
            silent_after=options.silent_after,
            frozen_frames=_FROZEN_LIVE if live else _FROZEN_FILES,
            focus=Focus(FocusBook(store, camera)) if options.watch_focus else None,
        ),
        keeper=buffer,
        beside=shadow,
        recent=recent,
        metrics=metrics,
        trust_faulty_cameras=options.on_camera_fault == "model",
        deadlines=Deadlines(options.deadline_seconds, options.camera_deadline_seconds),
    )
    pause = Pause(store, outbox)
    station.paused = lambda: pause.reason
    engines = settings.state_folder / "engines"
    trials = Trials(settings.state_folder / "trials.json")
    selector = Selector(
        store,
        variant=options.variant,
        threads=options.threads,
        engines=engines,
        trials=trials,
        serving=lambda: station.active is not None,
        breathe=station.courtesy.breathe,
    )
    loader = Loader(selector, production=settings.production)
    bundles = Bundles(
        store,
        outbox,
        Slots(settings.state_folder / "slots", machine=_machine_start()),
        station,
        shadow,
        loader,
        failed_shadows=failed_shadows,
        engines=engines,
        thresholds=SignedChoices(store, outbox, highest_ng=options.highest_ng),
        crash=blamed_on_model(settings.state_folder / CRASH),
    )
    return Core(
        store=store,
        record=record,
        outbox=outbox,
        metrics=metrics,
        recent=recent,
        buffer=buffer,
        ledger=ledger,
        shadow=shadow,
        station=station,
        sequences=Sequences(record.last_sequences()),
        orders=Orders(store, outbox),
        outcomes=Outcomes(store, record, outbox, buffer),
        parts=parts,
        bundles=bundles,
        loader=loader,
        pause=pause,
    )


def _machine_start() -> str | None:
    """Linux's name for the time since the machine was started; None elsewhere."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


def _buffer(settings: AgentSettings, store: Store) -> ImageBuffer:
    options = settings.buffer
    buffer = ImageBuffer(
        store,
        settings.state_folder / "images",
        quota_bytes=options.quota_bytes,
        random_fraction=options.random_fraction,
        atypical_fraction=options.atypical_fraction,
        unsure_fraction=options.unsure_fraction,
        fresh_bytes=options.fresh_bytes,
    )
    buffer.audit_fraction = float(store.fact(AUDIT_FRACTION) or 0.0)
    return buffer


def _ledger(settings: AgentSettings, store: Store, record: Record, outbox: Outbox) -> Ledger:
    windows = Windows(seconds=settings.window.seconds, images=settings.window.images, runtime=runtime_name())
    options = settings.record
    return Ledger(store, record, outbox, windows, images=options.commit_images, seconds=options.commit_seconds)


def _shadow(settings: AgentSettings, ledger: Ledger, metrics: Metrics, failed: list[tuple[str, str]]) -> ShadowRunner:
    options = settings.shadow
    return ShadowRunner(
        record=ledger.append_shadow,
        count=lambda result: metrics.shadow_images.labels(result).inc(),
        disabled=lambda bundle_hash, reason: failed.append((bundle_hash, reason)),
        timeout_seconds=options.timeout_seconds,
        slower_than_active=options.slower_than_active,
        failures_allowed=options.failures_allowed,
    )


CRASH = "crash.txt"
"""File in the state folder that tells how a process ended."""

AUDIT_FRACTION = "audit_fraction"
"""Name under which the audit's share is remembered over restarts."""
