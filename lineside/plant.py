"""A whole plant on one machine: broker, monitor and agent as child processes, each with its own settings file.

`lineside demo` and `lineside start` run on it. Everything lies in one folder; ports and passwords are drawn when it is
made, and kept.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.settings import Settings, read_settings
from lineside.broker import MONITOR_USER, new_password
from lineside.process import Child, free_port, wait_for_answer, wait_for_port
from lineside.stream.source import StreamSettings
from lineside.toml import write_toml

AGENT = "agent-1"


class Doors(Settings):
    """Ports and passwords of one plant, drawn once."""

    broker_port: int
    monitor_port: int
    agent_port: int
    monitor_password: str
    agent_password: str
    agent_token: str


@dataclass
class Plant:
    """The folder layout and the three services. `start_*` returns once the service answers."""

    folder: Path
    site: str
    doors: Doors
    children: dict[str, Child] = field(default_factory=dict)
    training_threads: int = 2
    components: int | None = None  # of the drift reference of retrained bundles
    tolerant: bool = False  # a service may be gone for a while: somebody kills and restarts it on purpose

    @classmethod
    def make(cls, folder: Path, site: str, *, monitor_port: int | None = None, agent_port: int | None = None) -> Plant:
        """The plant in `folder`, made when it is not there yet. Wanted ports are taken when they are given."""
        file = folder / "doors.toml"
        if not file.exists():
            doors = {
                "broker_port": free_port(),
                "monitor_port": monitor_port or free_port(),
                "agent_port": agent_port or free_port(),
                "monitor_password": new_password(),
                "agent_password": new_password(),
                "agent_token": new_password(),
            }
            write_toml(
                file, doors, comment="Ports and passwords of this plant. Delete the whole folder to draw new ones."
            )
        return cls(folder, site, read_settings(file, Doors))

    @property
    def workspace(self) -> Path:
        """Snapshots, runs and bundles."""
        return self.folder / "workspace"

    @property
    def monitor_url(self) -> str:
        """Where the monitor's pages are."""
        return f"http://127.0.0.1:{self.doors.monitor_port}"

    @property
    def agent_url(self) -> str:
        """Where the operator's page is."""
        return f"http://127.0.0.1:{self.doors.agent_port}"

    def init_registry(self) -> None:
        """Keys and an empty registry, unless they are there."""
        from monitor.registry import Registry

        folder = self.folder / "monitor" / "registry"
        if folder.exists():
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        registry = Registry.init(folder, [self.site])
        (self.folder / "root.json").write_bytes(registry.trusted_root())

    def start_broker(self) -> None:
        """The embedded MQTT broker."""
        users = [
            {"name": MONITOR_USER, "password": self.doors.monitor_password},
            {"name": AGENT, "password": self.doors.agent_password, "site": self.site},
        ]
        config = self._config("broker", {"port": self.doors.broker_port, "users": users})
        child = self._start("broker", "broker", "--config", str(config), "--folder", str(self.folder / "broker"))
        wait_for_port(self.doors.broker_port, child)

    def start_monitor(self, settings: Mapping[str, Any]) -> None:
        """The monitor; `settings` are those that differ from its defaults, by table."""
        retrain = [*_lineside(), "retrain", "--workspace", str(self.workspace), "--threads", str(self.training_threads)]
        retrain.append("--no-evaluate")  # as the plant's first model: nobody waits here for more than a candidate
        if self.components is not None:
            retrain += ["--components", str(self.components)]
        own = {
            "state_folder": self.folder / "monitor",
            "sites": [self.site],
            "broker": self._broker_door(MONITOR_USER, self.doors.monitor_password),
            "web": {"port": self.doors.monitor_port, "agent_token": self.doors.agent_token},
            "retraining": {"command": retrain},
            "label_check": {"command": [*_lineside(), "check", "--workspace", str(self.workspace)]},
        }
        config = self._config("monitor", _merged(own, settings))
        child = self._start("monitor", "monitor", "run", "--config", str(config))
        wait_for_answer(f"{self.monitor_url}/live", child)

    def start_agent(self, settings: Mapping[str, Any], stream: StreamSettings | None = None) -> None:
        """The agent, with a stream to watch or only its own sources."""
        own = {
            "site": self.site,
            "agent": AGENT,
            "state_folder": self.folder / "agent",
            "web": {"port": self.doors.agent_port},
            "broker": self._broker_door(AGENT, self.doors.agent_password),
            "monitor": {
                "url": self.monitor_url,
                "token": self.doors.agent_token,
                "root_file": self.folder / "root.json",
                "poll_seconds": 1.0,
            },
        }
        config = self._config("agent", _merged(own, settings))
        more = []
        if stream is not None:
            more = ["--stream", str(self._config("stream", stream.model_dump(mode="json")))]
        child = self._start("agent", "agent", "--config", str(config), *more)
        wait_for_answer(f"{self.agent_url}/live", child)

    def restart(self, name: str) -> None:
        """Start a service again that was killed, with the settings it had."""
        child = self.children[name]
        child.start()
        if name == "broker":
            wait_for_port(self.doors.broker_port, child)
        else:
            wait_for_answer(f"{self.monitor_url if name == 'monitor' else self.agent_url}/live", child)

    def check(self) -> None:
        """Raise LinesideError when a service has ended by itself."""
        for child in self.children.values():
            child.check()

    def stop(self) -> None:
        """End all services, agent first."""
        for name in ("agent", "monitor", "broker"):
            if name in self.children:
                self.children[name].stop()

    def _broker_door(self, user: str, password: str) -> dict[str, Any]:
        return {"port": self.doors.broker_port, "user": user, "password": password}

    def _config(self, name: str, values: Mapping[str, Any]) -> Path:
        return write_toml(self.folder / "config" / f"{name}.toml", values, comment=f"Settings of the {name}.")

    def _start(self, name: str, *arguments: str) -> Child:
        child = Child(
            name=name,
            command=[*_lineside(), *arguments],
            log=self.folder / "logs" / f"{name}.log",
            environment={"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
        )
        self.children[name] = child
        child.start()
        return child


def _lineside() -> list[str]:
    return [sys.executable, "-m", "lineside"]


def _merged(own: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`more` over `own`, table by table."""
    result = dict(own)
    for key, value in more.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merged(result[key], value) if both else value
    return result
