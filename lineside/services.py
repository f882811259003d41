"""The services as commands: agent, broker, monitor; and what people ask of a running monitor."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console

from contracts.access import key_digest, new_key
from contracts.errors import ConfigurationError
from contracts.settings import read_settings
from lineside.monitor_door import MonitorDoor


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
    body = {"site": site, "to": to, "reason": reason, "by": "command"}
    answer = MonitorDoor(monitor, token).post("/v1/rollback", body)
    Console(highlight=False, soft_wrap=True).print(f"[green]✓[/] {answer.text}")


def run_monitor_rater(name: str) -> None:
    """`lineside monitor rater`."""
    from monitor.settings import RaterSettings

    key = new_key()
    try:
        rater = RaterSettings(name=name, key_sha256=key_digest(key))
    except ValidationError as error:
        raise ConfigurationError(f"a rater cannot be called {name!r}; use 1 to 128 of A-Z a-z 0-9 _ . : -") from error
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"the key of {name}, shown this once; {name} signs in at /labels with the name and this key:\n")
    console.print(f"    {key}\n")
    console.print("for the monitor's settings; it counts once the monitor is started again:\n")
    console.print(f'[[web.raters]]\nname = "{rater.name}"\nkey_sha256 = "{rater.key_sha256}"')
