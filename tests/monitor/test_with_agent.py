"""The monitor beside a real agent over a real broker: every way between the two is used once.

The lead test of the whole circle is the demo; this one is small enough to say which seam broke.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from contracts.frame import Clock, Frame
from edge_agent import benchmarking
from edge_agent.agent import run_agent
from edge_agent.settings import (
    AgentSettings,
    BrokerSettings,
    BufferSettings,
    WebSettings,
    WindowSettings,
)
from edge_agent.settings import MonitorSettings as MonitorDoor
from edge_agent.source import Capture
from monitor.registry import Registry
from monitor.service import run_monitor
from monitor.settings import MonitorSettings
from runtime.benchmark import benchmark
from tests.simulators.monitored_plant import SCRATCH_LEVEL, SITE, certified_bundle, write_gold
from tests.simulators.mosquitto import Mosquitto
from tests.simulators.small_bundle import picture

TOKEN = "agent-token"


class Line:
    """Makes a part every few milliseconds, three of ten scratched, until closed."""

    name = "line"

    def __init__(self) -> None:
        self._closed = threading.Event()

    def captures(self) -> Iterator[Capture | None]:
        """One part after the other."""
        number = 0
        while not self._closed.wait(0.01):
            level = SCRATCH_LEVEL if number % 10 < 3 else 90
            frame = Frame(
                part_id=f"part-{number}",
                sequence=number,
                camera="cam-a",
                triggered_at=datetime.now(UTC),
                clock=Clock.SYNCHRONISED,
            )
            yield Capture(frame, picture(level, number))
            number += 1

    def close(self) -> None:
        """No more."""
        self._closed.set()


class Both:
    """Monitor and agent, each in a thread; `get` and `post` speak to the monitor."""

    def __init__(self, monitor: MonitorSettings, agent: Callable[[str], AgentSettings]) -> None:
        self._stop = threading.Event()
        self._stop_agent = threading.Event()
        self.agent_urls: list[str] = []
        urls: list[str] = []
        self._threads = [
            threading.Thread(target=run_monitor, args=(monitor,), kwargs={"stop": self._stop, "started": urls.append})
        ]
        self._threads[0].start()
        self.until(lambda: urls)
        self.url = urls[0]
        self._threads.append(
            threading.Thread(
                target=run_agent,
                args=(agent(self.url), [Line()]),
                kwargs={"stop": self._stop_agent, "started": self.agent_urls.append},
            )
        )
        self._threads[1].start()
        self.until(lambda: self.agent_urls)  # FastAPI hushes warnings while it reads routes, for all threads alike

    def get(self, path: str, **parameters: Any) -> Any:
        """JSON."""
        return httpx.get(f"{self.url}{path}", params=parameters, timeout=60).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        """JSON."""
        return httpx.post(f"{self.url}{path}", json=body, timeout=60).raise_for_status().json()

    def agent(self) -> dict[str, Any]:
        """The agent as the fleet page sees it; {} before it was heard of."""
        sites = self.get("/v1/fleet")["sites"]
        return next((agent for site in sites for agent in site["agents"]), {})

    def codes(self) -> list[str]:
        """The timeline."""
        return [event["code"] for event in self.get("/v1/events", limit=5000)["events"]]

    def on_record(self) -> list[tuple[int | None, str]]:
        """Which thresholds decided the agent's newest parts, and how."""
        found = (
            httpx.get(f"{self.agent_urls[0]}/v1/verdicts", params={"limit": 20}, timeout=60).raise_for_status().json()
        )
        verdicts = [entry["verdict"] for entry in found["verdicts"]]
        return [(verdict["thresholds_number"], verdict["decision"]) for verdict in verdicts]

    def until(self, reached: Callable[[], Any]) -> None:
        """Wait, as long as both live. The test's own time limit ends it."""
        while not reached():
            assert all(thread.is_alive() for thread in self._threads)
            time.sleep(0.05)

    def close(self) -> None:
        """The agent first."""
        self._stop_agent.set()
        self._threads[-1].join()
        self._stop.set()
        self._threads[0].join()


@pytest.fixture
def both(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Both]:
    monitor = MonitorSettings.model_validate(
        {
            "state_folder": tmp_path / "monitor",
            "sites": (SITE,),
            "broker": {"port": mosquitto.port},
            "web": {"port": 0, "agent_token": TOKEN},
            "rules": {"commissioning_windows": 20, "commissioning_cycle_hours": 0, "commissioning_most_windows": 20},
            "labels": {"audit_fraction": 0.2},
            "rollout": {"approval": "automatic-after-shadow", "replay_images": 50},
            "shadow": {"images": 60, "replay_images": 20, "latency_factor": 50.0},
            "orders": {"resend_seconds": 1.0},
        }
    )
    registry = Registry.init(monitor.registry, [SITE])
    root = tmp_path / "root.json"
    root.write_bytes(registry.trusted_root())

    def agent(url: str) -> AgentSettings:
        return AgentSettings(
            site=SITE,
            agent="agent-1",
            state_folder=tmp_path / "agent",
            production=False,
            web=WebSettings(port=0),
            window=WindowSettings(images=20),
            buffer=BufferSettings(random_fraction=0.5),
            broker=BrokerSettings(port=mosquitto.port, resend_seconds=1.0),
            monitor=MonitorDoor(url=url, token=SecretStr(TOKEN), root_file=root, poll_seconds=0.5),
        )

    both = Both(monitor, agent)
    yield both
    both.close()


def test_every_way_between_monitor_and_agent_works(both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_front(bundle: Any, plan: Any, **more: Any) -> Any:
        return benchmark(bundle, dataclasses.replace(plan, background=False, starts=1), **more)

    monkeypatch.setattr(benchmarking, "benchmark", in_front)
    first = certified_bundle(tmp_path / "first")
    asked = {"reason": "first", "submitted_by": "lead", "gold_csv": str(write_gold(tmp_path / "gold"))}
    both.post("/v1/candidates", bundle_folder=str(first.path), **asked)
    both.until(lambda: both.agent().get("bundle_hash") == first.hash)
    both.until(lambda: [camera["state"] for camera in both.agent()["cameras"]] == ["OK"])

    both.until(lambda: both.get("/v1/labels/queue")["items"])
    item = both.get("/v1/labels/queue")["items"][0]
    assert item["labels"] == ["good", "scratch"]
    scratched = int(item["part_id"].removeprefix("part-")) % 10 < 3
    both.post("/v1/labels", image_id=item["image_id"], label="scratch" if scratched else "good", rater="rater-1")

    both.post("/v1/benchmarks", agent="agent-1", bundle_hash=first.hash, runs=20, reason="new", by="engineer")
    both.until(lambda: both.get("/v1/benchmarks")["benchmarks"])
    (measured,) = both.get("/v1/benchmarks")["benchmarks"]
    assert (measured["agent"], measured["bundle_hash"]) == ("agent-1", first.hash)

    second = certified_bundle(tmp_path / "second", ng=0.7)
    both.post("/v1/candidates", bundle_folder=str(second.path), reason="second", submitted_by="engineer")
    both.until(lambda: both.agent()["bundle_hash"] == second.hash)
    assert {"bundle.shadow-started", "bundle.replay-finished", "candidate.promoted"} <= set(both.codes())

    both.post("/v1/rollback", reason="line 3 complains", by="person-1")
    both.until(lambda: both.agent()["bundle_hash"] == first.hash)
    assert both.agent()["online"]
    assert "agent.unreadable" not in both.codes()
    assert both.get("/v1/fleet")["unreadable"] == []


def test_signed_thresholds_are_previewed_decide_on_the_line_and_are_undone(both: Both, tmp_path: Path) -> None:
    first = certified_bundle(tmp_path / "first")
    asked = {"reason": "first", "submitted_by": "lead", "gold_csv": str(write_gold(tmp_path / "gold"))}
    both.post("/v1/candidates", bundle_folder=str(first.path), **asked)
    both.until(lambda: both.agent().get("bundle_hash") == first.hash)
    both.until(lambda: len(both.on_record()) == 20)

    about = {"bundle_hash": first.hash, "product": "default"}
    both.post("/v1/thresholds/scores", by="lead", **about)
    both.until(lambda: both.get("/v1/thresholds")["scores"])
    seen = both.post("/v1/thresholds/preview", ng=0.99, review_from=0.0001, **about)
    assert seen["all"]["now"]["review"] == 0 < seen["all"]["then"]["review"]
    both.post("/v1/thresholds", ng=0.99, review_from=0.0001, reason="look at more", by="lead", **about)
    both.until(lambda: "thresholds.applied" in both.codes())
    both.until(lambda: (1, "REVIEW") in both.on_record())
    both.post("/v1/thresholds/1/undo", reason="too many", by="lead")
    both.until(lambda: "thresholds.own" in both.codes())
    both.post("/v1/thresholds", ng=0.9999, reason="by mistake", by="lead", unseen=True, **about)
    both.until(lambda: "thresholds.refused" in both.codes())
    both.until(lambda: both.on_record()[0][0] is None)
