"""Everything about one station, in the order in which somebody would look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from contracts.errors import LinesideError
from contracts.finding import Finding, fault, ok
from contracts.settings import read_settings
from edge_agent.doctor.box import clock, disk, owner, secrets
from edge_agent.doctor.broker import broker, image_brokers
from edge_agent.doctor.devices import cameras, folders, outputs
from edge_agent.doctor.model import model, signatures
from edge_agent.doctor.monitor import monitor
from edge_agent.doctor.service import agent, ports, unit
from edge_agent.neighbour import Neighbour
from edge_agent.settings import AgentSettings

Check = Callable[[], Iterator[Finding]]


def examine(config: Path, *, unit_name: str) -> Iterator[Finding]:
    """One finding after the other. Without readable settings there is nothing else to look at."""
    try:
        settings = read_settings(config, AgentSettings)
        neighbour = Neighbour(settings)
    except LinesideError as error:
        yield fault("settings", str(error), "see docs/settings.md; then ask the doctor again")
        return
    yield ok("settings", f"{config}: agent {settings.agent} of site {settings.site}")
    for name, check in _checks(settings, neighbour, config, unit_name).items():
        yield from _carried_out(name, check)


def _checks(settings: AgentSettings, neighbour: Neighbour, config: Path, unit_name: str) -> dict[str, Check]:
    runs = neighbour.runs
    return {
        "secrets": lambda: secrets(settings, config),
        "state folder": lambda: owner(settings.state_folder),
        "disk": lambda: disk(settings),
        "clock": lambda: clock(settings.state_folder),
        "model": lambda: model(settings, tried_already=runs),
        "signatures": lambda: signatures(settings),
        "broker": lambda: broker(settings),
        "monitor": lambda: monitor(settings),
        "cameras": lambda: cameras(settings, neighbour if runs else None),
        "folders": lambda: folders(settings),
        "images by MQTT": lambda: image_brokers(settings),
        "outputs": lambda: outputs(settings),
        "agent": lambda: agent(neighbour) if runs else ports(settings),
        "service": lambda: unit(unit_name, config),
    }


def _carried_out(name: str, check: Check) -> Iterator[Finding]:
    """What stops one check is a finding of its own; the others go on."""
    try:
        yield from check()
    except LinesideError as error:
        yield fault(name, str(error), "mend what it names; then ask the doctor again")
