"""All sources of an agent, made from its settings."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from contracts.access import secret
from edge_agent.broker import Address
from edge_agent.core import Core
from edge_agent.settings import FolderSettings
from edge_agent.sources.attempt import Attempt
from edge_agent.sources.backoff import Backoff
from edge_agent.sources.camera import CameraSource, Place
from edge_agent.sources.device import Device
from edge_agent.sources.folder import FolderSource
from edge_agent.sources.genicam import Features, camera_opener, producer_of
from edge_agent.sources.mqtt import Limits, MqttSource
from edge_agent.sources.settings import CameraSettings, ImageBrokerSettings
from edge_agent.sources.supervisor import Supervisor
from edge_agent.sources.tray import Pace
from edge_agent.sources.video import file_opener, stream_opener, usb_opener


def make_folder(folder: FolderSettings, core: Core, *, max_bytes: int) -> FolderSource:
    """A watched folder. Raises ConfigurationError where it cannot be used."""
    return FolderSource(
        folder.path,
        camera=folder.camera,
        product=folder.product,
        line=folder.line,
        view=folder.view,
        scan_seconds=folder.scan_seconds,
        settle_seconds=folder.settle_seconds,
        max_bytes=max_bytes,
        live=folder.live,
        next_sequence=core.sequences.next,
        on_record=core.record.has,
    )


def make_cameras(cameras: Sequence[CameraSettings], core: Core) -> dict[str, CameraSource]:
    """Cameras and files by name. Raises ConfigurationError where a library, a producer or a password is missing."""
    return {camera.name: _make_camera(camera, core) for camera in cameras}


def _make_camera(camera: CameraSettings, core: Core) -> CameraSource:
    address = camera.place
    pace = Pace(camera.trigger, camera.every_seconds, every_frame_waits=address.kind == "file")
    source = CameraSource(
        Place(camera.name, camera.product, camera.line, camera.view),
        pace,
        next_sequence=core.sequences.next,
        on_record=core.record.has,
        passed_over=lambda name: core.metrics.frames_passed_over.labels(name).inc(),
        patience_seconds=camera.silent_seconds,
    )
    supervisor = Supervisor(
        f"camera {camera.name} ({address.shown})",
        opener_of(camera),
        seen=source.seen,
        changed=source.wake,
        silent_seconds=camera.silent_seconds,
        must_flow=camera.trigger != "line",
        advice=address.advice,
        backoff=Backoff(rng=random.Random()),
        again=camera.at_end == "again",
        kind=address.kind,
        shown=f"{camera.name} ({address.shown})",
    )
    _report(supervisor, core, lambda: {camera.name})
    source.watch(supervisor)
    return source


def make_image_broker(broker: ImageBrokerSettings, core: Core, *, max_bytes: int) -> MqttSource:
    """Images by MQTT. Raises ConfigurationError where its password cannot be read."""
    source = MqttSource(
        Address.of(broker),
        broker.images,
        broker.replies,
        default=Place(broker.camera, broker.product, broker.line, broker.view),
        limits=Limits(max_bytes, broker.queue, broker.most_pairs),
        next_sequence=core.sequences.next,
        count_refused=core.metrics.refused_images.inc,
        silent_seconds=broker.silent_seconds,
    )
    supervisor = Supervisor(
        f"images by MQTT ({broker.host}:{broker.port})",
        source.open,
        seen=_nothing_seen,
        changed=lambda: None,
        silent_seconds=broker.silent_seconds,
        must_flow=False,
        advice="Check that the broker runs, the network cable, and host, port, user and password_file.",
        backoff=Backoff(rng=random.Random()),
        kind="mqtt",
        shown=f"{broker.host}:{broker.port}",
    )
    _report(supervisor, core, lambda: source.cameras)
    source.watch(supervisor)
    return source


def _nothing_seen(attempt: Attempt, device: Device) -> None:
    """Images come by message."""


def _report(supervisor: Supervisor, core: Core, cameras: Callable[[], set[str]]) -> None:
    """What the supervisor finds out becomes telemetry and shows on the page."""

    def down(why: str) -> None:
        for name in sorted(cameras()):
            core.metrics.camera_restarts.labels(name).inc()
            core.station.report_dead(name, datetime.now(UTC), why)

    def up() -> None:
        for name in sorted(cameras()):
            core.station.report_alive(name, datetime.now(UTC))

    supervisor.down, supervisor.up = down, up


def opener_of(camera: CameraSettings) -> Callable[[], Device]:
    """What opens the camera. Raises ConfigurationError where a library, a producer or a password is missing."""
    address = camera.place
    if address.kind == "rtsp":
        password = secret(camera.password, camera.password_file)
        credentials = None if camera.user is None or password is None else (camera.user, password)
        return stream_opener(address, credentials=credentials, silent_seconds=camera.silent_seconds)
    if address.kind == "usb":
        return usb_opener(address, width=camera.width, height=camera.height)
    if address.kind == "file":
        return file_opener(address, again=camera.at_end == "again")
    features = Features(camera.pixel_format, camera.trigger_source if camera.trigger == "line" else None)
    return camera_opener(producer_of(camera.producer or Path()), address.target, features)
