"""The agent, put together: one process, a thread for each thing that waits on the outside."""

from __future__ import annotations

import fcntl
import logging
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from prometheus_client import CollectorRegistry

from contracts.errors import BundleError, ConfigurationError
from drift.camera import CameraHealth
from edge_agent.buffer import ImageBuffer
from edge_agent.inspection import Inspection, Inspector
from edge_agent.ledger import Ledger
from edge_agent.metrics import Metrics
from edge_agent.outbox import Outbox
from edge_agent.push import PushSource
from edge_agent.recent import Recent
from edge_agent.record import Record
from edge_agent.sequences import Sequences
from edge_agent.settings import AgentSettings, secret
from edge_agent.source import Source
from edge_agent.station import Station
from edge_agent.store import Store
from edge_agent.web.app import create_app
from edge_agent.web.inspect import Defaults, inspect_routes
from edge_agent.web.server import WebServer
from edge_agent.window import Windows
from runtime.bundle import open_bundle
from runtime.probe import probe
from runtime.session import runtime_name

_log = logging.getLogger(__name__)


class NoShadow:
    """No bundle runs beside the active one."""

    def offer(self, inspection: Inspection) -> None:
        """Nothing to do."""


def run_agent(
    settings: AgentSettings,
    sources: Sequence[Source] = (),
    *,
    stop: threading.Event | None = None,
    started: Callable[[str], None] = lambda url: None,
) -> None:
    """Run until SIGTERM or SIGINT (in a main thread) or until `stop` is set; `started` gets the page's address.

    State is resumed from `settings.state_folder`. Raises ConfigurationError before anything runs.
    """
    stop = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    agent = Agent(settings, sources)
    try:
        agent.start()
        started(agent.url)
        stop.wait()
    finally:
        agent.close()


class Agent:
    """All parts of one agent; `start` and `close` once each."""

    def __init__(self, settings: AgentSettings, sources: Sequence[Source]) -> None:
        self.settings = settings
        self._lock_file = _claim(settings.state_folder)
        self._stopping = threading.Event()
        self.store = Store(settings.state_folder / "agent.sqlite")
        self.record = Record(self.store)
        self.outbox = Outbox(self.store, agent=settings.agent, max_bytes=settings.outbox.max_bytes)
        self.metrics = Metrics(CollectorRegistry())
        self.recent = Recent()
        self.buffer = ImageBuffer(
            self.store,
            settings.state_folder / "images",
            quota_bytes=settings.buffer.quota_bytes,
            random_fraction=settings.buffer.random_fraction,
            atypical_fraction=settings.buffer.atypical_fraction,
        )
        self.ledger = Ledger(
            self.store,
            self.record,
            self.outbox,
            Windows(seconds=settings.window.seconds, images=settings.window.images, runtime=runtime_name()),
            images=settings.record.commit_images,
            seconds=settings.record.commit_seconds,
        )
        self.station = Station(
            self.ledger,
            health=CameraHealth,
            keeper=self.buffer,
            beside=NoShadow(),
            recent=self.recent,
            metrics=self.metrics,
            trust_faulty_cameras=settings.inspection.on_camera_fault == "model",
        )
        self.sequences = Sequences(self.record.last_sequences())
        self.push = PushSource(length=settings.web.queue, next_sequence=self.sequences.next)
        self.sources: tuple[Source, ...] = (*sources, self.push)
        self._web = WebServer(settings.web.host, settings.web.port)
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """Where the page is."""
        return self._web.url

    def start(self) -> None:
        """Begin to inspect."""
        if self.settings.bundle is not None:
            self._install_by_hand()
        for source in self.sources:
            self._run(f"source {source.name}", self.station.watch, source, self._stopping)
        self._web.start(self._app())

    def close(self) -> None:
        """Stop taking images, commit what was inspected, let go of everything."""
        self._stopping.set()
        for source in self.sources:
            source.close()
        for thread in self._threads:
            thread.join(timeout=10.0)
        self._web.close()
        self.store.close()
        self._lock_file.close()

    def unready(self) -> str | None:
        """Why no image can be inspected now, or None."""
        if self.station.active is None:
            return "no model is installed yet"
        return self.station.unwritable

    def _install_by_hand(self) -> None:
        chosen = self.settings.bundle
        assert chosen is not None
        bundle = open_bundle(chosen.path, expected_hash=chosen.hash)
        if self.settings.production and not bundle.manifest.licence.production:
            raise BundleError(
                f"bundle {bundle.hash[:12]} is not for production; set production = false to use it anyway"
            )
        options = self.settings.inspection
        inspector = Inspector(bundle, variant=options.variant, threads=options.threads)
        probe(bundle, inspector.session)
        self.station.activate(inspector)

    def _run(self, name: str, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _app(self):  # type: ignore[no-untyped-def]
        web = self.settings.web
        routes = inspect_routes(
            self.push,
            defaults=Defaults(camera=web.camera, product=web.product, line=web.line),
            max_bytes=self.settings.inspection.max_image_bytes,
            unready=self.unready,
            count_refused=self.metrics.refused_images.inc,
        )
        return create_app(
            [routes],
            registry=self.metrics.registry,
            refresh_metrics=lambda: None,
            unready=self.unready,
            user=web.user,
            password=secret(web.password, web.password_file),
        )


def _claim(folder: Path) -> IO[str]:
    """One agent for one folder. Raises ConfigurationError where another one runs."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise ConfigurationError(f"another agent is using {folder}; stop it or choose another state_folder") from error
    return file
