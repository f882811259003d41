"""kill -9 and freezing of the agent, between trigger and result and anywhere else: the PLC ends in the safe action."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runtime.bundle import Bundle
from tests.simulators import plc_agent_program
from tests.simulators.plc import Judgement, Plc
from tests.simulators.port import free_port, wait_until_it_listens

KILLS = 100 if os.environ.get("LINESIDE_LONG") else 2


class Killable:
    """The agent's process; its PLC finds it at `port`."""

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        self.port, self.folder = free_port(), folder
        self._command = [sys.executable, plc_agent_program.__file__, str(folder), str(self.port), str(bundle.path)]
        self._environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=log, env=self._environment)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith(b"http"), (self.folder / "log").read_text()
        wait_until_it_listens(self.port, self.process, seconds=90)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.kill()
        self.process.stdout.close()
        self.process.wait(30)

    def decisions(self) -> dict[str, str]:
        """Part -> decision, of all parts that a PLC named."""
        with closing(sqlite3.connect(f"file:{self.folder}/agent/agent.sqlite?mode=ro", uri=True)) as db:
            return dict(db.execute("SELECT part_id, decision FROM verdicts WHERE part_id LIKE 'P-%'").fetchall())


@pytest.fixture
def agent(tmp_path: Path, small_bundle: Bundle) -> Iterator[Killable]:
    agent = Killable(tmp_path, small_bundle)
    yield agent
    if agent.process is not None and agent.process.poll() is None:
        agent.kill()


@pytest.mark.timeout(600)
def test_an_agent_killed_between_trigger_and_result_leaves_the_plc_in_the_safe_action(agent: Killable) -> None:
    async def killed() -> Judgement:
        async with Plc(agent.port) as plc:
            await plc.wait_for(Ready=True)
            number = await plc.trigger("P-1")
            await plc.wait_for(Busy=True)
            (agent.folder / "parts").touch()
            agent.kill()
            return await plc.decide(number)

    async def afterwards() -> tuple[dict[str, object], Judgement]:
        async with Plc(agent.port) as plc:
            await plc.wait_for(Ready=True)
            left = {name: await plc.read(name) for name in ("ResultReady", "Result", "ResultPartId")}
            return left, await plc.judge("P-2")

    agent.start()
    judgement = asyncio.run(killed())
    assert judgement.action == "divert"
    assert judgement.why.startswith("connection lost")
    agent.start()
    left, following = asyncio.run(afterwards())
    assert left == {"ResultReady": False, "Result": 0, "ResultPartId": ""}
    assert (following.action, following.part_id) == ("pass", "P-2")
    assert agent.decisions().get("P-1") in (None, "OK")


@pytest.mark.timeout(600)
def test_a_frozen_agent_leaves_the_plc_in_the_safe_action(agent: Killable) -> None:
    async def frozen() -> Judgement:
        async with Plc(agent.port, timeout=3.0, wait_seconds=3.0) as plc:
            await plc.wait_for(Ready=True)
            number = await plc.trigger("P-1")
            await plc.wait_for(Busy=True)
            agent.signal(signal.SIGSTOP)
            (agent.folder / "parts").touch()
            judgement = await plc.decide(number)
            agent.signal(signal.SIGCONT)
            return judgement

    agent.start()
    assert asyncio.run(frozen()).action == "divert"


@pytest.mark.timeout(7200)
def test_killed_at_any_moment_every_part_that_passed_was_found_good(agent: Killable) -> None:
    """2 kills (100 with LINESIDE_LONG=1) while parts pass one after another; looked at after each."""
    (agent.folder / "parts").touch()
    when, good = random.Random(11), 0

    async def line(kill: int) -> dict[str, Judgement]:
        judgements: dict[str, Judgement] = {}
        async with Plc(agent.port) as plc:
            await plc.wait_for(Ready=True)
            asyncio.get_running_loop().call_later(when.uniform(0.5, 3.0), agent.signal, signal.SIGKILL)
            for part in range(10_000):
                judgement = judgements[f"P-{kill}-{part}"] = await plc.judge(f"P-{kill}-{part}")
                if judgement.why.startswith("connection lost"):
                    break
                if judgement.why == "not ready":
                    await asyncio.sleep(0.01)
        return judgements

    for kill in range(KILLS):
        agent.start()
        judgements = asyncio.run(line(kill))
        agent.kill()
        found = agent.decisions()
        passed = [part for part, judgement in judgements.items() if judgement.action == "pass"]
        good += len(passed)
        assert [part for part in passed if found.get(part) != "OK"] == []
        assert {judgement.action for judgement in judgements.values()} <= {"pass", "divert"}
        last = list(judgements.values())[-1]
        assert (last.action, last.why.partition(":")[0]) == ("divert", "connection lost")
    assert good >= KILLS
