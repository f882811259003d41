"""The services as commands: agent, broker, monitor; and what people ask of a running monitor."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from contracts.errors import LinesideError, LinkError
from contracts.settings import read_settings

if TYPE_CHECKING:
    import httpx


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    for noisy in ("httpx", "uvicorn.access", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def run_agent_service(config: Path, stream: Path | None) -> None:
    """`lineside agent`."""
    from edge_agent.agent import run_agent
    from edge_agent.settings import AgentSettings
    from lineside.stream.source import LineSource, StreamSettings

    _log_to_stderr()
    settings = read_settings(config, AgentSettings)
    sources = [LineSource(read_settings(stream, StreamSettings))] if stream else []
    run_agent(settings, sources, started=lambda url: print(f"operator's page: {url}", flush=True))


def run_broker_service(config: Path, folder: Path) -> None:
    """`lineside broker`."""
    from lineside.broker import BrokerSettings, run_broker

    run_broker(read_settings(config, BrokerSettings), folder)


def run_monitor_init(folder: Path, sites: Sequence[str]) -> None:
    """`lineside monitor init`."""
    from monitor.registry import Registry

    registry = Registry.init(folder, list(sites))
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[green]✓[/] registry for {', '.join(sites)} in {folder}")
    console.print(f"  move {folder / 'keys' / 'offline'} to a safe place now: it is not needed to publish releases")
    console.print("  agents start from this root of trust; bring it to them by hand: " + str(folder / "root.json"))
    (folder / "root.json").write_bytes(registry.trusted_root())


def run_monitor_service(config: Path) -> None:
    """`lineside monitor run`."""
    from monitor.service import run_monitor
    from monitor.settings import MonitorSettings

    _log_to_stderr()
    run_monitor(read_settings(config, MonitorSettings))


def run_rollback(monitor: str, *, site: str, to: int | None, reason: str, token: str | None) -> None:
    """`lineside rollback`. Raises LinkError when the monitor is away, LinesideError when it refuses."""
    import httpx

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = {"site": site, "to": to, "reason": reason, "by": "command"}
    try:
        response = httpx.post(f"{monitor}/v1/rollback", json=body, headers=headers, timeout=30.0)
    except httpx.TransportError as error:
        raise LinkError(f"the monitor at {monitor} does not answer ({error}); is it running?") from error
    if not response.is_success:
        raise LinesideError(f"the monitor refused: {_detail(response)}")
    Console(highlight=False, soft_wrap=True).print(f"[green]✓[/] {response.text}")


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.text[:500]}"
