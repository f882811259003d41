"""A real OPC UA client as the PLC of a real agent: every part ends in the right action, and doubt never in "pass"."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.answer import SafeAction
from contracts.errors import LinkError
from edge_agent.agent import Agent
from edge_agent.outputs.opcua import OpcUa
from edge_agent.outputs.opcua_server import Door
from edge_agent.outputs.output import Pulse
from edge_agent.outputs.settings import OpcUaSettings, OutputsSettings
from edge_agent.outputs.triggers import Triggers
from edge_agent.products.settings import ProductSettings
from edge_agent.settings import AgentSettings, InspectionSettings
from edge_agent.source import Capture
from runtime.bundle import Bundle
from tests.edge_agent.conftest import agent_settings, wait_for
from tests.simulators.captures import frame
from tests.simulators.plc import Judgement, Plc
from tests.simulators.port import free_port, listens
from tests.simulators.small_bundle import picture

GOOD, BAD, BETWEEN = 80, 180, 128
BLACK = np.zeros((48, 48, 3), np.uint8)


class Camera:
    """A camera that shows `shown` every few milliseconds; None: nothing comes."""

    name = "camera"

    def __init__(self) -> None:
        self.shown: NDArray[np.uint8] | int | None = GOOD
        self._closed = threading.Event()
        self._number = 0

    def captures(self) -> Iterator[Capture | None]:
        while not self._closed.wait(0.03):
            shown = self.shown
            if shown is None:
                yield None
                continue
            self._number += 1
            image = picture(shown, self._number) if isinstance(shown, int) else shown
            yield Capture(frame(self._number), image)

    def close(self) -> None:
        self._closed.set()


def outputs(port: int, action: SafeAction = SafeAction.DIVERT) -> OutputsSettings:
    plc = OpcUaSettings(name="plc", camera="cam-a", port=port)
    return OutputsSettings(safe_action=action, heartbeat_seconds=0.1, opcua=(plc,))


def settings(folder: Path, bundle: Bundle | None, port: int, *, deadline: float = 60.0) -> AgentSettings:
    options = InspectionSettings(deadline_seconds=deadline)
    products = (ProductSettings(name="cap"), ProductSettings(name="nut", codes=("4711",)))
    return agent_settings(folder, bundle, inspection=options, outputs=outputs(port), products=products)


class Station:
    """A running agent with one camera, and the port of its PLC."""

    def __init__(self, folder: Path, bundle: Bundle | None, *, deadline: float = 60.0) -> None:
        self.camera, self.port = Camera(), free_port()
        self.agent = Agent(settings(folder, bundle, self.port, deadline=deadline), [self.camera])
        self.agent.start()
        wait_for(lambda: listens(self.port), seconds=90)


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory, small_bundle: Bundle) -> Iterator[Station]:
    """One for all tests that leave it as it was."""
    station = Station(tmp_path_factory.mktemp("station"), small_bundle)
    yield station
    station.agent.close()


@pytest.fixture(autouse=True)
def _good_parts(station: Station) -> None:
    station.camera.shown = GOOD


def test_good_bad_and_doubtful_parts_in_turn(station: Station) -> None:
    agent = station.agent

    async def line() -> list[Judgement]:
        async with Plc(station.port) as plc:
            await plc.wait_for(Ready=True)
            found = []
            for n, level in enumerate((GOOD, BAD, BETWEEN, GOOD)):
                station.camera.shown = level
                await plc.wait_for(Ready=True)
                found.append(await plc.judge(f"P-{n}"))
            await plc.wait_for(Ready=True, Result=0, ResultPartId="", ResultReady=False)
            return found

    found = asyncio.run(line())
    assert [one.action for one in found] == ["pass", "reject", "divert", "pass"]
    assert [one.result for one in found] == [1, 2, 3, 1]
    assert [one.part_id for one in found] == ["P-0", "P-1", "P-2", "P-3"]
    decisions = [agent.core.record.latest_of(f"P-{n}").verdict.decision for n in range(4)]  # type: ignore[union-attr]
    assert decisions == ["OK", "NG", "REVIEW", "OK"]


def test_the_products_tag_counts_when_trigger_rises_and_an_unknown_one_is_no_verdict(station: Station) -> None:
    async def line() -> list[Judgement]:
        async with Plc(station.port) as plc:
            found = []
            for number, code in enumerate(("4711", "nobody", "cap")):
                await plc.wait_for(Ready=True)
                await plc.write(Product=code)
                found.append(await plc.judge(f"T-{number}"))
            await plc.write(Product="")
            return found

    found = asyncio.run(line())
    assert [one.action for one in found] == ["pass", "divert", "pass"]
    assert found[1].reason == "product 'nobody' is not one of the [[products]] of this station"
    products = [station.agent.core.record.latest_of(f"T-{n}").verdict.frame.product for n in range(3)]  # type: ignore[union-attr]
    assert products == ["nut", "unknown", "cap"]


def test_a_faulty_camera_gives_no_verdict_and_the_reason(station: Station) -> None:
    station.camera.shown = BLACK
    wait_for(lambda: station.agent.core.station.faults)

    async def line() -> Judgement:
        async with Plc(station.port) as plc:
            await plc.wait_for(Ready=True)
            return await plc.judge("dark")

    found = asyncio.run(line())
    assert (found.action, found.result, found.part_id) == ("divert", 4, "dark")
    assert "camera cam-a is faulty" in found.reason
    station.camera.shown = GOOD
    wait_for(lambda: not station.agent.core.station.faults)


def test_without_an_image_or_with_a_late_one_there_is_no_verdict_and_the_next_part_is_not_confused(
    tmp_path: Path, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = Station(tmp_path, small_bundle, deadline=3.0)
    active = station.agent.core.station.active
    assert active is not None
    infer, hold = active.session.infer, threading.Event()
    hold.set()

    def slow(*arguments: Any, **options: Any) -> Any:
        hold.wait(60)
        return infer(*arguments, **options)

    monkeypatch.setattr(active.session, "infer", slow)

    async def line() -> list[Judgement]:
        async with Plc(station.port) as plc:
            await plc.wait_for(Ready=True)
            station.camera.shown = None
            await asyncio.sleep(0.3)  # nothing is under way any more
            hold.clear()
            judging = asyncio.create_task(plc.judge("late"))
            await plc.wait_for(Busy=True)
            station.camera.shown = GOOD
            late = await judging
            while station.agent.core.station.under_way.hanging() is None:
                await asyncio.sleep(0.02)
            await plc.wait_for(Ready=False)
            before = await plc.read("Heartbeat")
            await asyncio.sleep(1.0)
            assert await plc.read("Heartbeat") == before  # ten more, were the agent well
            station.camera.shown = None
            hold.set()
            await plc.wait_for(Ready=True)
            return [late, await plc.judge("nothing")]

    late, nothing = asyncio.run(line())
    for found in (late, nothing):
        assert (found.action, found.result, found.reason) == ("divert", 4, "no verdict before the deadline")
    wait_for(lambda: station.agent.core.record.latest_of("late"))
    entry = station.agent.core.record.latest_of("late")
    assert entry is not None
    assert entry.verdict.decision == "NO_VERDICT"
    assert (entry.verdict.reason or "").startswith("late by ")
    station.agent.close()


def test_without_a_model_a_trigger_is_answered_at_once_with_the_reason(tmp_path: Path) -> None:
    bare = Station(tmp_path, None)

    async def line() -> tuple[Judgement, int, str]:
        async with Plc(bare.port) as plc:
            await plc.wait_for(SafeAction=2)
            while await plc.read("Heartbeat") == 0:
                await asyncio.sleep(0.02)
            careful = await plc.judge("P-1")
            await plc.trigger("P-2")
            await plc.wait_for(ResultReady=True)
            return careful, await plc.read("Result"), await plc.read("Reason")

    careful, result, reason = asyncio.run(line())
    assert (careful.action, careful.why) == ("divert", "not ready")
    assert (result, reason) == (4, "no model is installed yet")
    bare.agent.close()


def test_a_change_of_bundle_between_two_parts_confuses_nothing(station: Station, small_bundle: Bundle) -> None:
    agent = station.agent

    async def line() -> list[Judgement]:
        async with Plc(station.port) as plc:
            found = []
            for n in range(8):
                await plc.wait_for(Ready=True)
                judging = asyncio.create_task(plc.judge(f"P-{n}"))
                inspector = await asyncio.to_thread(agent.core.loader.load, small_bundle.path, small_bundle.hash)
                agent.core.station.activate(inspector)
                found.append(await judging)
            return found

    found = asyncio.run(line())
    assert [(one.part_id, one.result) for one in found] == [(f"P-{n}", 1) for n in range(8)]


def test_a_second_trigger_before_the_result_gets_no_verdict_and_neither_gets_the_first(station: Station) -> None:
    async def line() -> tuple[int, str]:
        async with Plc(station.port) as plc:
            await plc.wait_for(Ready=True)
            station.camera.shown = None
            await asyncio.sleep(0.1)
            await plc.trigger("P-1")
            await plc.wait_for(Busy=True)
            await plc.write(Trigger=False)
            second = await plc.trigger("P-2")
            station.camera.shown = GOOD
            await plc.wait_for(ResultReady=True)
            await asyncio.sleep(0.3)
            assert await plc.read("ResultTriggerId") == second
            return await plc.read("Result"), await plc.read("Reason")

    result, reason = asyncio.run(line())
    assert result == 4
    assert "triggered again" in reason


def test_a_part_id_that_no_record_can_hold_gets_no_verdict(station: Station) -> None:
    async def line() -> Judgement:
        async with Plc(station.port) as plc:
            await plc.wait_for(Ready=True)
            return await plc.judge("../x y")

    found = asyncio.run(line())
    assert (found.result, found.part_id) == (4, "")
    assert "PartId cannot be used" in found.reason


def test_the_heartbeat_counts_while_the_agent_is_well(station: Station) -> None:
    async def line() -> tuple[list[int], float, float]:
        async with Plc(station.port) as plc:
            beats = []
            for _ in range(3):
                await beat_after(plc, await plc.read("Heartbeat"))
                beats.append(await plc.read("Heartbeat"))
            return beats, await plc.read("HeartbeatSeconds"), await plc.read("DeadlineSeconds")

    beats, every, deadline = asyncio.run(line())
    assert beats == sorted(set(beats))
    assert (every, deadline) == (0.1, 60.0)


async def beat_after(plc: Plc, count: int) -> None:
    for _ in range(500):
        if await plc.read("Heartbeat") > count:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("no heartbeat")


def test_a_port_that_is_taken_is_a_broken_link_until_it_is_free_and_a_server_that_ended_comes_back() -> None:
    output = server(Door("127.0.0.1", free_port()))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", output._door.port))
        taken.listen()
        with pytest.raises(LinkError, match="cannot start"):
            output.open()
    output.open()
    output.close()
    with pytest.raises(LinkError, match="started again"):
        output.beat(Pulse(1, None))
    assert output.beat(Pulse(2, None))
    output.close()


def server(door: Door) -> OpcUa:
    return OpcUa(
        "plc",
        "cam-a",
        door,
        Triggers(),
        deadline_seconds=60.0,
        camera_latency_seconds=0.0,
        heartbeat_seconds=1.0,
        safe_action=SafeAction.STOP,
    )
