"""A site without a network: releases go there on a stick, reports come back on it, and nothing is believed for lying
there."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from tuf.api.metadata import Metadata, Timestamp
from typer.testing import CliRunner

from contracts.errors import ConfigurationError, LinesideError
from contracts.stick import Stick
from edge_agent.agent import Agent
from edge_agent.settings import AgentSettings, MonitorSettings, WebSettings
from lineside.carrying import run_bundle_import, run_monitor_import, run_telemetry_export
from lineside.main import app
from lineside.toml import write_toml
from monitor.registry import Registry
from monitor.service import Monitor
from monitor.settings import MonitorSettings as MonitorConfiguration
from monitor.store.telemetry_tables import MessageRow
from runtime.bundle import Bundle
from tests.edge_agent.conftest import agent_settings, wait_for
from tests.edge_agent.test_web_inspect import inspect
from tests.simulators.port import free_port
from tests.simulators.site import Calendar, release
from tests.simulators.small_bundle import encoded, picture, write_small_bundle

SITE = "plant"


@pytest.fixture
def clock() -> Calendar:
    return Calendar(datetime.now(UTC))


@pytest.fixture
def registry(tmp_path: Path, small_bundle: Bundle, clock: Calendar) -> Registry:
    """With release 1 of the site."""
    made = Registry.init(tmp_path / "registry", [SITE], clock=clock)
    publish(made, 1, small_bundle)
    return made


def publish(registry: Registry, sequence: int, bundle: Bundle) -> None:
    registry.publish_channel(release(SITE, sequence, registry.publish_bundle(SITE, bundle.path)))


@pytest.fixture
def lonely(tmp_path: Path, registry: Registry) -> Iterator[tuple[Agent, Path]]:
    """A running agent that has neither broker nor monitor, and its settings."""
    root = tmp_path / "root.json"
    root.write_bytes(registry.trusted_root())
    port = free_port()
    monitor = MonitorSettings(root_file=root, poll_seconds=0.1)
    agent = Agent(agent_settings(tmp_path, None, monitor=monitor, web=WebSettings(port=port), production=False))
    agent.start()
    values = {"site": SITE, "agent": "agent-1", "state_folder": agent.settings.state_folder, "production": False}
    write_toml(tmp_path / "agent.toml", {**values, "web": {"port": port}, "monitor": {"root_file": root}})
    yield agent, tmp_path / "agent.toml"
    agent.close()


@pytest.fixture
def stick(tmp_path: Path) -> Stick:
    (tmp_path / "stick").mkdir()
    return Stick(tmp_path / "stick", SITE)


def brought(lonely: tuple[Agent, Path], stick: Stick, capsys: pytest.CaptureFixture[str]) -> tuple[bool, str]:
    """Whether the release serves, and what the person at the station reads."""
    done = run_bundle_import(stick.place, lonely[1], wait=60.0)
    return done, capsys.readouterr().out


def test_a_release_on_a_stick_serves_and_an_older_stick_is_refused(
    registry: Registry,
    lonely: tuple[Agent, Path],
    stick: Stick,
    small_bundle: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    agent = lonely[0]
    registry.carry(SITE, stick.repository, valid=timedelta(days=14))
    old = shutil.copytree(stick.place, tmp_path / "old")
    done, text = brought(lonely, stick, capsys)
    assert done, text
    assert "release 1" in text
    assert agent.core.bundles.serving == small_bundle.hash
    second = write_small_bundle(tmp_path / "second", seed=5)
    publish(registry, 2, second)
    registry.carry(SITE, stick.repository, valid=timedelta(days=14))
    assert brought(lonely, stick, capsys)[0]
    assert agent.core.bundles.serving == second.hash
    done, text = brought(lonely, Stick(old, SITE), capsys)
    assert not done
    assert "older than what is known here" in text
    assert agent.core.bundles.serving == second.hash
    wait_for(lambda: not list((agent.settings.state_folder / "luggage").iterdir()))


def test_what_is_not_signed_is_never_loaded(
    registry: Registry,
    lonely: tuple[Agent, Path],
    stick: Stick,
    small_bundle: Bundle,
    clock: Calendar,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ConfigurationError, match="no signed repository"):
        run_bundle_import(small_bundle.path, lonely[1], wait=60.0)
    registry.carry(SITE, stick.repository, valid=timedelta(days=14))
    model = next((stick.repository / "targets").rglob("*.model.onnx"))
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    assert not brought(lonely, stick, capsys)[0]
    clock.forward(days=-20)
    registry.carry(SITE, stick.repository, valid=timedelta(days=14))
    done, text = brought(lonely, stick, capsys)
    assert not done
    assert "expired" in text
    assert lonely[0].core.bundles.serving is None


def test_a_bundle_that_fails_its_trial_is_refused_with_the_reason(
    registry: Registry,
    lonely: tuple[Agent, Path],
    stick: Stick,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoilt = write_small_bundle(tmp_path / "spoilt", golden_shift=0.5)
    publish(registry, 2, spoilt)
    registry.carry(SITE, stick.repository, valid=timedelta(days=1))
    done, text = brought(lonely, stick, capsys)
    assert not done
    assert "golden" in text
    assert spoilt.hash in lonely[0].core.bundles.slots.refused()


def test_a_stick_outlives_what_the_network_is_served(registry: Registry, stick: Stick, clock: Calendar) -> None:
    def timestamp(folder: Path) -> Timestamp:
        return Metadata[Timestamp].from_bytes((folder / "timestamp.json").read_bytes()).signed

    registry.carry(SITE, stick.repository, valid=timedelta(days=14))
    carried, served = timestamp(stick.repository / "metadata"), timestamp(registry.metadata_folder)
    assert carried.expires - clock.now > timedelta(days=13)
    assert served.expires - clock.now < timedelta(days=3)
    assert served.version > carried.version
    assert registry.refresh() is False


def test_a_stick_names_one_site_and_carries_nothing_of_another(tmp_path: Path, small_bundle: Bundle) -> None:
    registry = Registry.init(tmp_path / "two", [SITE, "secret-site"])
    publish(registry, 1, small_bundle)
    registry.carry(SITE, tmp_path / "copy", valid=timedelta(days=1))
    names = [path.name for path in (tmp_path / "copy").rglob("*")]
    assert any("site-plant" in name for name in names)
    assert not any("site-secret" in name for name in names)


class Office:
    """A running monitor without a broker."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        values = {"state_folder": folder / "monitor", "sites": [SITE], "registry_folder": folder / "registry"}
        web = {"port": port, "password": "people", "agent_token": "agents"}
        values |= {"web": web, "broker": {"port": free_port()}}
        self.config = write_toml(folder / "monitor.toml", values)
        self.service = Monitor(MonitorConfiguration.model_validate(values))
        self._thread = threading.Thread(target=self.service.run, kwargs={"started": self._started})
        self._up = threading.Event()
        self._thread.start()
        assert self._up.wait(30)

    def _started(self, _url: str) -> None:
        self._up.set()

    def stored(self) -> list[tuple[str, int]]:
        """(boot, sequence) of every message, as often as it is stored."""
        with self.service._works.store.read() as session:
            return [(row.boot, row.sequence) for row in session.scalars(select(MessageRow))]

    def close(self) -> None:
        self.service.stop()
        self._thread.join()


@pytest.fixture
def office(tmp_path: Path, registry: Registry) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.close()


def test_reports_go_out_on_a_stick_and_acknowledgements_come_back(
    lonely: tuple[Agent, Path], office: Office, stick: Stick, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    agent, config = lonely
    registry.carry(SITE, stick.repository, valid=timedelta(days=1))
    assert brought(lonely, stick, capsys)[0]
    for number in range(20):
        inspect(agent, encoded(picture(80 + number)), f"?part_id=p-{number}")
    wait_for(lambda: agent.core.outbox.size()[0] >= 3)
    run_telemetry_export(stick.place, config)
    run_monitor_import(stick.place, office.config, site=None, by="courier")
    produced = agent.core.outbox.size()[0]
    assert len(office.stored()) == produced
    run_monitor_import(stick.place, office.config, site=None, by="courier")
    assert len(office.stored()) == len(set(office.stored())) == produced
    assert agent.core.outbox.size()[0] == produced, "nothing is forgotten before its acknowledgement is back"
    run_telemetry_export(stick.place, config)
    assert f"{produced} messages acknowledged" in capsys.readouterr().out
    left = [json.loads(line)["body"]["kind"] for _, lines in stick.messages("agent-1") for line in lines]
    assert left == ["birth"], "each trip tells the state of the station anew"
    run_monitor_import(stick.place, office.config, site=None, by="courier")
    assert sorted(number for _, number in office.stored()) == list(range(1, produced + 2))


def test_the_office_says_what_is_wrong_with_a_stick(office: Office, stick: Stick, lonely: tuple[Agent, Path]) -> None:
    with pytest.raises(ConfigurationError, match="holds no messages"):
        run_monitor_import(stick.place, office.config, site=None, by="courier")
    with pytest.raises(ConfigurationError, match="is the stick mounted"):
        run_telemetry_export(stick.place / "elsewhere", lonely[1])
    folder = stick.telemetry("agent-1")
    folder.mkdir(parents=True)
    (folder / "1.jsonl").write_text('{"nothing": 1}\n')
    run_monitor_import(stick.place, office.config, site=None, by="courier")
    assert office.stored() == []


def test_an_agent_that_does_not_run_is_not_asked(tmp_path: Path, stick: Stick) -> None:
    values = {"site": SITE, "agent": "agent-1", "state_folder": tmp_path / "agent", "web": {"port": free_port()}}
    config = write_toml(tmp_path / "agent.toml", values)
    with pytest.raises(LinesideError, match="systemctl start"):
        run_telemetry_export(stick.place, config)
    told = CliRunner().invoke(app, ["agent", "bundle", "import", str(stick.place), "--config", str(config)])
    assert told.exit_code == 1


def test_settings_without_an_address_but_with_a_root_are_accepted(tmp_path: Path) -> None:
    monitor = MonitorSettings(root_file=tmp_path / "root.json")
    assert AgentSettings(site=SITE, agent="a", state_folder=tmp_path, monitor=monitor).monitor is not None
