"""The configuration file: typed, with units and defaults; what is wrong is named with its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from contracts.access import secret
from contracts.errors import ConfigurationError
from contracts.settings import parse_settings, read_settings
from edge_agent.agent import Agent
from edge_agent.settings import AgentSettings
from tests.edge_agent.conftest import MakeAgent, agent_settings

SMALLEST = {"site": "plant", "agent": "agent-1", "state_folder": "/var/lib/lineside"}


EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound


def parsed(**more: object) -> AgentSettings:
    return parse_settings({**SMALLEST, **more}, AgentSettings, source="agent.toml")


def test_three_lines_are_enough(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('site = "plant"\nagent = "agent-1"\nstate_folder = "/var/lib/lineside"\n')
    settings = read_settings(file, AgentSettings)
    assert settings.production
    assert settings.web.host == "127.0.0.1"
    assert settings.window.seconds == 60.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"windw": {"seconds": 10}}, "unknown key 'windw'; did you mean 'window'"),
        ({"window": {"second": 10}}, "unknown key 'window.second'"),
        ({"window": {"seconds": 0}}, "window.seconds"),
        ({"site": "Plant 7"}, "site"),
        ({"web": {"host": EVERYWHERE}}, "can be reached from other machines: set password_file"),
        ({"broker": {"host": "plant-broker"}}, "is another machine: set user and password_file"),
        ({"buffer": {"random_fraction": 1.5}}, "buffer.random_fraction"),
        ({"monitor": {"url": "monitor:8080", "root_file": "root.json"}}, "monitor.url"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parsed(**wrong)
    assert message in str(caught.value)


def test_beyond_loopback_a_password_opens_the_door() -> None:
    assert parsed(web={"host": EVERYWHERE, "password_file": "/etc/lineside/password"}).web.user == "operator"


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    assert "hunter2" not in repr(parsed(broker={"host": "far", "user": "a", "password": "hunter2"}))


def test_a_secret_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    assert secret(None, file) == "hunter2"
    assert secret(SecretStr("given"), file) == "given"
    for unusable in ("", "\n"):
        file.write_text(unusable)
        with pytest.raises(ConfigurationError, match="one line of text"):
            secret(None, file)


def test_two_agents_cannot_share_a_state_folder(make_agent: MakeAgent) -> None:
    first = make_agent()
    with pytest.raises(ConfigurationError, match="another agent is using"):
        Agent(agent_settings(first.settings.state_folder.parent, None))


def test_a_port_that_is_taken_is_named(make_agent: MakeAgent, tmp_path: Path) -> None:
    port = int(make_agent().url.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match=f"cannot serve on 127.0.0.1:{port}"):
        Agent(agent_settings(tmp_path / "other", None, web={"port": port}))
