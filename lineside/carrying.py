"""Sites without a network: what is put on a stick and taken off it, at the monitor and at the station."""

from __future__ import annotations

import getpass
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import urllib3
from rich.console import Console

from contracts.access import is_loopback, secret
from contracts.errors import ConfigurationError, LinesideError, LinkError
from contracts.settings import read_settings
from contracts.stick import Stick
from contracts.telemetry import Ack
from runtime.durable import write_durably

_PIECE = 500  # messages of one file
_PATIENCE_SECONDS = 180.0
_console = Console(highlight=False, soft_wrap=True)


def run_bundle_import(place: Path, config: Path, *, wait: float) -> bool:
    """`lineside agent bundle import`; returns whether the release serves, or waits for the agent to start."""
    from edge_agent.links import luggage_folder, trusted_root
    from edge_agent.luggage import lay_down, outcome
    from edge_agent.neighbour import Neighbour
    from edge_agent.settings import AgentSettings

    settings = read_settings(config, AgentSettings)
    if settings.monitor is None:
        raise ConfigurationError(
            f"{config} has no [monitor] with root_file: nothing can be believed, so nothing is loaded"
        )
    trusted_root(settings.monitor)
    folder = luggage_folder(settings)
    name = lay_down(_repository(place, settings.site), folder, site=settings.site)
    if not Neighbour(settings).runs:
        _console.print("[yellow]![/] the agent does not run; it looks at this when it starts")
        return True
    told = _until(lambda: outcome(folder, name), wait)
    if told is None:
        raise LinesideError(f"the agent has not answered within {wait:.0f} s; see its page and log")
    _console.print(f"{'[green]✓[/]' if told.followed else '[red]✗[/]'} {told.text}", markup=True)
    return bool(told.followed)


def _repository(place: Path, site: str) -> Path:
    """The stick itself, or the folder of a repository on it."""
    for folder in (Stick(place, site).repository, place / "repository", place):
        if (folder / "metadata").is_dir():
            return folder
    raise ConfigurationError(f"{place} holds no signed repository for {site}; make one with `lineside monitor export`")


def _until(reached: Callable[[], Any], seconds: float) -> Any:
    end = time.monotonic() + seconds
    while (found := reached()) is None and time.monotonic() < end:
        time.sleep(0.1)
    return found


def run_telemetry_export(place: Path, config: Path) -> None:
    """`lineside agent telemetry export`: acknowledgements off the stick, waiting messages onto it."""
    from edge_agent.neighbour import Neighbour
    from edge_agent.settings import AgentSettings

    settings = read_settings(config, AgentSettings)
    stick, agent = Stick(_mounted(place), settings.site), Neighbour(settings)
    acks = [ack.model_dump(mode="json") for ack in stick.acks(settings.agent)]
    gone = agent.tell("/v1/outbox/acks", {"acks": acks})["acknowledged"] if acks else 0
    folder = stick.telemetry(settings.agent)
    folder.mkdir(parents=True, exist_ok=True)
    stale, stamp = sorted(folder.glob("*.jsonl")), f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    number, after, waiting = 0, 0, 0
    while True:
        told = agent.tell("/v1/outbox/messages", {"after": after, "limit": _PIECE})
        waiting = told["waiting_messages"]
        if not told["messages"]:
            break
        lines = [_line(message) for message in told["messages"]]
        write_durably(folder / f"{stamp}-{number // _PIECE:05d}.jsonl", ("\n".join(lines) + "\n").encode())
        number, after = number + len(lines), told["next"]
    for path in stale:  # all of it was acknowledged, or has just been written anew
        path.unlink()
    _console.print(f"[green]✓[/] {gone} messages acknowledged, {number} of {waiting} waiting ones are on {place}")
    if number < waiting:
        _console.print("  the rest goes with the next stick, once these are acknowledged")


def run_monitor_export(place: Path, config: Path, *, site: str | None, days: float) -> None:
    """`lineside monitor export`: a signed copy of what a site should run."""
    from monitor.registry import Registry
    from monitor.settings import MonitorSettings

    settings = read_settings(config, MonitorSettings)
    registry = Registry.open(settings.registry)
    for name in _sites(settings.sites, site):
        stick = Stick(_mounted(place), name)
        channel = registry.carry(name, stick.repository, valid=timedelta(days=days))
        os.sync()
        _console.print(
            f"[green]✓[/] {name}: channel {channel.sequence}, release {channel.active.number}, "
            f"to be imported within {days:g} days, in {stick.repository}"
        )


def run_monitor_import(place: Path, config: Path, *, site: str | None, by: str | None) -> None:
    """`lineside monitor import`: telemetry off the stick, acknowledgements onto it."""
    from monitor.settings import MonitorSettings

    settings = read_settings(config, MonitorSettings)
    desk, found = _Desk(settings), 0
    for name in _sites(settings.sites, site):
        stick = Stick(_mounted(place), name)
        for agent in stick.speakers():
            count, acks = _import(stick, agent, desk, by or getpass.getuser())
            found += count
            stick.write_acks(agent, acks)
            os.sync()
            _console.print(f"[green]✓[/] {name}/{agent}: {count} messages are stored; take the stick back")
    if found == 0:
        raise ConfigurationError(f"{place} holds no messages; write them with `lineside agent telemetry export`")


def _import(stick: Stick, agent: str, desk: _Desk, by: str) -> tuple[int, tuple[Ack, ...]]:
    """All files of one agent, one after the other; the last acknowledgement of each boot counts."""
    count, acks = 0, {ack.boot: ack for ack in stick.acks(agent)}
    for _, lines in stick.messages(agent):
        for start in range(0, len(lines), _PIECE):
            piece = lines[start : start + _PIECE]
            for told in desk.commit(stick.site, agent, piece, by):
                ack = Ack.model_validate(told)
                acks[ack.boot] = ack
            count += len(piece)
    return count, tuple(acks.values())


class _Desk:
    """The running monitor of these settings."""

    def __init__(self, settings: Any) -> None:
        web = settings.web
        host = web.host if is_loopback(web.host) else "127.0.0.1"
        self._url = f"http://{host}:{web.port}/v1/telemetry"
        password = secret(web.password, web.password_file)
        self._headers = {} if password is None else {"Authorization": f"Bearer {password}"}
        self._pool = urllib3.PoolManager(num_pools=1)

    def commit(self, site: str, agent: str, messages: list[str], by: str) -> list[Any]:
        body = {"site": site, "agent": agent, "messages": messages, "by": by}
        try:
            answer = self._pool.request(
                "POST", self._url, json=body, headers=self._headers, retries=False, timeout=60.0
            )
        except urllib3.exceptions.HTTPError as error:
            raise LinkError(f"no monitor answers at {self._url} ({type(error).__name__}); is it running?") from error
        if answer.status != 200:
            raise LinesideError(f"the monitor refuses: {answer.data[:500].decode('utf-8', errors='replace')}")
        return list(answer.json()["acks"])


def _sites(known: tuple[str, ...], wanted: str | None) -> tuple[str, ...]:
    if wanted is None:
        return known
    if wanted not in known:
        raise ConfigurationError(f"this monitor has no site {wanted!r}; it has {', '.join(known)}")
    return (wanted,)


def _mounted(place: Path) -> Path:
    if not place.is_dir():
        raise ConfigurationError(f"{place} is no folder; is the stick mounted there?")
    return place


def _line(message: Any) -> str:
    return json.dumps(message, separators=(",", ":"))
