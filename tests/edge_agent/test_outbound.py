"""The page of outbound connections is complete: what the agent's sockets connect to is on it, and nothing else."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.outputs.settings import OutputsSettings
from edge_agent.settings import BrokerSettings, MonitorSettings
from edge_agent.sources.settings import CameraSettings, ImageBrokerSettings
from edge_agent.web.texts import read_texts
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.edge_agent.test_web_inspect import ask, inspect
from tests.simulators.mosquitto import Mosquitto
from tests.simulators.port import free_port
from tests.simulators.site import ServedSite
from tests.simulators.small_bundle import encoded, picture


class Ears:
    """Hears of every address that a thread other than the test's own connects a socket to."""

    def __init__(self) -> None:
        self.heard: set[str] = set()
        self._listens = True
        sys.addaudithook(self._hear)  # stays for ever: it is told to stop listening

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._listens and event == "socket.connect" and threading.current_thread() is not threading.main_thread():
            address = arguments[1]
            to_itself = "_socketpair" in sys._getframe(1).f_code.co_name  # paho wakes its thread over a pair of sockets
            if isinstance(address, tuple) and not to_itself:
                self.heard.add(f"{address[0]}:{address[1]}")

    def stop(self) -> None:
        self._listens = False


@pytest.fixture
def ears() -> Iterator[Ears]:
    made = Ears()
    yield made
    made.stop()


def test_every_connection_is_listed_and_no_other_is_made(
    make_agent: MakeAgent, ears: Ears, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    site = ServedSite(tmp_path)
    (tmp_path / "root.json").write_bytes(site.registry.trusted_root())
    hook, camera = free_port(), free_port()
    with site.server.running():
        outputs = {
            "webhook": [{"name": "hook", "url": f"http://127.0.0.1:{hook}/secret?token=x"}],
            "mqtt": [{"name": "line", "port": mosquitto.port}],
        }
        agent = make_agent(
            broker=BrokerSettings(port=mosquitto.port),
            monitor=MonitorSettings(url=site.server.url, root_file=tmp_path / "root.json", poll_seconds=0.2),
            image_brokers=(ImageBrokerSettings(port=mosquitto.port, topic="images"),),
            cameras=(CameraSettings(name="top", address=f"rtsp://127.0.0.1:{camera}/live", silent_seconds=1.0),),
            outputs=OutputsSettings.model_validate(outputs),
        )
        inspect(agent, encoded(picture(90)), "?part_id=p-1")

        def listed() -> list[dict[str, Any]]:
            return list(ask(agent, "GET", "/v1/connections")[1]["connections"])

        wait_for(lambda: {f"127.0.0.1:{mosquitto.port}", f"127.0.0.1:{hook}"} <= ears.heard)
        wait_for(lambda: site.server.paths and all(each["sent_bytes"] != 0 for each in listed()[:1]))
    told = listed()
    assert [each["purpose"] for each in told] == [
        "telemetry", "releases", "images", "camera", "image-broker", "answers-mqtt", "answers-webhook",
    ]  # fmt: skip
    assert ears.heard <= {each["address"] for each in told}
    by_purpose = {each["purpose"]: each for each in told}
    assert by_purpose["telemetry"]["up"] is True
    assert by_purpose["answers-mqtt"]["sent_bytes"] > 0
    wait_for(lambda: next(each for each in listed() if each["purpose"] == "answers-webhook")["up"] is False)
    html = ask(agent, "GET", "/connections?lang=de")[1]
    assert "token=x" not in html
    assert read_texts()["de"]["outbound"]["nothing_else"] in html


def test_a_station_alone_connects_to_nothing(make_agent: MakeAgent, ears: Ears) -> None:
    agent = make_agent()
    inspect(agent, encoded(picture(90)), "?part_id=p-1")
    assert ask(agent, "GET", "/v1/connections")[1] == {"connections": []}
    assert "connects to nothing" in ask(agent, "GET", "/connections?lang=en")[1]
    assert ears.heard == set()
