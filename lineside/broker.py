"""The embedded MQTT broker for one machine: amqtt on loopback, with a password and a list of topics for each user.

Plants run Mosquitto (see `deploy/mosquitto/`). This one exists so that a demo or a single box needs no other service.
Nothing relies on it to keep messages: whatever it forgets is sent again from the agents' outboxes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
from pathlib import Path

from contracts.errors import ConfigurationError
from contracts.names import Name
from contracts.settings import Settings

MONITOR_USER = "monitor"


class BrokerUser(Settings):
    """Who may connect. An agent may only speak under its own topics; the monitor hears and answers all of them."""

    name: Name
    password: str
    site: Name | None = None

    def publish_topics(self) -> list[str]:
        """Topic filters that this user may publish to."""
        if self.site is None:
            return ["lineside/v1/+/+/ack", "lineside/v1/+/+/orders"]
        return [f"lineside/v1/{self.site}/{self.name}/{kind}" for kind in ("telemetry", "event", "status")]

    def subscribe_topics(self) -> list[str]:
        """Topic filters that this user may subscribe to."""
        if self.site is None:
            return [f"lineside/v1/+/+/{kind}" for kind in ("telemetry", "event", "status")]
        return [f"lineside/v1/{self.site}/{self.name}/{kind}" for kind in ("ack", "orders")]


class BrokerSettings(Settings):
    """Where the broker listens and who may connect. Loopback only."""

    host: str = "127.0.0.1"
    port: int = 1883
    users: tuple[BrokerUser, ...]


def new_password() -> str:
    """A password of 128 random bits, URL-safe."""
    return secrets.token_urlsafe(16)


def write_password_file(users: tuple[BrokerUser, ...], path: Path) -> None:
    """Write `name:argon2-hash` lines, readable by the owner only."""
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher

    hasher = PasswordHash((Argon2Hasher(),))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        for user in users:
            file.write(f"{user.name}:{hasher.hash(user.password)}\n")


def run_broker(settings: BrokerSettings, folder: Path) -> None:
    """Serve until SIGTERM or SIGINT. `folder` takes the password file. Raises ConfigurationError beyond loopback."""
    if settings.host not in ("127.0.0.1", "localhost", "::1"):
        raise ConfigurationError(
            f"the embedded broker listens on loopback only, not on {settings.host!r}; use Mosquitto (deploy/mosquitto)"
        )
    logging.getLogger("amqtt").setLevel(logging.ERROR)
    logging.getLogger("transitions").setLevel(logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    password_file = folder / "passwords"
    write_password_file(settings.users, password_file)
    asyncio.run(_serve(settings, password_file))


async def _serve(settings: BrokerSettings, password_file: Path) -> None:
    from amqtt.broker import Broker

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    broker = Broker(_amqtt_configuration(settings, password_file))
    await broker.start()
    await stop.wait()
    await broker.shutdown()


def _amqtt_configuration(settings: BrokerSettings, password_file: Path) -> dict[str, object]:
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"{settings.host}:{settings.port}"}},
        "timeout_disconnect_delay": 2,
        "plugins": {
            "amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(password_file)},
            "amqtt.plugins.topic_checking.TopicAccessControlListPlugin": {
                "acl": {user.name: user.subscribe_topics() for user in settings.users},
                "publish_acl": {user.name: user.publish_topics() for user in settings.users},
            },
        },
    }
