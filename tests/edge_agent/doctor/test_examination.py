"""A station is looked at: what is well is said to be, what is planted wrong is found, and nothing changes."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contracts.finding import Finding, Level
from edge_agent.doctor.examination import examine
from edge_agent.doctor.service import _judged
from lineside.main import app
from lineside.toml import write_toml
from monitor.registry import Registry
from monitor.service import Monitor
from monitor.settings import MonitorSettings
from runtime.bundle import Bundle
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.simulators.mosquitto import Mosquitto
from tests.simulators.port import free_port

ROOT = Path(__file__).resolve().parents[3]


def examined(folder: Path, **changes: Any) -> list[Finding]:
    """What the doctor says about a station with these settings."""
    return list(examine(settings_file(folder, **changes), unit_name="none.service"))


def settings_file(folder: Path, **changes: Any) -> Path:
    values = {
        "site": "plant",
        "agent": "agent-1",
        "state_folder": folder / "agent",
        "web": {"port": free_port()},
        **changes,
    }
    return write_toml(folder / "agent.toml", {name: value for name, value in values.items() if value is not None})


def said(findings: list[Finding], name: str) -> list[tuple[Level, str]]:
    return [(finding.level, finding.text) for finding in findings if finding.name == name]


def test_a_station_that_is_well_is_told_so_and_nothing_changes(tmp_path: Path, small_bundle: Bundle) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "inbox").mkdir()
    findings = examined(
        tmp_path,
        bundle={"path": small_bundle.path, "hash": small_bundle.hash},
        folders=[{"path": tmp_path / "inbox"}],
        production=small_bundle.manifest.licence.production,
    )
    assert [finding for finding in findings if finding.level is Level.FAULT] == []
    assert any("answers its golden samples here" in text for _, text in said(findings, "model"))
    assert said(findings, "agent")[0][1].startswith("does not run now")
    assert list((tmp_path / "agent").iterdir()) == []


def test_settings_that_cannot_be_read_are_the_one_finding(tmp_path: Path) -> None:
    findings = examined(tmp_path, webb={"port": 1})
    assert [(finding.name, finding.level) for finding in findings] == [("settings", Level.FAULT)]
    assert "did you mean 'web'" in findings[0].text


def test_every_planted_fault_is_found_with_its_remedy(tmp_path: Path, small_bundle: Bundle) -> None:
    state = tmp_path / "agent"
    state.mkdir()
    (state / "agent.sqlite").touch()
    os.utime(state / "agent.sqlite", (time.time() + 7200,) * 2)
    (tmp_path / "word").write_text("secret\n")
    (tmp_path / "word").chmod(0o644)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        findings = examined(
            tmp_path,
            bundle={"path": small_bundle.path, "hash": "0" * 64},
            web={"port": taken.getsockname()[1], "password_file": tmp_path / "word"},
            broker={"port": free_port()},
            monitor={"url": f"http://127.0.0.1:{free_port()}", "root_file": tmp_path / "root.json"},
            folders=[{"path": tmp_path / "nowhere"}],
            cameras=[{"name": "top", "address": str(tmp_path / "missing.avi"), "silent_seconds": 0.5}],
            outputs={"webhook": [{"name": "hook", "url": f"http://127.0.0.1:{free_port()}/"}]},
            buffer={"quota_bytes": 10**15},
            products=[{"name": "cap", "bundle": {"path": tmp_path / "nothing", "hash": "0" * 64}}],
        )
    level = {finding.name: finding.level for finding in findings if not finding.good}
    warnings = {name for name, found in level.items() if found is Level.WARNING}
    faults = {name for name, found in level.items() if found is Level.FAULT}
    assert warnings == {"secrets", "disk"} | ({"state folder"} & set(level))
    assert faults == {
        "clock", "model", "model of cap", "signatures", "broker", "monitor", "camera", "folder", "output hook", "agent",
    }  # fmt: skip
    assert all(finding.remedy for finding in findings if not finding.good)
    assert "secret" not in " ".join(finding.text for finding in findings if finding.name != "secrets")


@pytest.mark.parametrize("installed", [True, False])
def test_a_running_agent_speaks_for_itself(
    tmp_path: Path, make_agent: MakeAgent, small_bundle: Bundle, *, installed: bool
) -> None:
    agent = make_agent(bundle=small_bundle if installed else None)
    config = settings_file(tmp_path, web={"port": int(agent.url.rpartition(":")[2])})
    told = said(list(examine(config, unit_name="none.service")), "agent")
    if installed:
        assert told == [(Level.OK, f"runs and can inspect: {agent.url}")]
    else:
        assert told == [(Level.FAULT, "runs and cannot inspect: no model is installed yet")]


@pytest.fixture
def closed_broker(tmp_path: Path, require_program: Callable[[str], str]) -> Iterator[Mosquitto]:
    """With the topics of plants and two accounts: one of this station, one of another."""
    import subprocess

    words = tmp_path / "passwords"
    words.write_text("plant/agent-1:one\nplant/agent-2:two\nmonitor:three\n")
    subprocess.run([require_program("mosquitto_passwd"), "-U", words], check=True)
    (tmp_path / "acl").write_bytes((ROOT / "deploy" / "mosquitto" / "acl").read_bytes())
    root = "user root\n" if os.geteuid() == 0 else ""
    configuration = f"allow_anonymous false\npassword_file {words}\nacl_file {tmp_path / 'acl'}\n{root}"
    broker = Mosquitto(require_program("mosquitto"), tmp_path, configuration=configuration)
    broker.start()
    yield broker
    broker.kill()


def test_the_broker_is_asked_for_every_topic(tmp_path: Path, closed_broker: Mosquitto) -> None:
    def account(user: str, password: str) -> list[tuple[Level, str]]:
        place = {"port": closed_broker.port, "user": user, "password": password}
        return said(examined(tmp_path, broker=place), "broker")

    own = account("plant/agent-1", "one")
    assert [level for level, _ in own] == [Level.OK, Level.OK]
    assert "lineside/v1/plant/agent-1/telemetry" in own[1][1]
    assert [level for level, _ in account("plant/agent-1", "wrong")] == [Level.FAULT]
    others = account("plant/agent-2", "two")
    assert others[1][0] is Level.FAULT
    assert "lineside/v1/plant/agent-1/event" in others[1][1]


@pytest.fixture
def monitor(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[tuple[str, bytes]]:
    """Address and root of a real monitor that wants a token."""
    registry = Registry.init(tmp_path / "registry", ["plant"])
    settings = MonitorSettings.model_validate(
        {
            "state_folder": tmp_path / "monitor",
            "sites": ["plant"],
            "registry_folder": tmp_path / "registry",
            "broker": {"port": mosquitto.port},
            "web": {"port": 0, "password": "people", "agent_token": "agents"},
        }
    )
    address: list[str] = []
    service = Monitor(settings)
    thread = threading.Thread(target=lambda: service.run(started=address.append))
    thread.start()
    wait_for(lambda: address)
    yield address[0], registry.trusted_root()
    service.stop()
    thread.join()


def test_the_monitor_is_asked_for_token_and_signatures(
    tmp_path: Path, monitor: tuple[str, bytes], mosquitto: Mosquitto
) -> None:
    (tmp_path / "root.json").write_bytes(monitor[1])
    place = {"url": monitor[0], "root_file": tmp_path / "root.json"}
    broker = {"port": mosquitto.port}
    findings = examined(tmp_path, broker=broker, monitor={**place, "token": "agents"})
    assert said(findings, "monitor") == [(Level.OK, f"{monitor[0]} answers"), (Level.OK, "it takes images from here")]
    assert any("no release for site 'plant' yet" in text for _, text in said(findings, "signatures"))
    assert not (tmp_path / "agent").exists(), "no floor was written"
    refused = examined(tmp_path, monitor={**place, "token": "wrong"})
    assert (Level.FAULT, "it refuses the token") in said(refused, "monitor")
    (tmp_path / "other").mkdir()
    (tmp_path / "root.json").write_bytes(Registry.init(tmp_path / "other" / "r", ["plant"]).trusted_root())
    strange = examined(tmp_path, monitor={**place, "token": "agents"})
    assert any(level is Level.FAULT and "not to be believed" in text for level, text in said(strange, "signatures"))


@pytest.mark.parametrize(
    ("values", "level"),
    [
        ({"LoadState": "not-found"}, Level.FAULT),
        ({"LoadState": "loaded", "ExecStart": "lineside agent --config /other.toml"}, Level.WARNING),
        ({"LoadState": "loaded", "ExecStart": "--config /a.toml", "ActiveState": "failed"}, Level.FAULT),
        (
            {"LoadState": "loaded", "ExecStart": "--config /a.toml", "ActiveState": "active", "NRestarts": "0"},
            Level.WARNING,
        ),
        (
            {
                "LoadState": "loaded",
                "ExecStart": "--config /a.toml",
                "ActiveState": "active",
                "NRestarts": "9",
                "UnitFileState": "enabled",
            },
            Level.WARNING,
        ),
        (
            {
                "LoadState": "loaded",
                "ExecStart": "--config /a.toml",
                "ActiveState": "active",
                "NRestarts": "0",
                "UnitFileState": "enabled",
            },
            Level.OK,
        ),
    ],
)
def test_the_service_is_judged_by_what_systemd_tells(values: dict[str, str], level: Level) -> None:
    assert _judged("lineside-agent.service", Path("/a.toml"), values).level is level


def test_the_command_says_it_as_json_and_by_its_exit_status(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("")
    broken = CliRunner().invoke(app, ["agent", "doctor", "--config", str(tmp_path / "empty.toml"), "--json"])
    assert broken.exit_code == 2
    assert json.loads(broken.stdout)[0]["name"] == "settings"
