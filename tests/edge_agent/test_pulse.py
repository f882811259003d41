"""Is the model alive: asked where the line is quiet, by `/ready`, and for the service manager."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from contracts.errors import BundleError
from edge_agent.inspection import Inspector
from edge_agent.pulse import Pulse
from edge_agent.watchdog import Watchdog
from runtime.bundle import Bundle
from runtime.session import Session
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.edge_agent.test_web_inspect import ask, inspect


@pytest.fixture(scope="module")
def inspector(small_bundle: Bundle) -> Inspector:
    return Inspector(small_bundle)


def running(pulse: Pulse) -> threading.Event:
    stopping = threading.Event()
    threading.Thread(target=pulse.run, args=(stopping,), daemon=True).start()
    return stopping


def test_a_quiet_line_has_its_model_asked_and_a_busy_one_not(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, beats, answered = list[int](), list[float | None](), 0
    monkeypatch.setattr("edge_agent.pulse.probe_sample", lambda *_, **__: asked.append(1))

    def count() -> int:
        nonlocal answered
        answered += 1
        return answered

    stopping = running(Pulse(lambda: inspector, count, beat=beats.append))
    wait_for(lambda: len(beats) >= 2)
    stopping.set()
    assert not asked, "the line's own answers are enough"
    stopping = running(Pulse(lambda: inspector, lambda: 0, beat=beats.append))
    wait_for(lambda: asked)
    stopping.set()


def test_ready_asks_the_model_itself(make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make_agent()
    assert ask(agent, "GET", "/ready")[:2] == (200, {"ready": True, "reason": None})

    def fail(*_: object, **__: object) -> None:
        raise BundleError("the memory is broken")

    monkeypatch.setattr("edge_agent.pulse.probe_sample", fail)
    wait_for(lambda: ask(agent, "GET", "/ready")[0] == 503)
    status, told, _ = ask(agent, "GET", "/ready")
    assert (status, told["reason"]) == (503, "the model does not answer as certified: the memory is broken")
    assert inspect(agent)[0] == 503, "what the model answers cannot be trusted"
    monkeypatch.undo()
    wait_for(lambda: ask(agent, "GET", "/ready")[0] == 200)
    assert inspect(agent)[0] == 200


def test_a_runtime_that_hangs_is_not_ready_and_gives_no_sign_of_life(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, beats = threading.Event(), list[float | None]()

    def hang(*_: object, **__: object) -> None:
        let_go.wait(30)
        raise BundleError("it was stopped")

    monkeypatch.setattr(Session, "infer", hang)
    pulse = Pulse(lambda: inspector, lambda: 0, beat=beats.append)
    stopping = running(pulse)
    said = pulse.check(patience_seconds=0.3)
    assert said == "the model has not answered a golden sample within 0.3 s"
    assert not beats
    stopping.set()
    let_go.set()


def test_the_service_manager_hears_of_start_life_and_end(
    make_agent: MakeAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        agent = make_agent()
        assert "NOTIFY_SOCKET" not in os.environ, "what the agent starts could speak for it"
        heard = [manager.recv(4096).decode() for _ in range(2)]
        while not heard[-1].startswith("WATCHDOG=1"):
            heard.append(manager.recv(4096).decode())
        assert "READY=1" in heard
        assert "answered by bundle" in heard[-1]
        agent.close()
        while heard[-1] != "STOPPING=1":
            heard.append(manager.recv(4096).decode())


def test_without_a_service_manager_nothing_is_said() -> None:
    watchdog = Watchdog({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"})
    assert watchdog.seconds is None
    watchdog.ready()
    watchdog.alive("well")
