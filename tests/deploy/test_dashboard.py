"""Dashboard and alerts speak of metrics that exist: a real Prometheus scrapes a real monitor and a real agent, and
every query of every panel returns data."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
import yaml
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import update

from contracts.telemetry import topic
from lineside.toml import write_toml
from monitor.blobs import Blobs
from monitor.registry import Registry
from monitor.store import Store
from monitor.store.rollout_tables import CandidateRow, RetrainRow
from runtime.bundle import Bundle
from tests.simulators.mosquitto import Mosquitto
from tests.simulators.port import free_port, wait_until_it_listens
from tests.simulators.prometheus import Prometheus
from tests.simulators.seeded_store import SITE, seed_store
from tests.simulators.small_bundle import encoded, picture

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules" / "lineside.yml"
NAME = re.compile(r"\blineside_(?:monitor|agent)_\w+")


def panels(folder: Path = DEPLOY) -> Iterator[tuple[str, str]]:
    """(`title A`, PromQL) of every query."""
    for panel in json.loads((folder / "grafana" / "lineside.json").read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['refId']}", target["expr"]


def alerts() -> Iterator[tuple[str, str]]:
    """(name, PromQL) of every alert."""
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def filled_in(expression: str) -> str:
    """What Grafana would send for all sites."""
    return expression.replace("$__rate_interval", "1m").replace("$site", ".*")


def start(folder: Path, name: str, port: int, *arguments: str | Path) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "lineside", *arguments], stdout=log, stderr=log)
    try:
        wait_until_it_listens(port, process, seconds=60)
    except RuntimeError as error:
        raise RuntimeError((folder / f"{name}.log").read_text()) from error
    return process


def start_monitor(folder: Path, broker: Mosquitto, port: int) -> subprocess.Popen[bytes]:
    """A monitor after a busy morning."""
    state = folder / "monitor"
    state.mkdir()
    store = Store(state / "monitor.db")
    seed_store(store, Blobs(str(state / "blobs")), now=datetime.now(UTC))
    with store.write() as session:  # what is under way has no process or agents behind it that the monitor could ask
        session.execute(update(CandidateRow).where(CandidateRow.state == "approving").values(state="refused"))
        session.execute(update(RetrainRow).values(state="failed"))
    store.close()
    Registry.init(state / "registry", [SITE])
    settings = {"state_folder": state, "sites": [SITE], "broker": {"port": broker.port}, "web": {"port": port}}
    config = write_toml(folder / "monitor.toml", settings, comment="A monitor.")
    return start(folder, "monitor", port, "monitor", "run", "--config", config)


def start_agent(folder: Path, broker: Mosquitto, port: int, bundle: Bundle) -> subprocess.Popen[bytes]:
    """An agent that has inspected some parts."""
    settings = {
        "site": SITE,
        "agent": "press-6",
        "state_folder": folder / "agent",
        "window": {"images": 5},
        "web": {"port": port},
        "broker": {"port": broker.port},
        "bundle": {"path": bundle.path, "hash": bundle.hash},
        "cameras": [{"name": "gone", "address": str(folder / "gone.avi")}],
        "outputs": {"folder": [{"name": "line", "path": folder / "answers"}]},
    }
    config = write_toml(folder / "agent.toml", settings, comment="An agent.")
    process = start(folder, "agent", port, "agent", "--config", config)
    inspect(port, range(6))
    return process


def inspect(port: int, parts: range) -> None:
    for number in parts:
        url = f"http://127.0.0.1:{port}/v1/inspect?part_id=P-{number}"
        data = encoded(picture(60 + 140 * (number % 2), number))
        with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=30) as answer:
            assert answer.status == 200


def say_nonsense(port: int) -> None:
    """A message that no monitor can use."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish(topic(SITE, "press-6", "event"), b"{", qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, require_program: Callable[[str], str], small_bundle: Bundle
) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("plant")
    ports = {"lineside-monitor": free_port(), "lineside-agent": free_port()}
    broker = Mosquitto(require_program("mosquitto"), folder)
    server = Prometheus(
        require_program("prometheus"), folder, {job: f"127.0.0.1:{port}" for job, port in ports.items()}, (RULES,)
    )
    processes = []
    try:
        broker.start()
        processes.append(start_monitor(folder, broker, ports["lineside-monitor"]))
        processes.append(start_agent(folder, broker, ports["lineside-agent"], small_bundle))
        server.start()
        assert server.wait_for('sum(up) == 2 and sum(lineside_monitor_windows_total{agent="press-6"}) > 0')
        say_nonsense(broker.port)
        inspect(ports["lineside-agent"], range(6, 12))
        assert server.wait_for('sum(rate(lineside_monitor_images_total{agent="press-6"}[1m])) > 0')
        assert server.wait_for("sum(rate(lineside_agent_commit_seconds_count[1m])) > 0")
        yield server
    finally:
        server.stop()
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=30)
        broker.kill()


def test_dashboard_is_up_to_date() -> None:
    answer = subprocess.run(
        [sys.executable, DEPLOY / "grafana" / "make_dashboard.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(("title", "expression"), list(panels()), ids=[title for title, _ in panels()])
def test_query_of_the_panel_returns_data(prometheus: Prometheus, title: str, expression: str) -> None:
    assert prometheus.wait_for(filled_in(expression), seconds=5)


@pytest.mark.parametrize(
    "name", sorted({name for _, expression in [*panels(), *alerts()] for name in NAME.findall(expression)})
)
def test_metric_that_panels_and_alerts_speak_of_exists(prometheus: Prometheus, name: str) -> None:
    assert prometheus.wait_for(name, seconds=5)


def test_query_for_a_metric_that_does_not_exist_returns_nothing(prometheus: Prometheus) -> None:
    assert prometheus.query("lineside_monitor_renamed") == []


def test_rules_are_evaluated_without_errors(prometheus: Prometheus) -> None:
    address = f"http://127.0.0.1:{prometheus.port}/api/v1/rules"
    with urllib.request.urlopen(address, timeout=10) as answer:
        groups: list[dict[str, Any]] = json.load(answer)["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(list(alerts()))
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []


def test_alert_comes_for_the_camera_that_needs_looking_at(prometheus: Prometheus) -> None:
    pending = prometheus.wait_for('ALERTS{alertname="LinesideLensOrLight"}')
    assert [(alert["metric"]["agent"], alert["metric"]["camera"]) for alert in pending] == [("press-5", "cam-a")]
