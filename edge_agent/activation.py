"""Bundles on this device: fetch -> verify -> stage -> probe -> switch -> confirm, and the way back.

A bundle that does not pass its probe on this machine is refused for good and the old one stays; one that fails on the
line gives its place back to the one before. Whatever happens here, inspection goes on.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from contracts.channel import Channel, Release
from contracts.errors import BundleError
from contracts.telemetry import Event, EventKind
from edge_agent.engines import Engines
from edge_agent.inspection import Inspector
from edge_agent.loader import Loader
from edge_agent.outbox import Outbox
from edge_agent.pace import check_pace
from edge_agent.probation import Conduct, fault, proven
from edge_agent.shadow import ShadowRunner
from edge_agent.slots import Slots
from edge_agent.station import Station
from edge_agent.store import Store
from edge_agent.thresholds import SignedChoices
from edge_agent.updates import UntrustedError
from runtime.bundle import Bundle

_MOST_DEATHS = 2  # of the agent under one unconfirmed bundle, where nothing tells why
_RELEASES, _REPORTED = "releases", "reported_active"
_log = logging.getLogger(__name__)


class Channels(Protocol):
    """Where the signed channel and the bundles come from; `edge_agent.updates.UpdateClient` fits."""

    def channel(self) -> Channel: ...

    def fetch(self, bundle_hash: str, staging_folder: Path) -> Path: ...


class Bundles:
    """The bundles on this device: loads them, switches between them, and reports every change exactly once."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        slots: Slots,
        station: Station,
        shadow: ShadowRunner,
        loader: Loader,
        *,
        failed_shadows: list[tuple[str, str]],
        engines: Path,
        thresholds: SignedChoices,
        crash: str | None = None,
    ) -> None:
        self._store, self._outbox, self.slots = store, outbox, slots
        self._station, self._shadow, self._loader = station, shadow, loader
        self._answered_before, self._since, self._hung = 0, time.monotonic(), 0
        self._lock = threading.RLock()  # never held while downloading or probing
        self.measured: str | None = None
        """Hash of the bundle that a benchmark needs until it is over."""
        self.thresholds = thresholds
        self._crash = crash  # of a model, which ended the process before this one
        self.others: Callable[[], Iterable[Inspector]] = tuple
        """Bundles that judge beside the active one: those of products."""
        self.of_product: Callable[[str], Path | None] = lambda bundle_hash: None
        """Where the bundle of that hash lies that a product brings along."""
        self._failed_shadows = failed_shadows  # filled by the shadow runner, perhaps on the hot path
        self.engines = Engines(engines, built=self.renew)

    def start(self) -> None:
        """Serve what is installed, or what was before where that does not run."""
        with self._lock:
            self._start()

    def _start(self) -> None:
        deaths = self.slots.note_start()
        if deaths and self._crash is not None:
            self._give_up_active(f"it ended the agent: {self._crash}")
        elif deaths >= _MOST_DEATHS:
            self._give_up_active(f"the agent ended {deaths} times while it was new")
        while (place := self.slots.active()) is not None:
            try:
                inspector = self._loader.load(place, place.name)
            except BundleError as error:
                self._give_up_active(str(error))
                continue
            self._serve(inspector, reason="found active at start")
            return

    @property
    def serving(self) -> str | None:
        """Hash of the bundle that answers now."""
        active = self._station.active
        return None if active is None else active.bundle.hash

    def install(self, client: Channels, release: Release, reason: str) -> bool:
        """Make a release the active one; False where it is refused. Raises LinkError or UntrustedError."""
        self._note_release(release)
        inspector = self._load(client, release.bundle_hash, beside=self._station.active)
        if inspector is None:
            return False
        with self._lock:
            self.slots.switch(release.bundle_hash)
            self._serve(inspector, reason=reason)
        return True

    def install_shadow(self, client: Channels, release: Release) -> bool:
        """Run a release as the shadow; False where it is refused. Raises LinkError or UntrustedError."""
        self._note_release(release)
        inspector = self._load(client, release.bundle_hash)
        if inspector is None:
            return False
        inspector.book = self.thresholds.book(inspector.bundle)
        self._shadow.start(inspector)
        self._report(EventKind.SHADOW_STARTED, release.bundle_hash, f"release {release.number} runs as shadow")
        return True

    def refuse(self, bundle_hash: str, reason: str) -> None:
        """Never run this bundle again, and say so, once."""
        with self._lock:
            if bundle_hash not in self.slots.refused():
                self._report(EventKind.BUNDLE_REFUSED, bundle_hash, reason)
                self.slots.refuse(bundle_hash, reason)

    def obey_refusals(self, channel: Channel) -> None:
        """Refuse what the channel refuses; the monitor knows, so nothing is reported."""
        with self._lock:
            refused = self.slots.refused()
            for refusal in channel.refused:
                if refusal.bundle_hash not in refused:
                    self.slots.refuse(refusal.bundle_hash, refusal.reason)

    def follow_thresholds(self, channel: Channel) -> None:
        """From the next image on the channel's thresholds decide. Raises QuotaError where they cannot be written down;
        those from before go on then."""
        if self.thresholds.follow(channel):
            with self._lock:
                for inspector in (self._station.active, self._shadow.inspector, *self.others()):
                    if inspector is not None:
                        inspector.book = self.thresholds.book(inspector.bundle)

    def prune(self, *, keep: tuple[str, ...]) -> None:
        """Delete bundles that nothing needs."""
        with self._lock:
            self.slots.prune(keep=keep if self.measured is None else (*keep, self.measured))

    def watch(self) -> None:
        """Confirm a bundle that answers, take back one that fails, refuse a shadow that failed."""
        with self._lock:
            while self._failed_shadows:
                bundle_hash, reason = self._failed_shadows.pop()
                self.refuse(bundle_hash, f"as shadow: {reason}")
            self._watch_active()

    def stop(self) -> None:
        """The agent ends in order: that says nothing against the bundle that serves."""
        with self._lock:
            self.slots.note_stop()

    def _watch_active(self) -> None:
        active, pointer = self._station.active, self.slots.pointer
        self._hung += sum(inspector is active for inspector in self._station.under_way.stop())
        if active is not None and pointer is not None and pointer.active == active.bundle.hash:
            self._judge_active(confirmed=pointer.confirmed)
        if (stuck := self._station.under_way.stuck()) is not None:
            raise RuntimeError(f"{stuck}, although it was told to")

    def _judge_active(self, *, confirmed: bool) -> None:
        answered, seconds = self._station.answered - self._answered_before, time.monotonic() - self._since
        conduct = Conduct(answered, seconds, failures=self._station.failures, hung=self._hung)
        previous, reason = self.slots.previous(), fault(conduct)
        if reason is not None and previous is not None:
            self._give_up_active(reason)
            self._start()
        elif not confirmed and proven(conduct, alone=previous is None):
            self.slots.confirm()

    def release_number(self, bundle_hash: str | None) -> int | None:
        """The number people call a bundle by, where the channel has named it."""
        releases: dict[str, int] = json.loads(self._store.fact(_RELEASES) or "{}")
        return releases.get(bundle_hash or "")

    def _load(self, client: Channels, bundle_hash: str, *, beside: Inspector | None = None) -> Inspector | None:
        """fetch -> verify -> stage -> probe, timed `beside` what serves. None, and refused, where the bundle itself is
        at fault."""
        try:
            inspector = self._loader.load(self._stage(client, bundle_hash), bundle_hash)
            if beside is not None:
                check_pace(inspector, beside, between=self._station.courtesy.breathe)
            return inspector
        except UntrustedError:
            raise
        except BundleError as error:
            self.refuse(bundle_hash, str(error))
            return None

    def _stage(self, client: Channels, bundle_hash: str) -> Path:
        """From this device where it is here already (a rollback), else from the registry."""
        incoming = self.slots.incoming / bundle_hash
        try:
            return self.slots.stage(incoming, bundle_hash)
        except BundleError:
            if bundle_hash in self.slots.refused():
                raise
        return self.slots.stage(client.fetch(bundle_hash, self.slots.incoming), bundle_hash)

    def _serve(self, inspector: Inspector, *, reason: str) -> None:
        self._answered_before, self._since, self._hung = self._station.answered, time.monotonic(), 0
        inspector.book = self.thresholds.book(inspector.bundle)
        self._station.activate(inspector)
        selection = inspector.selection
        served = f"{inspector.bundle.hash} {inspector.session.variant}"
        if self._store.fact(_REPORTED) != served:
            told = f"{reason}; {selection.note}" if selection is not None and selection.note else reason
            details = {} if selection is None else selection.details
            with self._store.transaction():
                self._report(EventKind.BUNDLE_ACTIVATED, inspector.bundle.hash, told, details)
                self._store.remember(_REPORTED, served)
        self.build_engines(inspector)

    def build_engines(self, inspector: Inspector) -> None:
        """Begin with what another variant of this bundle needs to serve; returns at once."""
        for variant in () if inspector.selection is None else inspector.selection.unbuilt:
            self.engines.want(inspector.bundle, variant)

    def renew(self, bundle: Bundle) -> None:
        """Choose again among the variants of the serving bundle: one more can serve. Where that fails, the variant that
        serves goes on."""
        if self.serving != bundle.hash:
            return
        try:
            inspector = self._loader.load(bundle.path, bundle.hash)
        except BundleError as error:
            _log.warning("bundle %s keeps its variant: %s", bundle.hash[:12], error)
            return
        with self._lock:
            if self.serving == bundle.hash:
                self._serve(inspector, reason="an engine was built on this device")

    def place(self, bundle_hash: str) -> Path | None:
        """Where a bundle lies that may run here: the one that serves, the shadow, the one before; None elsewhere."""
        with self._lock:
            active = self._station.active
            if active is not None and active.bundle.hash == bundle_hash:
                return active.bundle.path
            return self.slots.find(bundle_hash) or self._elsewhere(bundle_hash)

    def _elsewhere(self, bundle_hash: str) -> Path | None:
        """A bundle that a product brings along, unless it is refused."""
        return None if bundle_hash in self.slots.refused() else self.of_product(bundle_hash)

    def prefer(self, bundle_hash: str, variant: str, why: str) -> None:
        """Serve another variant of the bundle that serves. Raises BundleError where it does not prove itself; the
        variant that serves goes on then."""
        place = self.place(bundle_hash)
        if place is None or self.serving != bundle_hash:
            raise BundleError(f"bundle {bundle_hash[:12]} no longer serves")
        inspector = self._loader.load_variant(place, bundle_hash, variant, why=why)
        with self._lock:
            if self.serving == bundle_hash:
                self._serve(inspector, reason=why)

    def _give_up_active(self, reason: str) -> None:
        """Refuse the active bundle and go back to the one before it, if any."""
        active = self.slots.active()
        if active is None:
            return
        _log.error("bundle %s goes back: %s", active.name[:12], reason)
        went_back = self.slots.go_back() is not None
        self.refuse(active.name, reason)
        if went_back:
            self._report(EventKind.BUNDLE_ROLLED_BACK, active.name, reason)

    def _note_release(self, release: Release) -> None:
        releases: dict[str, int] = json.loads(self._store.fact(_RELEASES) or "{}")
        if releases.get(release.bundle_hash) != release.number:
            self._store.remember(_RELEASES, json.dumps({**releases, release.bundle_hash: release.number}))

    def _report(
        self, kind: EventKind, bundle_hash: str, reason: str, details: Mapping[str, object] | None = None
    ) -> None:
        number = self.release_number(bundle_hash)
        details = {**(details or {}), **({} if number is None else {"release": number})}
        self._outbox.add(
            Event(event=kind, at=datetime.now(UTC), bundle_hash=bundle_hash, reason=reason[:1000], details=details)
        )
