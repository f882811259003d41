"""Follows the signed channel of the site: what it names is installed, what it refuses is refused."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from contracts.channel import Channel
from contracts.errors import BundleError, ConfigurationError, LinesideError, LinkError
from contracts.orders import Install, Rollback
from edge_agent.activation import Bundles, Channels
from edge_agent.luggage import Luggage
from edge_agent.orders import Orders
from edge_agent.shadow import ShadowRunner
from edge_agent.store import Store
from edge_agent.trouble import Trouble
from edge_agent.updates import UntrustedError

_SEQUENCE = "channel_sequence"
_log = logging.getLogger(__name__)


class Follower:
    """Asks for the channel every few seconds, and at once when an order hints at a new one. Without a `client` it
    follows only what people bring."""

    def __init__(
        self,
        client: Channels | None,
        bundles: Bundles,
        shadow: ShadowRunner,
        orders: Orders,
        store: Store,
        *,
        poll_seconds: float,
        luggage: Luggage | None = None,
        received: Callable[[], int] = lambda: 0,
    ) -> None:
        self._received = received
        self._luggage = luggage
        self._client, self._bundles, self._shadow, self._orders = client, bundles, shadow, orders
        self._store = store
        self._poll_seconds = poll_seconds
        self._hint = threading.Event()
        self.trouble: Trouble | None = None
        """Why the channel cannot be followed now, or None."""

    @property
    def received_bytes(self) -> int:
        """What came from the registry, since the start."""
        return self._received()

    def hint(self, _: Install | Rollback) -> None:
        """Look at the channel now."""
        self._hint.set()

    def run(self, stopping: threading.Event) -> None:
        """Until stopped: look, and do what the channel says."""
        while not stopping.is_set():
            try:
                self.look()
                self.trouble = None
            except (LinesideError, sqlite3.OperationalError, OSError) as error:
                if str(error) != self.trouble:
                    _log.warning("%s", error)
                self.trouble = Trouble(str(error), code=_code(error), details=str(error))
            self._hint.wait(self._poll_seconds)
            self._hint.clear()

    def look(self) -> None:
        """Ask for the channel once, on a stick and over the network, and follow it. Raises LinkError, BundleError,
        QuotaError or OSError where that must wait."""
        if self._luggage is not None:
            self._luggage.unpack(self.follow, self._bundles)
        if self._client is not None:
            self.follow(self._client.channel())

    def wake(self) -> None:
        """For a quick end."""
        self._hint.set()

    def follow(self, channel: Channel, client: Channels | None = None) -> None:
        """Make this device what the channel says; `client`: where its bundles come from, by default the network. Raises
        LinkError or BundleError where that must wait."""
        client = client or self._client
        if client is None:
            raise LinkError("there is nowhere to fetch bundles from")
        self._bundles.obey_refusals(channel)
        self._bundles.follow_thresholds(channel)  # before a bundle that they are for
        refused = self._bundles.slots.refused()
        wanted = channel.active
        if self._bundles.serving != wanted.bundle_hash and wanted.bundle_hash not in refused:
            self._bundles.install(client, wanted, channel.reason)
        self._follow_shadow(channel, client)
        self._store.remember(_SEQUENCE, str(channel.sequence))
        self._answer_orders(channel)
        self._bundles.prune(keep=() if channel.shadow is None else (channel.shadow.bundle_hash,))

    def _follow_shadow(self, channel: Channel, client: Channels) -> None:
        running = self._shadow.inspector
        wanted = channel.shadow
        if wanted is None or wanted.bundle_hash in self._bundles.slots.refused():
            self._shadow.stop()
        elif running is None or running.bundle.hash != wanted.bundle_hash:
            self._bundles.install_shadow(client, wanted)

    def _answer_orders(self, channel: Channel) -> None:
        serving = self._bundles.serving
        hints: list[Install | Rollback] = [*self._orders.open(Install), *self._orders.open(Rollback)]
        for order in hints:
            if order.channel_sequence > channel.sequence:
                if order.expires_at <= datetime.now(UTC):
                    self._orders.fail(order, f"the channel never reached sequence {order.channel_sequence}")
            elif serving == channel.active.bundle_hash:
                self._orders.finish(order, details={"bundle_hash": serving})
            else:
                reason = self._bundles.slots.refused().get(channel.active.bundle_hash, "it is not installed")
                self._orders.fail(order, reason)


def _code(error: LinesideError | sqlite3.OperationalError | OSError) -> str:
    if isinstance(error, UntrustedError):
        return "releases-untrusted"
    if isinstance(error, LinkError):
        return "releases-away"
    return "releases-refused" if isinstance(error, BundleError | ConfigurationError) else "releases-unwritable"


def channel_sequence(store: Store) -> int:
    """The newest channel that this device has followed; 0 before the first."""
    return int(store.fact(_SEQUENCE) or 0)
