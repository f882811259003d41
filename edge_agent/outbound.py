"""Every connection that this station makes to somewhere else: where to, what for, with whose name, and what has passed.

From the settings and the live state. What is not on this list is not made: nothing else leaves the box.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from edge_agent.outputs.mqtt import Mqtt
from edge_agent.outputs.webhook import Webhook

if TYPE_CHECKING:
    from edge_agent.agent import Agent

Purpose = Literal["telemetry", "releases", "images", "camera", "image-broker", "answers-mqtt", "answers-webhook"]


@dataclass(frozen=True)
class Connection:
    """`up` None: used when needed, and nothing is known to be wrong. Bytes are of contents, without the protocol
    around them, since the start; None where nobody counts."""

    purpose: Purpose
    name: str
    address: str
    credentials: bool
    encrypted: bool
    up: bool | None
    sent_bytes: int | None = None
    received_bytes: int | None = None


def connections(agent: Agent) -> list[Connection]:
    """Of a running agent, in the order of the settings."""
    return [*_telemetry(agent), *_monitor(agent), *_sources(agent), *_answers(agent)]


def _telemetry(agent: Agent) -> Iterator[Connection]:
    broker, uplink = agent.settings.broker, agent.uplink
    if broker is not None and uplink is not None:
        yield Connection(
            "telemetry",
            "",
            f"{broker.host}:{broker.port}",
            credentials=broker.user is not None,
            encrypted=broker.ca_file is not None,
            up=uplink.connected.is_set(),
            sent_bytes=uplink.sent_bytes,
            received_bytes=uplink.received_bytes,
        )


def _monitor(agent: Agent) -> Iterator[Connection]:
    monitor = agent.settings.monitor
    if monitor is None or monitor.url is None or agent.follower is None or agent.sampler is None:
        return
    named = monitor.token is not None or monitor.token_file is not None
    address, encrypted = _server(monitor.url), monitor.url.startswith("https:")
    follower, sampler = agent.follower, agent.sampler
    yield Connection(
        "releases", "", address, named, encrypted, follower.trouble is None, received_bytes=follower.received_bytes
    )
    yield Connection(
        "images", "", address, named, encrypted, False if sampler.trouble else None, sent_bytes=sampler.sent_bytes
    )


def _sources(agent: Agent) -> Iterator[Connection]:
    for camera in agent.settings.cameras:
        if camera.place.kind == "rtsp":
            address = urlsplit(camera.place.shown)
            port = address.port or (322 if address.scheme == "rtsps" else 554)
            yield Connection(
                "camera",
                camera.name,
                f"{address.hostname}:{port}",
                credentials=camera.user is not None,
                encrypted=address.scheme == "rtsps",
                up=agent.cameras[camera.name].trouble is None,
            )
    for broker, source in zip(agent.settings.image_brokers, agent.image_brokers, strict=True):
        yield Connection(
            "image-broker",
            broker.topic,
            f"{broker.host}:{broker.port}",
            credentials=broker.user is not None,
            encrypted=broker.ca_file is not None,
            up=source.trouble is None,
            sent_bytes=source.sent_bytes,
            received_bytes=source.received_bytes,
        )


def _answers(agent: Agent) -> Iterator[Connection]:
    lanes = {lane.output.name: lane for lane in agent.outputs.lanes}
    for broker in agent.settings.outputs.mqtt:
        lane = lanes[broker.name]
        yield Connection(
            "answers-mqtt",
            broker.name,
            f"{broker.host}:{broker.port}",
            credentials=broker.user is not None,
            encrypted=broker.ca_file is not None,
            up=lane.trouble is None,
            sent_bytes=lane.output.sent_bytes if isinstance(lane.output, Mqtt) else None,
        )
    for webhook in agent.settings.outputs.webhook:
        lane = lanes[webhook.name]
        yield Connection(
            "answers-webhook",
            webhook.name,
            _server(webhook.url),
            credentials=webhook.secret is not None or webhook.secret_file is not None,
            encrypted=webhook.url.startswith("https:"),
            up=False if lane.trouble else None,
            sent_bytes=lane.output.sent_bytes if isinstance(lane.output, Webhook) else None,
        )


def _server(url: str) -> str:
    """Host and port; a path or query may be secret."""
    address = urlsplit(url)
    return f"{address.hostname}:{address.port or (443 if address.scheme == 'https' else 80)}"
