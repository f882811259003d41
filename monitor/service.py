"""The monitor as a service: link, loop, workers and web application around one store.

All it knows is in the store, so it may be killed at any time. A thread that fails ends the service with its error
instead of leaving a monitor that looks well and does nothing.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import OperationalError

from contracts.access import secret
from contracts.errors import LinesideError
from monitor import metrics
from monitor.app import make_app
from monitor.door import Door, hosts_of
from monitor.link import Link
from monitor.settings import MonitorSettings
from monitor.web.pages import Pages
from monitor.works import make_works

BEAT_SECONDS = 0.25
LOOK_SECONDS = 1.0
TICK_SECONDS = 60.0
HOUR_SECONDS = 3600.0
RETRY_SECONDS = 5.0
FORM_BYTES = 1_000_000

_log = logging.getLogger(__name__)


class Monitor:
    """The works, their threads and their door. `run` blocks until `stop` is called or a part fails."""

    def __init__(self, settings: MonitorSettings, *, stop: threading.Event | None = None) -> None:
        self.settings = settings
        self._changed = threading.Event()
        self._stopping = stop or threading.Event()
        self._works = make_works(settings, on_change=self._changed.set, stopping=self._stopping.is_set)
        broker = settings.broker
        self._link = Link(
            self._works.ingest,
            host=broker.host,
            port=broker.port,
            username=broker.user,
            password=secret(broker.password, broker.password_file),
            certificate_authority=str(broker.ca_file) if broker.ca_file else None,
            on_commit=self._changed.set,
        )
        self._failure: BaseException | None = None
        self._troubles: dict[str, str] = {}

    def run(self, *, started: Callable[[str], None] = lambda url: None) -> None:
        """Serve until `stop`. Raises what a part failed with."""
        server = uvicorn.Server(
            uvicorn.Config(
                self._app(),
                host=self.settings.web.host,
                port=self.settings.web.port,
                log_level="warning",
                timeout_graceful_shutdown=5,
            )
        )
        threads = [
            self._thread("loop", self._work_loop),
            self._thread("errands", self._work_errands),
            self._thread("jobs", self._work_jobs),
            self._thread("web", server.run),
        ]
        self._link.start()
        for thread in threads:
            thread.start()
        self._announce(server, started)
        self._stopping.wait()
        server.should_exit = True
        self._changed.set()
        for thread in threads:
            thread.join()
        self._link.stop()
        self._works.label_check.stop()
        self._works.retraining.stop()
        self._works.close()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping.set()

    def _announce(self, server: uvicorn.Server, started: Callable[[str], None]) -> None:
        while not server.started and not self._stopping.is_set():
            time.sleep(0.02)
        if server.started:
            host, port = server.servers[0].sockets[0].getsockname()[:2]
            _log.info("monitor at http://%s:%d", host, port)
            started(f"http://{host}:{port}")

    def _app(self) -> FastAPI:
        web, works = self.settings.web, self._works
        registry = CollectorRegistry()
        metrics.register(registry, self._works.store, dropped_arrivals=lambda: self._link.dropped)
        app = make_app(
            works.store,
            works.blobs,
            works.desk,
            works.registry,
            registry,
            door=Door(
                user=web.user,
                password=secret(web.password, web.password_file),
                agent_token=secret(web.agent_token, web.agent_token_file),
                hosts=hosts_of(web.host, web.allowed_hosts),
                largest_body_bytes=web.max_image_bytes + FORM_BYTES,
                raters={rater.name: rater.key_sha256 for rater in web.raters},
            ),
            max_image_bytes=web.max_image_bytes,
            trouble=self._trouble,
        )
        Pages(works.store, works.blobs, works.shelf, people=works.people, expiries=works.registry.expiries).attach(app)
        return app

    def _trouble(self) -> list[str]:
        broker = self.settings.broker
        away = [] if self._link.connected.is_set() else [f"the broker at {broker.host}:{broker.port} is away"]
        return away + [f"{name}: {why}" for name, why in sorted(self._troubles.items())]

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  the service ends with it, see `run`
                _log.exception("%s failed", name)
                self._failure = self._failure or error
            finally:
                self._stopping.set()
                self._changed.set()

        return threading.Thread(target=run, name=name)

    def _work_loop(self) -> None:
        ticked = time.monotonic()
        while not self._stopping.is_set():
            with self._patience("telemetry"):
                while self._works.loop.step() and not self._stopping.is_set():
                    pass
                if time.monotonic() - ticked >= TICK_SECONDS:
                    ticked = time.monotonic()
                    self._tick()
            self._changed.wait(BEAT_SECONDS)
            self._changed.clear()

    def _tick(self) -> None:
        for site in self.settings.sites:
            with self._works.store.write() as session:
                self._works.rulebook.tick(session, site)
        self._works.fleet.step()

    def _work_errands(self) -> None:
        cleaned = refreshed = -HOUR_SECONDS
        while not self._stopping.wait(BEAT_SECONDS):
            with self._patience("publishing"):
                self._works.publishing.publish_due()
                if time.monotonic() - refreshed >= HOUR_SECONDS:
                    self._works.registry.refresh()
                    refreshed = time.monotonic()
            with self._patience("orders"):
                self._works.orders.send_due(self._works.store, self._link.publish_order)
            if time.monotonic() - cleaned >= HOUR_SECONDS:
                cleaned = time.monotonic()
                with self._patience("retention"):
                    self._works.retention.sweep()

    def _work_jobs(self) -> None:
        looked = -LOOK_SECONDS
        while not self._stopping.wait(BEAT_SECONDS):
            with self._patience("retraining"):
                self._works.retraining.step()
            with self._patience("candidates"):
                self._works.judging.step()
            if time.monotonic() - looked >= LOOK_SECONDS:
                looked = time.monotonic()
                with self._patience("label check"):
                    self._works.label_check.step()

    @contextmanager
    def _patience(self, what: str) -> Iterator[None]:
        """A disk that is full or a registry that needs a person is no reason to end: say so, try again later."""
        try:
            yield
        except (LinesideError, OperationalError, OSError) as error:
            if self._troubles.get(what) != str(error) and not self._stopping.is_set():
                _log.error("%s must wait: %s", what, error)
            self._troubles[what] = str(error)
            self._stopping.wait(RETRY_SECONDS)
        else:
            self._troubles.pop(what, None)


def run_monitor(
    settings: MonitorSettings,
    *,
    stop: threading.Event | None = None,
    started: Callable[[str], None] = lambda url: None,
) -> None:
    """Run the monitor until SIGTERM or SIGINT (in a main thread) or until `stop` is set; `started` gets the address of
    its pages. Raises ConfigurationError before anything runs, and whatever ended one of its threads."""
    monitor = Monitor(settings, stop=stop)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: monitor.stop())
    monitor.run(started=started)
