"""What `agent.toml` says of cameras and of images that come by MQTT."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from contracts.access import BrokerAccess
from contracts.names import Name
from contracts.settings import Settings
from edge_agent.sources.address import Address, parse_address
from edge_agent.sources.topics import Template


class CameraSettings(Settings):
    """A camera or a video file. What dies is opened again by itself, after 1 s at first, 30 s at most."""

    name: Name
    address: str = Field(
        max_length=2000,
        description="`rtsp://HOST:PORT/PATH`, `usb:0`, `/dev/video0`, a video file, or `genicam:SERIAL`; "
        "never with a password",
    )
    user: str | None = Field(default=None, description="of a network camera")
    password: SecretStr | None = None
    password_file: Path | None = None
    product: Name = "default"
    line: Name = "line-1"
    view: Name = "top"
    trigger: Literal["time", "software", "line"] = Field(
        default="time",
        description="`software`: a picture for each `POST /v1/trigger`; `line`: a GenICam camera's own input",
    )
    every_seconds: float = Field(
        default=1.0, ge=0.0, le=86_400.0, description="between pictures with trigger `time`; 0: every frame"
    )
    silent_seconds: float = Field(
        default=10.0, gt=0.0, le=600.0, description="without a frame or an answer for that long it is opened again"
    )
    at_end: Literal["stop", "again"] = Field(default="stop", description="of a video file")
    width: int | None = Field(default=None, ge=16, le=32_768, description="of a USB camera's frames, with height")
    height: int | None = Field(default=None, ge=16, le=32_768)
    producer: Path | None = Field(default=None, description="the maker's `.cti` file, of a GenICam camera")
    pixel_format: str | None = Field(
        default=None, max_length=64, description="to be set on a GenICam camera, for example `RGB8` or `Mono8`"
    )
    trigger_source: str = Field(default="Line0", max_length=64, description="of a GenICam camera with trigger `line`")

    @property
    def place(self) -> Address:
        """Where it is."""
        return parse_address(self.address)

    @model_validator(mode="after")
    def _fits(self) -> CameraSettings:
        kind = self.place.kind
        has_password = self.password is not None or self.password_file is not None
        if (self.user is not None) != has_password:
            raise ValueError("user and password_file belong together")
        if self.user is not None and kind != "rtsp":
            raise ValueError("user and password_file are for network cameras (rtsp://)")
        if self.trigger == "line" and kind != "genicam":
            raise ValueError("trigger = 'line' needs a GenICam camera; use 'time' or 'software'")
        if (kind == "genicam") != (self.producer is not None):
            raise ValueError(
                "a GenICam camera has both: address = 'genicam:SERIAL' and producer, its maker's .cti file"
            )
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height belong together")
        return self


class ImageBrokerSettings(BrokerAccess):
    """Images that come as MQTT messages (3.1.1), one file each. It may be another broker than telemetry's."""

    topic: str = Field(
        max_length=1000,
        description="whole levels may be `{camera}`, `{product}` and `{part_id}`: `plant/{camera}/image/{part_id}`",
    )
    reply_topic: str | None = Field(
        default=None,
        max_length=1000,
        description="where each verdict goes, as JSON, with the same levels; default: nowhere",
    )
    camera: Name = Field(default="mqtt", description="where the topic does not say")
    product: Name = "default"
    line: Name = "line-1"
    view: Name = "top"
    queue: int = Field(default=8, ge=1, le=1000, description="images waiting; more are lost and counted as dropped")
    most_pairs: int = Field(default=200, ge=1, description="pairs of camera and product that topics may name")
    silent_seconds: float = Field(default=20.0, gt=0.0, le=600.0, description="without an answer of the broker")

    @property
    def images(self) -> Template:
        """Where images come in."""
        return Template(self.topic)

    @property
    def replies(self) -> Template | None:
        """Where verdicts go."""
        return None if self.reply_topic is None else Template(self.reply_topic)

    @model_validator(mode="after")
    def _apart(self) -> ImageBrokerSettings:
        images, replies = self.images, self.replies
        if replies is not None and images.meets(replies):
            raise ValueError("a verdict on reply_topic would come back as an image on topic; choose another")
        return self
