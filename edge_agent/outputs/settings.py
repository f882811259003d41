"""The `[outputs]` part of the agent's configuration: where answers go, and what a line does without one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, StringConstraints, model_validator

from contracts.access import BrokerAccess, is_loopback
from contracts.answer import SafeAction
from contracts.names import Name
from contracts.settings import Settings

Topic = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]+(/[A-Za-z0-9_.:-]+)*$", max_length=200)]


class OutputSettings(Settings):
    """What every output has. `name` is how it is called on the page and in metrics."""

    name: Name
    queue: int = Field(default=100, ge=1, le=10_000, description="answers that wait; when full the oldest is dropped")


class CamerasOutput(OutputSettings):
    """An output that may be limited to some cameras."""

    cameras: tuple[Name, ...] = Field(default=(), description="whose answers go there; default: all")


class MqttOutput(BrokerAccess, CamerasOutput):
    """Answers and a retained heartbeat over MQTT 3.1.1, with a broker of its own (it may be the same as `[broker]`)."""

    topic: Topic | None = Field(default=None, description="before /answer; default: lineside/v1/{site}/{agent}/line")
    timeout_seconds: float = Field(default=2.0, gt=0.0, le=60.0, description="for the broker's confirmation")


class FolderOutputSettings(CamerasOutput):
    """One JSON file for each image."""

    path: Path
    most_files: int = Field(default=10_000, ge=1, description="then the oldest go")


class WebhookSettings(CamerasOutput):
    """POST of each answer as JSON. Beyond loopback: https, or at least a signature."""

    url: str = Field(pattern=r"^https?://[^\s@]+$", max_length=2000)
    secret: SecretStr | None = None
    secret_file: Path | None = Field(default=None, description="for the signature in X-Lineside-Signature")
    ca_file: Path | None = Field(default=None, description="whose certificates are believed where the url is https")
    timeout_seconds: float = Field(default=5.0, gt=0.0, le=60.0)

    @model_validator(mode="after")
    def _believable(self) -> WebhookSettings:
        address = urlsplit(self.url)
        unsigned = self.secret is None and self.secret_file is None
        if address.scheme == "http" and not is_loopback(address.hostname or "") and unsigned:
            raise ValueError(f"{address.hostname} is another machine: use https, or set secret_file")
        return self


class OpcUaSettings(OutputSettings):
    """An OPC UA server for one PLC and one camera (extra `[opcua]`): trigger, ready, result, acknowledge. Beyond
    loopback everything is signed and encrypted, and the PLC has a user or a trusted certificate."""

    camera: Name = Field(description="whose next image after a rising Trigger is the part's")
    camera_latency_seconds: float = Field(
        default=0.0, ge=0.0, le=10.0, description="an image that comes sooner was taken before the Trigger"
    )
    host: str = "127.0.0.1"
    port: int = Field(default=4840, ge=1, le=65535)
    user: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    certificate_file: Path | None = Field(default=None, description="of this server, DER or PEM")
    key_file: Path | None = Field(default=None, description="its private key, without a password")
    trusted_clients: Path | None = Field(
        default=None, description="folder of the PLCs' certificates (.der, .pem, .crt, .cer)"
    )

    @property
    def has_user(self) -> bool:
        """Whether a PLC may come with a password."""
        return self.user is not None and (self.password is not None or self.password_file is not None)

    @property
    def encrypted(self) -> bool:
        """Whether the server has a certificate."""
        return self.certificate_file is not None and self.key_file is not None

    @model_validator(mode="after")
    def _closed(self) -> OpcUaSettings:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together: set both or neither")
        if self.trusted_clients is not None and not self.encrypted:
            raise ValueError("trusted_clients needs certificate_file and key_file")
        if not is_loopback(self.host) and not (self.encrypted and (self.has_user or self.trusted_clients)):
            raise ValueError(
                f"{self.host} can be reached from other machines: set certificate_file and key_file, and either user "
                "and password_file or trusted_clients"
            )
        return self


class GpioSettings(CamerasOutput):
    """Signal lines through a plug-in (entry point group `lineside.outputs`)."""

    plugin: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="name of the entry point")
    options: dict[str, str] = Field(default={}, description="handed to the plug-in: chip, numbers of lines, ...")
    hold_seconds: float = Field(default=0.2, gt=0.0, le=60.0, description="how long a result line stays high")


class OutputsSettings(Settings):
    """Ways to the line beside the HTTP reply, any number of each kind. `safe_action` is what the line does with a part
    that nobody has judged in time, and with all parts while no heartbeat comes."""

    safe_action: SafeAction = Field(default=SafeAction.STOP, description="`stop`, `divert` or `manual`")
    heartbeat_seconds: float = Field(default=1.0, ge=0.05, le=60.0)
    mqtt: tuple[MqttOutput, ...] = ()
    folder: tuple[FolderOutputSettings, ...] = ()
    webhook: tuple[WebhookSettings, ...] = ()
    opcua: tuple[OpcUaSettings, ...] = ()
    gpio: tuple[GpioSettings, ...] = ()

    @property
    def all(self) -> tuple[OutputSettings, ...]:
        """Of every kind."""
        return (*self.mqtt, *self.folder, *self.webhook, *self.opcua, *self.gpio)

    @property
    def prompt(self) -> bool:
        """Whether somebody at the line waits for each answer, so that each image is put on record at once."""
        return bool(self.mqtt or self.opcua or self.gpio)

    @model_validator(mode="after")
    def _distinct(self) -> OutputsSettings:
        doubled = [name for name, count in Counter(output.name for output in self.all).items() if count > 1]
        if doubled:
            raise ValueError(f"two outputs are called {doubled[0]!r}; give each a name of its own")
        shared = [camera for camera, count in Counter(plc.camera for plc in self.opcua).items() if count > 1]
        if shared:
            raise ValueError(f"two opcua outputs trigger camera {shared[0]!r}; one PLC triggers a camera")
        return self
