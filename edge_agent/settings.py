"""The agent's configuration file (TOML), read once at the door. Every unit is in the name; unknown keys are errors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from contracts.access import BrokerAccess, is_loopback
from contracts.frame import Probability
from contracts.names import Label, Name
from contracts.settings import Settings
from edge_agent.outputs.settings import OutputsSettings
from edge_agent.parts.settings import PartSettings
from edge_agent.products.settings import BundleSettings as BundleSettings
from edge_agent.products.settings import ChangeoverSettings, ProductSettings
from edge_agent.sources.settings import CameraSettings, ImageBrokerSettings
from edge_agent.web.clients import ClientSettings

MEGABYTE = 1_000_000


class InspectionSettings(Settings):
    """How images are inspected."""

    threads: int = Field(default=1, ge=1, le=64, description="threads of one inference")
    variant: str | None = Field(
        default=None, description="for example onnxruntime-cpu/fp32; default: the fastest that may serve here"
    )
    on_camera_fault: Literal["no-verdict", "model"] = Field(
        default="no-verdict",
        description="what a part gets while its camera is black, frozen, saturated, covered or out of focus",
    )
    watch_focus: bool = Field(
        default=True,
        description="learn each camera's focus from its first 100 pictures of a product; `false` forgets it",
    )
    silent_after_seconds: float | None = Field(
        default=None, gt=0.0, description="a camera without images for that long is reported dead; default: never"
    )
    max_image_bytes: int = Field(default=32 * MEGABYTE, ge=1)
    deadline_seconds: float = Field(
        default=10.0, gt=0.0, le=3600.0, description="from trigger to answer; a later one is no verdict"
    )
    camera_deadline_seconds: dict[Name, Annotated[float, Field(gt=0.0, le=3600.0)]] = Field(
        default={}, description="of cameras that need another deadline: `{ camera-1 = 0.5 }`"
    )

    highest_ng: Probability = Field(
        default=0.999, description="signed thresholds that call NG only above it are refused, whoever signed them"
    )

    @property
    def silent_after(self) -> timedelta | None:
        """As a duration."""
        return None if self.silent_after_seconds is None else timedelta(seconds=self.silent_after_seconds)


class WindowSettings(Settings):
    """How much one telemetry window sums up: `seconds` of the frame clock, or `images` where that is set."""

    seconds: float = Field(default=60.0, gt=0.0)
    images: int | None = Field(default=None, ge=1)


class RecordSettings(Settings):
    """The append-only record of verdicts. At most `commit_images` or `commit_seconds` wait for the next commit."""

    retention_days: float = Field(default=365.0, gt=0.0)
    commit_images: int = Field(default=20, ge=1, le=1000)
    commit_seconds: float = Field(default=0.2, gt=0.0, le=10.0)


class OutboxSettings(Settings):
    """Telemetry that the monitor has not acknowledged yet."""

    max_bytes: int = Field(default=64 * MEGABYTE, ge=100_000)


class BufferSettings(Settings):
    """Images kept for labelling and replay: a random share of all, and on top of it those that are worth a label."""

    quota_bytes: int = Field(
        default=500 * MEGABYTE,
        ge=0,
        description="half of it for the random share, a tenth for those somebody contradicted, a fifth each for"
        " atypical and unsure ones; what one of them does not need, the others may use",
    )
    random_fraction: Probability = Field(
        default=0.1, description="share of images that random draws take from; nothing else is picked from it"
    )
    retention_days: float = Field(default=90.0, gt=0.0)
    atypical_fraction: Probability = Field(default=0.02, description="share of images kept for being far from the rest")
    unsure_fraction: Probability = Field(
        default=0.02, description="share of images kept because their scores are the nearest to the threshold"
    )
    fresh_bytes: int = Field(
        default=8 * MEGABYTE,
        ge=0,
        description="memory for the newest images that are not kept: one is kept after all when somebody says that its"
        " verdict is wrong. Cameras that deliver raw pixels (2 megapixels are 6 MB) need more",
    )


class ShadowSettings(Settings):
    """The shadow bundle runs beside the active one; it is switched off when it hangs or is far slower."""

    timeout_seconds: float = Field(default=2.0, gt=0.0)
    slower_than_active: float = Field(default=10.0, gt=1.0, description="mean latency, times the active bundle's")
    failures_allowed: int = Field(default=20, ge=1, description="in a row")


class WebSettings(Settings):
    """The agent's HTTP door. Beyond loopback it needs a password; programs better have keys of their own."""

    host: str = "127.0.0.1"
    port: int = Field(default=8090, ge=0, le=65535, description="0: any free port")
    user: str = "operator"
    password: SecretStr | None = None
    password_file: Path | None = None
    clients: tuple[ClientSettings, ...] = Field(default=(), description="programs with a key of their own")
    queue: int = Field(default=8, ge=1, le=1000, description="images waiting; more are refused with 503")
    workers: int = Field(
        default=2, ge=1, le=64, description="images inspected at once; verdicts keep the order in which they came"
    )
    most_pairs: int = Field(default=200, ge=1, description="pairs of camera and product that images may name")
    camera: Name = Field(default="camera-1", description="of images that do not say")
    product: Name = "default"
    line: Name = "line-1"

    @model_validator(mode="after")
    def _closed(self) -> WebSettings:
        if not is_loopback(self.host) and self.password is None and self.password_file is None:
            raise ValueError(
                f"{self.host} can be reached from other machines: set password_file, or host = '127.0.0.1'"
            )
        for what in ("name", "key_sha256"):
            values = [getattr(client, what) for client in self.clients]
            if twice := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"two clients have the {what} {twice[0]!r}; each needs its own")
        return self


class FolderSettings(Settings):
    """A watched folder; images go to its sub-folders `done/` and `unreadable/`."""

    path: Path
    camera: Name = "folder"
    product: Name = "default"
    line: Name = "line-1"
    view: Name = "top"
    scan_seconds: float = Field(default=0.5, gt=0.0)
    settle_seconds: float = Field(default=1.0, ge=0.0, description="a file that young may still be being written")
    live: bool = Field(default=False, description="a camera writes here: deadlines count from a file's own time")


class BrokerSettings(BrokerAccess):
    """Where telemetry goes (MQTT 3.1.1)."""

    resend_seconds: float = Field(default=15.0, gt=0.0, description="without an acknowledgement")
    longest_wait_seconds: float = Field(default=30.0, ge=1.0, description="between attempts to connect")


class MonitorSettings(Settings):
    """The monitor's HTTP door: signed channel, bundles, image uploads."""

    url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s]+$",
        description="default: none, for a site without a network: releases come with `lineside agent bundle import`",
    )
    token: SecretStr | None = None
    token_file: Path | None = None
    ca_file: Path | None = Field(default=None, description="whose certificates are believed where the url is https")
    root_file: Path = Field(description="the registry's root.json, brought here by hand: what all trust starts from")
    poll_seconds: float = Field(default=5.0, gt=0.0)


class AgentSettings(Settings):
    """Everything an agent needs to know. `state_folder` holds its database, images and bundles."""

    site: Name
    agent: Name
    state_folder: Path
    production: bool = Field(default=True, description="refuse bundles that are not for production")
    inspection: InspectionSettings = InspectionSettings()
    window: WindowSettings = WindowSettings()
    record: RecordSettings = RecordSettings()
    outbox: OutboxSettings = OutboxSettings()
    buffer: BufferSettings = BufferSettings()
    shadow: ShadowSettings = ShadowSettings()
    web: WebSettings = WebSettings()
    broker: BrokerSettings | None = None
    monitor: MonitorSettings | None = None
    bundle: BundleSettings | None = None
    folders: tuple[FolderSettings, ...] = ()
    cameras: tuple[CameraSettings, ...] = ()
    image_brokers: tuple[ImageBrokerSettings, ...] = ()
    parts: tuple[PartSettings, ...] = ()
    products: tuple[ProductSettings, ...] = ()
    changeover: ChangeoverSettings = ChangeoverSettings()
    outputs: OutputsSettings = OutputsSettings()
    extra_labels: tuple[Label, ...] = Field(default=(), description="classes an operator may name that no model knows")

    @model_validator(mode="after")
    def _told_apart(self) -> AgentSettings:
        _once([camera.name for camera in self.cameras], "two cameras are named")
        _once([part.name for part in self.parts], "two parts are named")
        _once([view for part in self.parts for view in part.views], "two parts are seen by")
        _once([code for product in self.products for code in {product.name, *product.codes}], "two products are called")
        if self.changeover.product_from == "line" and not self.products:
            raise ValueError("changeover.product_from = 'line' needs [[products]] that the line can name")
        return self

    @model_validator(mode="after")
    def _triggered(self) -> AgentSettings:
        still = {folder.camera for folder in self.folders if not folder.live}
        for plc in self.outputs.opcua:
            if plc.camera in still:
                raise ValueError(
                    f"outputs.opcua {plc.name!r} triggers camera {plc.camera!r}, which is a folder of pictures of any "
                    "age: set live = true there if a camera writes them"
                )
        return self


def _once(names: Sequence[str], what: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what} {', '.join(twice)}; give each a name, or cameras, of its own")
