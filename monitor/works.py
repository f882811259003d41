"""All parts of a monitor, wired around one store; nothing runs yet. `service` has the threads, tests have their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from contracts.errors import ConfigurationError
from monitor.actions import Actions
from monitor.agent_events import AgentEvents
from monitor.benchmarks import BenchmarkDesk
from monitor.blobs import Blobs
from monitor.bundles import BundleShelf
from monitor.candidates import Candidates
from monitor.carried import Carried
from monitor.desk import Desk
from monitor.fleet import Fleet
from monitor.ingest import Ingest
from monitor.judging import Judging
from monitor.label_check import LabelCheck
from monitor.label_desk import LabelDesk
from monitor.loop import Loop
from monitor.orders import OrderDesk
from monitor.people import People, pseudonym_key
from monitor.publishing import Publishing
from monitor.registry import Registry
from monitor.retention import Retention
from monitor.retrain_desk import RetrainDesk
from monitor.retraining import Retraining
from monitor.rulebook import Rulebook
from monitor.settings import MonitorSettings
from monitor.store.database import Store
from monitor.thresholds import ThresholdDesk
from monitor.trainer_process import Trainer


@dataclass(frozen=True)
class Works:
    """The parts. Each is safe to be called from one thread of its own; `desk` from any."""

    registry: Registry
    store: Store
    blobs: Blobs
    shelf: BundleShelf
    rulebook: Rulebook
    orders: OrderDesk
    ingest: Ingest
    loop: Loop
    fleet: Fleet
    judging: Judging
    label_check: LabelCheck
    retraining: Retraining
    publishing: Publishing
    retention: Retention
    people: People
    desk: Desk

    def close(self) -> None:
        """Let the next monitor in."""
        self.store.close()


def make_works(
    settings: MonitorSettings,
    *,
    on_change: Callable[[], None] = lambda: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Works:
    """Open registry and store and wire everything. `on_change` is called after a person's deed; `stopping` cuts long
    work short.

    Raises ConfigurationError: no registry, no key for a site, another monitor at work, a migration that failed.
    """
    folder = settings.state_folder
    registry = Registry.open(settings.registry)
    if missing := set(settings.sites) - set(registry.sites):
        raise ConfigurationError(
            f"the registry {settings.registry} has no key for site {', '.join(sorted(missing))}; "
            "make it with `lineside monitor init` or give it one with `Registry.add_site`"
        )
    store = Store(folder / "monitor.db")
    blobs = Blobs(str(folder / "blobs"))
    shelf = BundleShelf(folder / "bundles")
    jobs = folder / "jobs"
    orders = OrderDesk(valid_hours=settings.orders.valid_hours, resend_seconds=settings.orders.resend_seconds)
    people = People((rater.name for rater in settings.web.raters), pseudonym_key(folder))
    rulebook = Rulebook(settings.rules_of, Actions(orders))
    candidates = Candidates(rulebook, orders, settings.rollout)
    trainer = Trainer(settings.retraining.command, folder=jobs, threads=settings.retraining.threads)
    ingest = Ingest(store, sites=settings.sites)
    label_check = LabelCheck(store, blobs, rulebook, settings.label_check, jobs=jobs, sites=settings.sites)
    return Works(
        registry=registry,
        store=store,
        blobs=blobs,
        shelf=shelf,
        rulebook=rulebook,
        orders=orders,
        ingest=ingest,
        loop=Loop(store, rulebook, AgentEvents(rulebook, candidates, orders, settings.labels), orders, settings.labels),
        fleet=Fleet(store, settings.fleet),
        judging=Judging(
            store, blobs, shelf, candidates, rulebook, settings, scratch=folder / "scratch", stopping=stopping
        ),
        label_check=label_check,
        retraining=Retraining(store, blobs, shelf, trainer, candidates, rulebook, settings.retraining),
        publishing=Publishing(store, registry, orders, bundles=shelf.folder),
        retention=Retention(store, blobs, settings.retention, jobs=jobs),
        people=people,
        desk=Desk(
            store,
            blobs,
            shelf,
            candidates,
            rulebook,
            BenchmarkDesk(store, orders, rulebook, on_change=on_change),
            Carried(store, ingest, on_change=on_change),
            ThresholdDesk(store, orders, rulebook, on_change=on_change),
            LabelDesk(store, rulebook, people, settings=settings.labels, on_change=on_change),
            RetrainDesk(store, rulebook, on_change=on_change),
            label_check,
            sites=settings.sites,
            on_change=on_change,
        ),
    )
