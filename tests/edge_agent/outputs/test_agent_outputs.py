"""A whole agent with outputs of several kinds: all hear every verdict, and none can harm the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.answer import Answer
from contracts.errors import ConfigurationError
from contracts.settings import parse_settings
from edge_agent.agent import Agent
from edge_agent.outputs.settings import FolderOutputSettings, MqttOutput, OutputsSettings, WebhookSettings
from edge_agent.settings import AgentSettings
from tests.edge_agent.conftest import MakeAgent, agent_settings, wait_for
from tests.edge_agent.test_web_inspect import ask, inspect
from tests.simulators.mosquitto import Mosquitto
from tests.simulators.port import free_port
from tests.simulators.small_bundle import encoded, picture
from tests.simulators.webhook_server import WebhookServer

SMALLEST = {"site": "plant", "agent": "agent-1", "state_folder": "/var/lib/lineside"}


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    server = WebhookServer()
    yield server
    server.close()


def test_every_output_hears_every_verdict_and_a_broken_one_delays_nothing(
    make_agent: MakeAgent, tmp_path: Path, mosquitto: Mosquitto, server: WebhookServer
) -> None:
    hanging = WebhookServer()
    hanging.held = True
    outputs = OutputsSettings(
        mqtt=(MqttOutput(name="press", port=mosquitto.port), MqttOutput(name="dead", port=free_port())),
        folder=(FolderOutputSettings(name="files", path=tmp_path / "out"),),
        webhook=(
            WebhookSettings(name="mes", url=server.url),
            WebhookSettings(name="stuck", url=hanging.url, queue=3, timeout_seconds=60.0),
        ),
    )
    agent = make_agent(outputs=outputs)
    levels = [80, 180, 128, 80, 180, 128, 80, 180, 128, 80]
    told = [inspect(agent, encoded(picture(level, n)), f"?part_id=p-{n}")[1] for n, level in enumerate(levels)]
    assert [answer["decision"] for answer in told] == ["OK", "NG", "REVIEW", *["OK", "NG", "REVIEW"] * 2, "OK"]
    wait_for(lambda: len(server.answers) == len(list((tmp_path / "out").glob("*.answer.json"))) == 10)
    assert [answer.decision for answer in server.answers] == [answer["decision"] for answer in told]
    files = [Answer.model_validate_json(path.read_bytes()) for path in (tmp_path / "out").glob("*.answer.json")]
    assert {answer.part_id for answer in files} == {f"p-{n}" for n in range(10)}
    value = agent.core.metrics.registry.get_sample_value
    name = "lineside_agent_output_answers_total"
    wait_for(lambda: value(name, {"output": "press", "result": "delivered"}) == 10)
    assert value(name, {"output": "stuck", "result": "overflow"}) == 6
    assert value(name, {"output": "stuck", "result": "delivered"}) is None
    metrics = ask(agent, "GET", "/metrics")[1]
    assert 'lineside_agent_output_failing{output="dead"} 1.0' in metrics
    assert 'lineside_agent_output_failing{output="mes"} 0.0' in metrics
    page = ask(agent, "GET", "/?lang=en")[1]
    assert "Output dead has failed since 2" in page
    assert "Output mes" not in page
    hanging.close()


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"webhook": [{"name": "a", "url": "http://mes.plant/x"}]}, "use https, or set secret_file"),
        ({"webhook": [{"name": "a", "url": "ftp://mes"}]}, "outputs.webhook.0.url"),
        ({"webhook": [{"name": "a", "url": "https://user:pw@mes/"}]}, "outputs.webhook.0.url"),
        ({"mqtt": [{"name": "a", "host": "press-broker"}]}, "set user and password_file"),
        ({"mqtt": [{"name": "a", "topic": "a/#"}]}, "outputs.mqtt.0.topic"),
        ({"mqtt": [{"name": "a"}], "folder": [{"name": "a", "path": "x"}]}, "two outputs are called 'a'"),
        ({"folder": [{"name": "a", "path": "x", "most_file": 3}]}, "did you mean 'most_files'"),
        ({"safe_action": "ignore"}, "outputs.safe_action"),
        ({"opcua": [{"name": "plc", "camera": "cam", "host": "10.0.0.7"}]}, "set certificate_file and key_file"),
        ({"opcua": [{"name": "plc", "camera": "cam", "key_file": "k"}]}, "belong together"),
        ({"opcua": [{"name": n, "camera": "cam"} for n in ("a", "b")]}, "two opcua outputs trigger camera 'cam'"),
    ],
)
def test_what_is_wrong_in_the_settings_is_named(outputs: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_settings({**SMALLEST, "outputs": outputs}, AgentSettings, source="agent.toml")
    assert message in str(caught.value)


def test_a_plc_cannot_trigger_a_folder_of_old_pictures() -> None:
    values = {**SMALLEST, "outputs": {"opcua": [{"name": "plc", "camera": "folder"}]}, "folders": [{"path": "x"}]}
    with pytest.raises(ConfigurationError, match="set live = true"):
        parse_settings(values, AgentSettings, source="agent.toml")


def test_a_file_that_is_missing_is_said_at_the_start(tmp_path: Path) -> None:
    hook = WebhookSettings(name="mes", url="https://mes.plant/x", ca_file=tmp_path / "ca.pem")
    with pytest.raises(ConfigurationError, match=r"cannot read .*ca\.pem"):
        Agent(agent_settings(tmp_path, None, outputs=OutputsSettings(webhook=(hook,))))
