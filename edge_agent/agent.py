"""The agent, put together: one process, a thread for each thing that waits on the outside.

Source threads inspect; `pulse` asks the model where nothing else does; `uplink` sends; each output has its own;
`follower`, `sampler`, `replay` and `benchmark` do what the monitor asks; `caretaker` does what is due; `web` answers.
None of them can stop inspection but a full disk, and that says so.
"""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

from contracts.orders import Configure
from contracts.telemetry import Birth
from edge_agent.benchmarking import Benchmarker
from edge_agent.caretaker import take_care
from edge_agent.claim import claim
from edge_agent.core import AUDIT_FRACTION, CRASH, build_core
from edge_agent.crash import written_down
from edge_agent.duties import duties
from edge_agent.feed import Feed
from edge_agent.follower import Follower
from edge_agent.links import make_follower, make_sampler, make_uplink
from edge_agent.memory import give_back_large_pieces, set_aside_what_stays
from edge_agent.outputs.build import make_switchboard
from edge_agent.outputs.together import Together
from edge_agent.outputs.triggers import Triggers
from edge_agent.products.making import make_products
from edge_agent.pulse import Pulse
from edge_agent.replay import Replayer
from edge_agent.sampling import Sampler
from edge_agent.scores import ScoreCounter
from edge_agent.settings import AgentSettings
from edge_agent.source import Capture, Source
from edge_agent.sources.camera import CameraSource
from edge_agent.sources.making import make_cameras, make_folder, make_image_broker
from edge_agent.sources.mqtt import MqttSource
from edge_agent.sources.push import PushSource
from edge_agent.state import birth, refresh_metrics, station_view
from edge_agent.threads import Threads
from edge_agent.trouble import Trouble
from edge_agent.uplink import Uplink
from edge_agent.watchdog import Watchdog
from edge_agent.web.door import web_app
from edge_agent.web.page import StationView
from edge_agent.web.server import WebServer

_SILENT_SECONDS = 60.0  # without an answer of the model, where no service manager says how long


def run_agent(
    settings: AgentSettings,
    sources: Sequence[Source] = (),
    *,
    stop: threading.Event | None = None,
    started: Callable[[str], None] = lambda url: None,
) -> None:
    """Run until SIGTERM or SIGINT (in a main thread) or until `stop` is set; `started` gets the page's address.

    State is resumed from `settings.state_folder`. Raises ConfigurationError or BundleError before anything runs, and
    whatever ended one of its threads: an agent that lost a part of itself ends, to be started again.
    """
    stop = stop or threading.Event()
    give_back_large_pieces()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what is wrong with an image is said to whoever sent it
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    agent = Agent(settings, sources, stop=stop)
    try:
        with written_down(settings.state_folder / CRASH):
            agent.start()
            set_aside_what_stays()
            started(agent.url)
            stop.wait()
    finally:
        agent.close()
    if agent.failure is not None:
        raise agent.failure


class Agent:
    """All parts of one agent; `start` and `close` once each."""

    def __init__(
        self, settings: AgentSettings, sources: Sequence[Source] = (), *, stop: threading.Event | None = None
    ) -> None:
        self.settings = settings
        self.threads = Threads(stop or threading.Event())
        self._started_at = datetime.now(UTC)
        self._stopping = threading.Event()
        self._drift: dict[str, str] = {}
        self._watchdog = Watchdog()
        with ExitStack() as held:
            held.enter_context(claim(settings.state_folder))
            self._web = WebServer(settings.web.host, settings.web.port)
            held.callback(self._web.close)
            self.core = build_core(settings)
            held.callback(self.core.store.close)
            station = self.core.station
            self.pulse = Pulse(lambda: station.active, lambda: station.answered, beat=self._beat)
            self._connect(sources)
            self._held = held.pop_all()

    def _connect(self, sources: Sequence[Source]) -> None:
        """Sources, and the ways to the outside."""
        self.push = PushSource(
            length=self.settings.web.queue,
            next_sequence=self.core.sequences.next,
            waited=self.core.station.courtesy.note_wait,
        )
        settings, core, monitor = self.settings, self.core, self.settings.monitor
        self.triggers = Triggers()
        self.products = make_products(settings, core)
        self.outputs = make_switchboard(
            settings, core.station, core.metrics, self.triggers, unready=self.unready, makes=self.products.makes
        )
        max_bytes = settings.inspection.max_image_bytes
        folders = [make_folder(folder, core, max_bytes=max_bytes) for folder in settings.folders]
        self.cameras = make_cameras(settings.cameras, core)
        self.image_brokers = [make_image_broker(broker, core, max_bytes=max_bytes) for broker in settings.image_brokers]
        self._supervised: tuple[CameraSource | MqttSource, ...] = (*self.cameras.values(), *self.image_brokers)
        self.sources: tuple[Source, ...] = (*sources, *folders, *self._supervised, self.push)
        self.benchmarker = Benchmarker(
            core.store,
            core.orders,
            core.bundles,
            active=lambda: core.station.active,
            threads=settings.inspection.threads,
            fixed=settings.inspection.variant,
        )
        self.scores = ScoreCounter(core.store, core.orders, core.bundles)
        self.uplink: Uplink | None = None
        self.follower: Follower | None = None
        self.sampler: Sampler | None = None
        if settings.broker is not None:
            self.uplink = make_uplink(settings, settings.broker, core, birth=self.birth, on_states=self._note_drift)
        if monitor is not None:
            self.follower = make_follower(settings, monitor, core)
            self.sampler = None if monitor.url is None else make_sampler(settings, monitor, core)

    def _claim(self, capture: Capture) -> Capture:
        """The capture as the part of a trigger that waits for it, and of the product that it shows."""
        return self.products.changeover.assign(self.triggers.claim(capture))

    @property
    def failure(self) -> BaseException | None:
        """What ended one of the threads; `stop` is set then."""
        return self.threads.failure

    @property
    def url(self) -> str:
        """Where the page is."""
        return self._web.url

    def start(self) -> None:
        """Begin to inspect."""
        core = self.core
        self._begin_orders()
        together = Together(core.parts.is_view, self.outputs.tell)
        core.station.tell, core.parts.decided = together.tell, together.decided
        core.ledger.prompt = self.settings.outputs.prompt
        self.outputs.start()
        core.bundles.start()
        if self.settings.bundle is not None and core.station.active is None:
            inspector = core.loader.load(self.settings.bundle.path, self.settings.bundle.hash)
            inspector.book = core.bundles.thresholds.book(inspector.bundle)
            core.station.activate(inspector)
            core.bundles.build_engines(inspector)
        self._inspect()
        self._serve_the_monitor()
        self._web.start(web_app(self))
        self._watchdog.ready()

    def _inspect(self) -> None:
        """Every source, and what its images need."""
        core, run, stopping = self.core, self.threads.run, self._stopping
        if core.parts.active:
            run("parts", core.parts.run, stopping)
        run("engines", core.bundles.engines.run, stopping)
        for source in self.sources:
            if source is not self.push:
                run(f"source {source.name}", core.station.watch, Feed(source, self._claim), stopping)
        run("commits", core.station.commits.keep, stopping)
        feed = Feed(self.push, self._claim)
        watch = partial(core.station.watch, feed, stopping, beside=True)
        for number in range(self.settings.web.workers):
            run(f"source {feed.name} {number + 1}", watch)
        run("pulse", self.pulse.run, stopping)
        if self.settings.products:
            run("products", self.products.shelf.run, stopping)
        run("caretaker", take_care, duties(self.settings, core), stopping)

    def _serve_the_monitor(self) -> None:
        """What it asks, beside the line."""
        core, run, stopping = self.core, self.threads.run, self._stopping
        replayer = Replayer(
            core.store,
            core.outbox,
            core.orders,
            core.buffer,
            active=lambda: core.station.active,
            shadow=lambda: core.shadow.inspector,
        )
        run("replay", replayer.run, stopping)
        run("benchmark", self.benchmarker.run, stopping)
        run("scores", self.scores.run, stopping)
        if self.follower is not None:
            run("follower", self.follower.run, stopping)
        if self.sampler is not None:
            run("sampler", self.sampler.run, stopping)
        if self.uplink is not None:
            core.ledger.committed = self.uplink.wake
            self.uplink.start()

    def close(self) -> None:
        """Stop taking images, commit what was inspected, let go of everything."""
        self._stopping.set()
        self._watchdog.stopping()
        for source in self.sources:
            source.close()
        self._wake()
        self.threads.join()
        if self.failure is None:
            self.core.bundles.stop()
        self.outputs.close()
        self._web.close()
        self.core.shadow.stop()
        if self.uplink is not None:
            self.uplink.close()
        self._held.close()

    def _wake(self) -> None:
        """Whoever waits for something to do sees at once that it is over."""
        core = self.core
        for wake in (core.station.commits.wake, core.bundles.engines.wake, core.parts.wake, self.products.shelf.wake):
            wake()
        self.pulse.wake()
        if self.follower is not None:
            self.follower.wake()

    def unready(self) -> str | None:
        """Why no image can be inspected now, or None."""
        if self._stopping.is_set():
            return "the agent is stopping"
        if self.core.station.active is None:
            return "no model is installed yet"
        return self.core.station.commits.unwritable or self.core.station.under_way.hanging() or self.pulse.trouble

    def ready(self) -> str | None:
        """The same, after the model has been asked."""
        return self.unready() or self.pulse.check()

    def view(self) -> StationView:
        """What the operator's page says."""
        return station_view(self, self._drift, self.troubles())

    def refresh_metrics(self) -> None:
        """Bring gauges up to date before they are read."""
        refresh_metrics(self)

    def birth(self) -> Birth:
        """Full state, for every new connection."""
        return birth(self.settings, self.core, self._started_at)

    def troubles(self) -> list[Trouble]:
        """What is wrong now."""
        found = [
            self.core.station.commits.unwritable,
            self.core.station.under_way.hanging(),
            self.pulse.trouble,
            self.follower and self.follower.trouble,
            self.core.bundles.thresholds.trouble,
            self.products.changeover.trouble,
            self.products.shelf.trouble,
            self.sampler and self.sampler.trouble,
            *(source.trouble for source in self._supervised),
            *self.outputs.troubles(),
        ]
        return [trouble for trouble in found if trouble]

    def _begin_orders(self) -> None:
        """Who carries out which kind of order. Other kinds are picked up where they lie."""
        orders = self.core.orders
        orders.count = lambda kind: self.core.metrics.orders.labels(kind).inc()
        begin: dict[str, Callable[..., None]] = {"configure": self._configure, "replay": lambda order: None}
        begin |= {"benchmark": self.benchmarker.accept, "count-scores": self.scores.accept}
        if self.follower is not None:
            begin |= {"install": self.follower.hint, "rollback": self.follower.hint, "sample": lambda order: None}
        orders.begin = begin

    def _configure(self, order: Configure) -> None:
        with self.core.store.transaction():
            if order.audit_fraction is not None:
                self.core.store.remember(AUDIT_FRACTION, str(order.audit_fraction))
            self.core.orders.finish(order)
        if order.audit_fraction is not None:
            self.core.buffer.audit_fraction = order.audit_fraction

    def _beat(self, last: float | None) -> None:
        """A sign of life for the service manager, fed by completed inferences alone; before the first model there are
        none to wait for."""
        active, longest = self.core.station.active, self._watchdog.seconds or _SILENT_SECONDS
        silent = active is not None and (last is None or time.monotonic() - last > longest / 2)
        if (trouble := self.core.station.under_way.hanging() or self.pulse.trouble) is not None:
            self._watchdog.trouble(trouble)
        elif silent:
            self._watchdog.trouble("the model has not answered for a while")
        elif active is None:
            self._watchdog.alive("no model is installed yet")
        else:
            self._watchdog.alive(f"{self.core.station.answered} images answered by bundle {active.bundle.hash[:12]}")

    def _note_drift(self, states: Mapping[str, str]) -> None:
        self._drift.update({camera: state.lower() for camera, state in states.items()})
