"""What images come from and where verdicts go: cameras that open, folders that can be used, servers that listen."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from contracts.errors import LinesideError
from contracts.finding import Finding, fault, ok, warning
from edge_agent.broker import Address
from edge_agent.doctor.broker import Knock, knock
from edge_agent.neighbour import Neighbour
from edge_agent.outputs.settings import WebhookSettings
from edge_agent.settings import AgentSettings
from edge_agent.sources.device import Device, Ended
from edge_agent.sources.making import opener_of
from edge_agent.sources.settings import CameraSettings
from edge_agent.sources.supervisor import OPENING_FACTOR

_SECONDS = 5.0


def cameras(settings: AgentSettings, running: Neighbour | None) -> Iterator[Finding]:
    """Each is opened for one picture; while the agent runs they are its own, and it says how they are."""
    if running is not None:
        yield from _as_the_agent_sees(settings, running)
        return
    for camera in settings.cameras:
        yield _tried(camera)


def _as_the_agent_sees(settings: AgentSettings, running: Neighbour) -> Iterator[Finding]:
    text = running.ask("GET", "/metrics").data.decode("utf-8")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    faults = families.get("lineside_agent_camera_fault")
    state = {} if faults is None else {each.labels["camera"]: each.value for each in faults.samples}
    for name in sorted({*state, *(camera.name for camera in settings.cameras)}):
        if state.get(name):
            yield fault("camera", f"{name} is faulty", "the operator's page says what it is and what to check")
        else:
            yield ok("camera", f"{name} is the running agent's, which finds nothing wrong with it")


def _tried(camera: CameraSettings) -> Finding:
    """Its library may hang for ever: it is tried beside, and left behind."""
    answer: list[str] = []
    seconds = OPENING_FACTOR * camera.silent_seconds
    beside = threading.Thread(target=lambda: answer.append(_first_picture(camera, seconds)), daemon=True)
    started = time.monotonic()
    beside.start()
    beside.join(seconds + _SECONDS)
    shown = f"{camera.name} ({camera.place.shown})"
    if answer == [""]:
        return ok("camera", f"{shown} opens, with a picture after {time.monotonic() - started:.1f} s")
    return fault("camera", f"{shown}: {answer[0] if answer else 'opening it hangs'}", camera.place.advice)


def _first_picture(camera: CameraSettings, seconds: float) -> str:
    """Why there is none; empty where there is one, or where none may come without a trigger."""
    try:
        device = opener_of(camera)()
        try:
            return _grabbed(device, camera, seconds)
        finally:
            device.close()
    except Ended:
        return "it holds no frames"
    except LinesideError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 a camera's library may raise anything, with a password in the text
        return f"its library failed ({type(error).__name__})"


def _grabbed(device: Device, camera: CameraSettings, seconds: float) -> str:
    end = time.monotonic() + seconds
    while camera.trigger != "line" and not device.grab():
        if time.monotonic() > end:
            return f"it opens, and no picture came within {seconds:g} s"
    return ""


def folders(settings: AgentSettings) -> Iterator[Finding]:
    """Watched ones: pictures are moved inside them."""
    for folder in settings.folders:
        yield _usable("folder", folder.path)


def _usable(name: str, path: Path) -> Finding:
    if not path.is_dir():
        return fault(name, f"{path} is no folder", f"install -d -o lineside -g lineside {path}")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return fault(name, f"{path} may not be read and written by this user", f"chown lineside: {path}")
    return ok(name, f"{path} can be read and written")


def outputs(settings: AgentSettings) -> Iterator[Finding]:
    """Where verdicts go."""
    for broker in settings.outputs.mqtt:
        root = broker.topic or f"lineside/v1/{settings.site}/{settings.agent}/line"
        yield from knock(Knock(f"output {broker.name}", Address.of(broker), spoken=[f"{root}/heartbeat"]))
    for folder in settings.outputs.folder:
        yield _usable(f"output {folder.name}", folder.path)
    for webhook in settings.outputs.webhook:
        yield _listens(webhook)
    for plc in settings.outputs.opcua:
        lacks = [file for file in (plc.certificate_file, plc.key_file) if file and not os.access(file, os.R_OK)]
        if lacks:
            yield fault(f"output {plc.name}", f"cannot read {lacks[0]}", "see docs/plc.md for its certificate and key")
        elif not plc.encrypted:
            yield warning(f"output {plc.name}", "OPC UA without encryption, on loopback only", "see docs/plc.md")


def _listens(webhook: WebhookSettings) -> Finding:
    address = urlsplit(webhook.url)
    port = address.port or (443 if address.scheme == "https" else 80)
    shown = f"{address.scheme}://{address.hostname}:{port}"
    try:
        socket.create_connection((address.hostname or "", port), _SECONDS).close()
    except OSError as error:
        remedy = "check its address and the cable; verdicts that wait go on later"
        return fault(f"output {webhook.name}", f"{shown} does not listen: {error}", remedy)
    return ok(f"output {webhook.name}", f"{shown} listens")
