"""The agent's ways to the outside, made from its settings: broker, registry, uploads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from contracts.access import secret
from contracts.errors import ConfigurationError
from contracts.telemetry import Birth
from edge_agent.broker import Address
from edge_agent.carried import BASE, FolderFetcher
from edge_agent.core import Core
from edge_agent.follower import Follower
from edge_agent.luggage import Luggage
from edge_agent.sampling import Sampler
from edge_agent.settings import AgentSettings, BrokerSettings, MonitorSettings
from edge_agent.updates import UpdateClient
from edge_agent.uplink import Uplink
from edge_agent.upload import ImageUploader


def make_uplink(
    settings: AgentSettings,
    broker: BrokerSettings,
    core: Core,
    *,
    birth: Callable[[], Birth],
    on_states: Callable[[Mapping[str, str]], None],
) -> Uplink:
    """Telemetry out, acknowledgements and orders in."""
    return Uplink(
        core.outbox,
        Address.of(broker),
        site=settings.site,
        agent=settings.agent,
        birth=birth,
        on_order=core.orders.receive,
        on_states=on_states,
        resend_seconds=broker.resend_seconds,
        longest_wait_seconds=broker.longest_wait_seconds,
        courtesy=core.station.courtesy,
    )


def make_client(settings: AgentSettings, monitor: MonitorSettings, *, folder: Path | None = None) -> UpdateClient:
    """The registry's client, with its memory in `folder`, by default the agent's own.

    Raises ConfigurationError where the root of trust cannot be read.
    """
    url, token = (monitor.url or "").rstrip("/"), secret(monitor.token, monitor.token_file)
    return UpdateClient(
        folder or settings.state_folder / "updates",
        settings.site,
        f"{url}/registry/metadata/",
        f"{url}/registry/targets/",
        trusted_root(monitor),
        headers=None if token is None else {"Authorization": f"Bearer {token}"},
        ca_file=_text(monitor.ca_file),
    )


def trusted_root(monitor: MonitorSettings) -> bytes:
    """What all trust starts from. Raises ConfigurationError where it cannot be read."""
    try:
        return monitor.root_file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {monitor.root_file}: {error.strerror}; copy the registry's root.json there"
        ) from error


def make_follower(settings: AgentSettings, monitor: MonitorSettings, core: Core) -> Follower:
    """Bundles in. Raises ConfigurationError where the root of trust cannot be read."""
    root = trusted_root(monitor)
    client = None if monitor.url is None else make_client(settings, monitor)
    return Follower(
        client,
        core.bundles,
        core.shadow,
        core.orders,
        core.store,
        poll_seconds=monitor.poll_seconds,
        luggage=Luggage(luggage_folder(settings), lambda place: open_copy(settings, root, place)),
        received=lambda: 0 if client is None else client.received_bytes,
    )


def luggage_folder(settings: AgentSettings) -> Path:
    """Where people's sticks are copied to."""
    return settings.state_folder / "luggage"


def open_copy(settings: AgentSettings, root: bytes, place: Path) -> UpdateClient:
    """A client of a copied repository, with the same memory and floor as over the network."""
    return UpdateClient(
        settings.state_folder / "updates",
        settings.site,
        f"{BASE}metadata/",
        f"{BASE}targets/",
        root,
        fetcher=FolderFetcher(place),
    )


def make_sampler(settings: AgentSettings, monitor: MonitorSettings, core: Core) -> Sampler:
    """Images out, for labelling."""
    token = secret(monitor.token, monitor.token_file)
    uploader = ImageUploader((monitor.url or "").rstrip("/"), token=token, ca_file=_text(monitor.ca_file))
    return Sampler(
        core.store,
        core.record,
        core.buffer,
        core.orders,
        uploader,
        site=settings.site,
        agent=settings.agent,
        count=lambda result: core.metrics.uploads.labels(result).inc(),
        courtesy=core.station.courtesy,
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
