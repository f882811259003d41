"""Whether the agent runs and can inspect, what would keep it from starting, and who starts it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from contracts.finding import Finding, fault, ok, warning
from edge_agent.neighbour import Neighbour
from edge_agent.settings import AgentSettings

_SECONDS = 5.0
_SHOWN = ("LoadState", "ActiveState", "UnitFileState", "NRestarts", "ExecStart")


def agent(neighbour: Neighbour) -> Iterator[Finding]:
    """What the running one says."""
    answer = neighbour.ask("GET", "/ready", seconds=_SECONDS)
    try:
        reason = json.loads(answer.data).get("reason")
    except (ValueError, AttributeError):
        reason = f"what answers at {neighbour.url} is no agent"
    if answer.status == 200:
        yield ok("agent", f"runs and can inspect: {neighbour.url}")
    else:
        yield fault("agent", f"runs and cannot inspect: {reason}", "mend what it names; the page says more")
    for trouble in neighbour.ask("GET", "/v1/troubles", seconds=_SECONDS).json()["troubles"]:
        yield warning("agent", trouble["text"], "it says what to check; the page says it in your language")


def ports(settings: AgentSettings) -> Iterator[Finding]:
    """Those that the agent will listen on."""
    wanted = [("agent", settings.web.host, settings.web.port)]
    wanted += [(f"output {plc.name}", plc.host, plc.port) for plc in settings.outputs.opcua]
    for name, host, port in wanted:
        yield _free(name, host, port)


def _free(name: str, host: str, port: int) -> Finding:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            remedy = f"see who has it: ss -ltnp 'sport = :{port}'; or choose another port"
            return fault(name, f"cannot listen on {host}:{port}: {error.strerror}", remedy)
    return ok(name, f"does not run now; {host}:{port} is free for it")


def unit(name: str, config: Path) -> Iterator[Finding]:
    """Of systemd."""
    program = shutil.which("systemctl")
    if program is None or not Path("/run/systemd/system").is_dir():
        yield ok("service", "systemd does not run here; somebody else starts the agent")
        return
    query = [program, "show", name, *(f"--property={each}" for each in _SHOWN)]
    told = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30)
    values = dict(line.partition("=")[::2] for line in told.stdout.splitlines())
    yield _judged(name, config, values)


def _judged(name: str, config: Path, values: dict[str, str]) -> Finding:
    """`values`: what `systemctl show` tells of the unit."""
    if values.get("LoadState") != "loaded":
        remedy = "cp deploy/systemd/lineside-agent.service /etc/systemd/system/; systemctl enable --now lineside-agent"
        return fault("service", f"there is no {name}", remedy)
    if str(config) not in values.get("ExecStart", "") and str(config.resolve()) not in values.get("ExecStart", ""):
        return warning("service", f"{name} does not use {config}", "ask the doctor about the file that it uses")
    if values.get("ActiveState") != "active":
        remedy = f"journalctl -u {name} -n 50 says why; then systemctl start {name}"
        return fault("service", f"{name} is {values.get('ActiveState')}", remedy)
    if values.get("UnitFileState") != "enabled":
        return warning("service", f"{name} is not started with the box", f"systemctl enable {name}")
    restarts = int(values.get("NRestarts") or 0)
    if restarts > 3:
        return warning("service", f"{name} was restarted {restarts} times", f"journalctl -u {name} -n 200 says why")
    return ok("service", f"{name} runs and is started with the box")
