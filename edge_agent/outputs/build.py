"""The outputs of an agent, made from its settings. Nothing is opened here: that is each lane's own business."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from contracts.access import secret
from contracts.errors import ConfigurationError
from edge_agent.broker import Address
from edge_agent.metrics import Metrics
from edge_agent.outputs.folder import FolderOutput
from edge_agent.outputs.gpio import Gpio, find_pins
from edge_agent.outputs.lane import Lane, Letterhead
from edge_agent.outputs.mqtt import Mqtt, heartbeat_maker
from edge_agent.outputs.output import Output
from edge_agent.outputs.settings import (
    CamerasOutput,
    FolderOutputSettings,
    MqttOutput,
    OpcUaSettings,
    OutputSettings,
    OutputsSettings,
    WebhookSettings,
)
from edge_agent.outputs.switchboard import Switchboard
from edge_agent.outputs.triggers import Triggers
from edge_agent.outputs.webhook import Webhook
from edge_agent.settings import AgentSettings
from edge_agent.station import Station


def make_switchboard(
    settings: AgentSettings,
    station: Station,
    metrics: Metrics,
    triggers: Triggers,
    *,
    unready: Callable[[], str | None],
    makes: Callable[[str, str], None] = lambda camera, code: None,
) -> Switchboard:
    """A lane for each configured output. `makes` is called with a camera and the product that a PLC names.

    Raises ConfigurationError where a secret or a plug-in is missing."""
    outputs = settings.outputs
    letterhead = Letterhead(settings.site, settings.agent, outputs.safe_action)
    lanes = [
        Lane(
            output,
            letterhead,
            cameras=_cameras(chosen),
            queue=chosen.queue,
            beat_seconds=outputs.heartbeat_seconds,
            well=lambda: station.under_way.hanging() is None,
            unready=unready,
            count=_counter(metrics, chosen.name),
        )
        for chosen, output in _outputs(settings, station, metrics, triggers, makes)
    ]
    return Switchboard(lanes)


def _outputs(
    settings: AgentSettings,
    station: Station,
    metrics: Metrics,
    triggers: Triggers,
    makes: Callable[[str, str], None],
) -> Iterator[tuple[OutputSettings, Output]]:
    outputs = settings.outputs
    for mqtt in outputs.mqtt:
        yield mqtt, _mqtt(mqtt, settings)
    for folder in outputs.folder:
        yield folder, _folder(folder, metrics)
    for webhook in outputs.webhook:
        yield webhook, _webhook(webhook)
    for plc in outputs.opcua:
        yield plc, _opcua(plc, outputs, triggers, station.deadlines.of(plc.camera), makes)
    for lines in outputs.gpio:
        yield lines, Gpio(lines.name, find_pins(lines.plugin), lines.options, hold_seconds=lines.hold_seconds)


def _cameras(chosen: OutputSettings) -> tuple[str, ...]:
    """Whose answers go there; none: all."""
    if isinstance(chosen, OpcUaSettings):
        return (chosen.camera,)
    return chosen.cameras if isinstance(chosen, CamerasOutput) else ()


def _mqtt(chosen: MqttOutput, settings: AgentSettings) -> Mqtt:
    _readable(chosen.ca_file)
    return Mqtt(
        chosen.name,
        chosen.topic or f"lineside/v1/{settings.site}/{settings.agent}/line",
        Address.of(chosen),
        heartbeat=heartbeat_maker(
            settings.site,
            settings.agent,
            every_seconds=settings.outputs.heartbeat_seconds,
            safe_action=settings.outputs.safe_action,
        ),
        timeout_seconds=chosen.timeout_seconds,
    )


def _folder(chosen: FolderOutputSettings, metrics: Metrics) -> FolderOutput:
    quota = metrics.outputs.labels(chosen.name, "quota")
    return FolderOutput(chosen.name, chosen.path, most_files=chosen.most_files, dropped=quota.inc)


def _webhook(chosen: WebhookSettings) -> Webhook:
    return Webhook(
        chosen.name,
        chosen.url,
        secret=secret(chosen.secret, chosen.secret_file),
        ca_file=_readable(chosen.ca_file),
        timeout_seconds=chosen.timeout_seconds,
    )


def _opcua(
    chosen: OpcUaSettings,
    outputs: OutputsSettings,
    triggers: Triggers,
    deadline_seconds: float,
    makes: Callable[[str, str], None],
) -> Output:
    try:
        from edge_agent.outputs.opcua import OpcUa
        from edge_agent.outputs.opcua_server import Door
    except ImportError as error:
        raise ConfigurationError(f"output {chosen.name!r} needs OPC UA: pip install 'lineside[opcua]'") from error
    for file in (chosen.certificate_file, chosen.key_file):
        _readable(file)
    if chosen.trusted_clients is not None and not chosen.trusted_clients.is_dir():
        raise ConfigurationError(
            f"{chosen.trusted_clients} is no folder; see trusted_clients of output {chosen.name!r}"
        )
    door = Door(
        chosen.host,
        chosen.port,
        user=chosen.user,
        password=secret(chosen.password, chosen.password_file),
        certificate_file=chosen.certificate_file,
        key_file=chosen.key_file,
        trusted_clients=chosen.trusted_clients,
    )
    return OpcUa(
        chosen.name,
        chosen.camera,
        door,
        triggers,
        deadline_seconds=deadline_seconds,
        camera_latency_seconds=chosen.camera_latency_seconds,
        heartbeat_seconds=outputs.heartbeat_seconds,
        safe_action=outputs.safe_action,
        makes=makes,
    )


def _counter(metrics: Metrics, name: str) -> Callable[[str], None]:
    return lambda result: metrics.outputs.labels(name, result).inc()


def _readable(path: Path | None) -> str | None:
    """The path of a file that is there. Raises ConfigurationError where it is not."""
    if path is None:
        return None
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}; see [outputs]") from error
    return str(path)
