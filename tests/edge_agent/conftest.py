"""Agents for tests: real ones, on free ports, with a real small bundle."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.agent import Agent
from edge_agent.settings import AgentSettings, BundleSettings, WebSettings, WindowSettings
from edge_agent.source import Source
from edge_agent.store import Store
from runtime.bundle import Bundle
from runtime.trial import Trials

MakeAgent = Callable[..., Agent]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty database."""
    store = Store(tmp_path / "agent.sqlite")
    yield store
    store.close()


def agent_settings(folder: Path, bundle: Bundle | None, **changes: Any) -> AgentSettings:
    """Settings of a small agent on a free port; `changes` replace whole sections."""
    values: dict[str, Any] = {
        "site": "plant",
        "agent": "agent-1",
        "state_folder": folder / "agent",
        "web": WebSettings(port=0),
        "window": WindowSettings(images=10),
        "bundle": None if bundle is None else BundleSettings(path=bundle.path, hash=bundle.hash),
        **changes,
    }
    return AgentSettings(**values)


@pytest.fixture(scope="session")
def trials(small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a station remembers that has tried the small bundle: it is not tried again. Do not change it."""
    file = tmp_path_factory.mktemp("tried") / "trials.json"
    Trials(file).check(small_bundle, variant=small_bundle.manifest.default_variant)
    return file


@pytest.fixture
def make_agent(tmp_path: Path, small_bundle: Bundle, trials: Path) -> Iterator[MakeAgent]:
    """`make_agent(*sources, **settings)` starts an agent that is closed after the test; again: the same state."""
    agents: list[Agent] = []

    def make(*sources: Source, bundle: Bundle | None = small_bundle, **changes: Any) -> Agent:
        settings = agent_settings(tmp_path, bundle, **changes)
        if not settings.state_folder.exists():
            settings.state_folder.mkdir(parents=True)
            shutil.copy(trials, settings.state_folder)
        agent = Agent(settings, sources)
        agents.append(agent)
        agent.start()
        return agent

    yield make
    for agent in agents:
        agent.close()


def wait_for(reached: Callable[[], Any], seconds: float = 30.0) -> None:
    """Until it is true. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.02)
