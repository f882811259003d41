"""Part verdicts of a running agent: from the record to whoever listens, over restarts, on the page and over HTTP."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ConfigurationError, QuotaError
from contracts.frame import Decision, Frame, Verdict
from contracts.part import PartVerdict
from contracts.settings import parse_settings
from edge_agent.agent import Agent
from edge_agent.parts.parts import Parts
from edge_agent.parts.settings import PartSettings
from edge_agent.record import Record
from edge_agent.settings import AgentSettings
from edge_agent.store import Store
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.simulators.captures import START
from tests.simulators.older_agent import make_older
from tests.simulators.small_bundle import encoded, picture

OK, NG, NONE = Decision.OK, Decision.NG, Decision.NO_VERDICT
HOUSING = PartSettings(name="housing", views=("cam-a", "cam-b"), within_seconds=1.0)
DARK, BRIGHT = encoded(picture(80)), encoded(picture(180))


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """Record and parts over one database file; `restart` loses everything else."""

    def __init__(self, path: Path, *settings: PartSettings) -> None:
        self._path, self._settings = path, settings
        self.clock = Clock()
        self.sequence = 0
        self.told: list[PartVerdict] = []
        self.open(*settings)

    def open(self, *settings: PartSettings) -> None:
        self.store = Store(self._path)
        self.record = Record(self.store)
        self.parts = Parts(self.store, settings, clock=self.clock)
        self.parts.decided = self.told.append

    def restart(self, *settings: PartSettings) -> None:
        self.store.close()
        self.clock.now += 1000.0
        self.open(*(settings or self._settings))

    def see(self, camera: str, decision: Decision = OK, part_id: str = "P-1") -> None:
        """A verdict is put on record."""
        self.see_all(camera, [part_id], decision)

    def see_all(self, camera: str, part_ids: Sequence[str], decision: Decision = OK) -> None:
        """Verdicts are put on record in one commit."""
        verdicts: list[tuple[Verdict, None]] = []
        for part_id in part_ids:
            self.sequence += 1
            frame = Frame(part_id=part_id, sequence=self.sequence, camera=camera, product="cap", triggered_at=START)
            verdicts.append((Verdict(frame=frame, decision=decision), None))
        self.record.append(verdicts)

    def step(self) -> list[tuple[str, Decision]]:
        return [(verdict.part_id, verdict.decision) for verdict in self.parts.step()]

    def wait(self, seconds: float) -> list[tuple[str, Decision]]:
        self.clock.now += seconds
        return self.step()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "agent.sqlite", HOUSING)


class TestOverTheRecord:
    def test_a_decided_part_is_on_record_and_told_once(self, bench: Bench) -> None:
        bench.see("cam-a")
        bench.see("cam-b", NG)
        assert bench.step() == [("P-1", NG)]
        assert bench.step() == []
        assert [verdict.decision for verdict in bench.told] == [NG]
        (entry,) = bench.parts.entries(limit=9)
        assert entry.verdict == bench.told[0]

    def test_other_cameras_do_not_matter(self, bench: Bench) -> None:
        for _ in range(3):
            bench.see("cam-x")
        bench.see("cam-a")
        bench.step()
        bench.see("cam-x")
        bench.see("cam-b")
        assert bench.step() == [("P-1", OK)]

    def test_more_views_than_are_read_at_once_are_all_joined(self, bench: Bench) -> None:
        bench.see_all("cam-a", [f"P-{number}" for number in range(600)])
        bench.step()
        bench.see_all("cam-b", [f"P-{number}" for number in range(600)])
        assert len(bench.step()) == 600

    def test_a_late_view_is_noted_beside_the_verdict(self, bench: Bench) -> None:
        bench.see("cam-a")
        bench.step()
        assert bench.wait(1.1) == [("P-1", NONE)]
        bench.see("cam-b", NG)
        assert bench.step() == []
        (entry,) = bench.parts.entries(limit=9)
        assert (entry.verdict.decision, entry.late) == (NONE, {"cam-b": NG})

    def test_a_restart_between_two_views_still_joins_them(self, bench: Bench) -> None:
        bench.see("cam-a", NG)
        bench.step()
        bench.restart()
        bench.see("cam-b")
        assert bench.step() == [("P-1", NG)]
        assert len(bench.parts.entries(limit=9)) == 1

    def test_a_kill_before_views_were_joined_loses_none_and_doubles_none(self, bench: Bench) -> None:
        bench.see("cam-a")
        bench.step()
        bench.see("cam-b", part_id="P-2")
        bench.see("cam-b")
        bench.restart()  # the step that would have joined them never ran
        assert bench.step() == [("P-1", OK)]
        bench.restart()
        assert bench.step() == []
        assert bench.wait(1.1) == [("P-2", NONE)]

    def test_a_part_that_a_restart_left_open_gets_its_time_once_more_and_ends(self, bench: Bench) -> None:
        bench.see("cam-a")
        bench.step()
        bench.restart()
        assert bench.wait(0.9) == []
        assert bench.wait(0.2) == [("P-1", NONE)]
        assert [verdict.missing for verdict in bench.told] == [("cam-b",)]

    def test_after_a_restart_a_late_view_alone_is_never_ok(self, bench: Bench) -> None:
        bench.see("cam-a")
        bench.step()
        bench.wait(1.1)
        bench.restart()
        bench.see("cam-b")
        assert bench.step() == []
        assert bench.wait(1.1) == [("P-1", NONE)]

    def test_what_was_on_record_before_parts_were_configured_does_not_count(self, tmp_path: Path) -> None:
        bench = Bench(tmp_path / "agent.sqlite")
        bench.see("cam-a")
        bench.restart(HOUSING)
        bench.see("cam-b")
        assert bench.step() == []
        assert bench.wait(1.1) == [("P-1", NONE)]

    def test_nor_does_what_came_while_they_were_not(self, bench: Bench) -> None:
        bench.see("cam-a")
        bench.step()
        bench.store.close()
        bench.open()  # without parts
        bench.see("cam-b")
        bench.restart(HOUSING)
        assert bench.step() == []
        assert bench.wait(1.1) == []

    def test_a_full_disk_leaves_parts_undecided_until_there_is_room(self, bench: Bench) -> None:
        for camera in HOUSING.views:
            bench.see_all(camera, [f"P-{number}" for number in range(300)])
        (pages,) = bench.store.rows("PRAGMA page_count")[0]
        bench.store.rows(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(QuotaError):
            bench.parts.step()
        assert bench.told == bench.parts.entries(limit=9) == []
        bench.store.rows("PRAGMA max_page_count = 1000000")
        assert bench.step() == [(f"P-{number}", OK) for number in range(300)]

    def test_retention_takes_old_ones(self, bench: Bench) -> None:
        bench.see("cam-a")
        bench.see("cam-b")
        bench.step()
        bench.parts.forget_before(bench.told[0].decided_at)
        assert len(bench.parts.entries(limit=9)) == 1
        bench.parts.forget_before(bench.told[0].decided_at.replace(year=2100))
        assert bench.parts.entries(limit=9) == []


def inspect(agent: Agent, camera: str, part_id: str, image: bytes = DARK) -> None:
    url = f"{agent.url}/v1/inspect?camera={camera}&part_id={part_id}"
    urllib.request.urlopen(urllib.request.Request(url, image), timeout=30).close()


def get(agent: Agent, path: str) -> Any:
    with urllib.request.urlopen(f"{agent.url}{path}", timeout=60) as answer:
        return answer.read().decode() if path.startswith(("/?", "/frag")) else json.load(answer)


class TestOfAnAgent:
    def test_views_over_http_become_one_part_verdict(self, make_agent: MakeAgent) -> None:
        agent = make_agent(parts=(HOUSING.model_copy(update={"within_seconds": 60.0}),))
        told: list[PartVerdict] = []
        agent.core.parts.decided = told.append
        inspect(agent, "cam-a", "P-1")
        assert get(agent, "/v1/parts?part_id=P-1") == {"parts": [], "next": None}
        inspect(agent, "cam-b", "P-1", BRIGHT)
        ((entry),) = get(agent, "/v1/parts?part_id=P-1&wait_seconds=20")["parts"]
        assert entry["verdict"]["decision"] == "NG"
        assert entry["verdict"]["views"] == {"cam-a": "OK", "cam-b": "NG"}
        assert [verdict.part_id for verdict in told] == ["P-1"]
        labels = {"part": "housing", "decision": "NG"}
        assert agent.core.metrics.registry.get_sample_value("lineside_agent_parts_total", labels) == 1

    def test_who_waits_for_a_part_hears_that_a_view_is_missing(self, make_agent: MakeAgent) -> None:
        agent = make_agent(parts=(HOUSING,))
        found: list[Any] = []
        waiting = threading.Thread(target=lambda: found.append(get(agent, "/v1/parts?part_id=P-1&wait_seconds=30")))
        waiting.start()
        inspect(agent, "cam-a", "P-1")
        waiting.join()
        ((entry),) = found[0]["parts"]
        assert (entry["verdict"]["decision"], entry["verdict"]["missing"]) == ("NO_VERDICT", ["cam-b"])

    def test_the_page_shows_the_part_in_both_languages(self, make_agent: MakeAgent) -> None:
        agent = make_agent(parts=(HOUSING.model_copy(update={"within_seconds": 60.0}),))
        inspect(agent, "cam-a", "P-1")
        wait_for(lambda: agent.core.parts.is_open("P-1"))
        assert '<p class="verdict NO_VERDICT">Not decided yet</p>' in get(agent, "/?lang=en")
        inspect(agent, "cam-b", "P-1", BRIGHT)
        wait_for(lambda: agent.core.parts.find("P-1"))
        assert "Whole part P-1: Defect" in get(agent, "/?lang=en")
        assert '<p class="verdict NG">Defect</p>' in get(agent, "/?lang=en")
        assert "Ganzes Teil P-1: Fehler" in get(agent, "/?lang=de")

    def test_a_good_view_of_a_part_that_is_not_ok_is_not_shown_as_ok(self, make_agent: MakeAgent) -> None:
        agent = make_agent(parts=(HOUSING,))
        inspect(agent, "cam-a", "P-1")
        wait_for(lambda: agent.core.parts.find("P-1"))
        page = get(agent, "/?lang=en")
        assert '<p class="verdict NO_VERDICT">No verdict</p>' in page
        assert "no picture of cam-b within" in page
        assert "kein Bild von cam-b innerhalb von" in get(agent, "/?lang=de")
        assert '<p class="verdict OK">' not in page
        assert '<p class="verdict">' not in page

    def test_a_restart_in_between_joins_both_sides(self, make_agent: MakeAgent) -> None:
        slow = HOUSING.model_copy(update={"within_seconds": 60.0})
        agent = make_agent(parts=(slow,))
        inspect(agent, "cam-a", "P-1")
        agent.close()
        agent = make_agent(parts=(slow,))
        inspect(agent, "cam-b", "P-1")
        wait_for(lambda: agent.core.parts.find("P-1"))
        assert agent.core.parts.entries(limit=9)[0].verdict.decision is OK

    def test_without_parts_there_is_nothing_of_them(self, make_agent: MakeAgent) -> None:
        agent = make_agent()
        inspect(agent, "cam-a", "P-1")
        assert get(agent, "/v1/parts") == {"parts": [], "next": None}
        assert "Whole part" not in get(agent, "/?lang=en")


def test_a_database_of_the_version_before_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "agent.sqlite"
    Store(path).close()
    make_older(path, 2)
    bench = Bench(path, HOUSING)
    bench.see("cam-a")
    bench.see("cam-b")
    assert bench.step() == [("P-1", OK)]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([{"name": "a", "views": ["cam-a"]}], "at least 2"),
        ([{"name": "a", "views": ["cam-a", "cam-a"]}], "name a camera twice"),
        ([{"name": "a", "views": ["x", "y"]}, {"name": "a", "views": ["v", "w"]}], "two parts are named a"),
        ([{"name": "a", "views": ["x", "y"]}, {"name": "b", "views": ["y", "z"]}], "two parts are seen by y"),
    ],
)
def test_parts_that_cannot_be_told_apart_are_refused(parts: Any, message: str) -> None:
    values = {"site": "plant", "agent": "a", "state_folder": "/tmp/none", "parts": parts}
    with pytest.raises(ConfigurationError, match=message):
        parse_settings(values, AgentSettings, source="agent.toml")
