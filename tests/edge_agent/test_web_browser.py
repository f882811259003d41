"""The operator's page in a real browser: it keeps up with the line, holds still when pointed at, and records."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from edge_agent.agent import Agent
from edge_agent.settings import BrokerSettings
from monitor.registry import Registry
from monitor.service import Monitor
from monitor.settings import MonitorSettings as MonitorConfiguration
from monitor.store.label_tables import LabelRow
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.edge_agent.test_web_inspect import inspect
from tests.simulators.browser import PROGRAM, Browser, browser
from tests.simulators.mosquitto import Mosquitto
from tests.simulators.small_bundle import encoded, picture

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed")

PART = "document.querySelector('#panel article')?.dataset.part"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of this file."""
    with browser() as made:
        yield made


def send(agent: Agent, part_id: str, level: int = 180) -> None:
    inspect(agent, encoded(picture(level)), f"?part_id={part_id}")


def said(agent: Agent, part_id: str) -> str | None:
    entry = agent.core.record.latest_of(part_id)
    return entry.outcome.label if entry is not None and entry.outcome is not None else None


def test_new_parts_appear_by_themselves_and_nothing_complains(chromium: Browser, make_agent: MakeAgent) -> None:
    agent = make_agent()
    chromium.open(agent.url + "/?lang=en")
    chromium.wait_for("document.querySelector('.empty') !== null")
    for n in range(3):
        send(agent, f"p-{n}")
    chromium.wait_for(f"{PART} === 'p-2'")
    chromium.wait_for("document.querySelectorAll('#cards .card').length === 3")
    chromium.wait_for("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert chromium.complaints == []
    assert chromium.run("document.getElementById('offline').hidden")


def test_right_records_the_class_that_was_answered(chromium: Browser, make_agent: MakeAgent) -> None:
    agent = make_agent()
    send(agent, "p-1")
    chromium.open(agent.url + "/?lang=en")
    chromium.run("document.querySelector('[data-right]').click()")
    wait_for(lambda: said(agent, "p-1") == "scratch")
    chromium.wait_for("!document.querySelector('.outcome').hidden")
    chromium.wait_for("document.querySelector('.card').classList.contains('said')")


def choose(label: str) -> str:
    return (
        "{ const list = document.querySelector('#panel select'); "
        f"list.value = '{label}'; list.dispatchEvent(new Event('change', {{ bubbles: true }})) }}"
    )


def test_wrong_records_the_class_that_was_chosen(chromium: Browser, make_agent: MakeAgent) -> None:
    agent = make_agent()
    send(agent, "p-1")
    chromium.open(agent.url + "/?lang=en")
    chromium.run(choose("good"))
    chromium.run("document.querySelector('.send').click()")
    wait_for(lambda: said(agent, "p-1") == "good")


def test_a_class_can_be_named_that_no_model_knows(chromium: Browser, make_agent: MakeAgent) -> None:
    agent = make_agent()
    send(agent, "p-1")
    chromium.open(agent.url + "/?lang=en")
    chromium.run(choose("…"))
    chromium.run("document.querySelector('#panel input').value = 'dent'")
    chromium.run("document.querySelector('.send').click()")
    wait_for(lambda: said(agent, "p-1") == "dent")


def test_a_part_that_was_chosen_stays_while_the_line_goes_on(chromium: Browser, make_agent: MakeAgent) -> None:
    agent = make_agent()
    send(agent, "p-1")
    send(agent, "p-2")
    chromium.open(agent.url + "/?lang=en")
    chromium.run("document.querySelector('.card[data-part=\"p-1\"]').click()")
    chromium.wait_for(f"{PART} === 'p-1'")
    send(agent, "p-3")
    chromium.wait_for("document.querySelector('.card').dataset.part === 'p-3'")
    assert chromium.run(PART) == "p-1"
    chromium.run("document.getElementById('resume').click()")
    chromium.wait_for(f"{PART} === 'p-3'")
    send(agent, "p-4")
    chromium.wait_for(f"{PART} === 'p-4'")


def test_a_paused_page_holds_its_part_while_the_line_goes_on(chromium: Browser, make_agent: MakeAgent) -> None:
    agent = make_agent()
    send(agent, "p-1")
    chromium.open(agent.url + "/?lang=en")
    chromium.run("document.getElementById('pause').click()")
    assert chromium.run("document.getElementById('pause').hidden && !document.getElementById('resume').hidden")
    send(agent, "p-2")
    chromium.wait_for("document.querySelector('.card').dataset.part === 'p-2'")
    assert chromium.run(PART) == "p-1"
    chromium.run("document.getElementById('resume').click()")
    chromium.wait_for(f"{PART} === 'p-2'")
    chromium.wait_for("!document.getElementById('live').hidden")


def test_only_what_is_not_ok_can_be_shown(chromium: Browser, make_agent: MakeAgent) -> None:
    agent = make_agent()
    for n, level in enumerate((80, 180, 80, 180)):
        send(agent, f"p-{n}", level)
    chromium.open(agent.url + "/?lang=en")
    chromium.run("document.querySelector('[data-filter=not_ok]').click()")
    chromium.wait_for("[...document.querySelectorAll('.card')].map((c) => c.dataset.part).join() === 'p-3,p-1'")


def test_a_station_that_is_gone_is_noticed(chromium: Browser, make_agent: MakeAgent) -> None:
    agent = make_agent()
    chromium.open(agent.url + "/?lang=en")
    agent.close()
    chromium.wait_for("!document.getElementById('offline').hidden")


def test_all_of_it_can_be_done_with_the_keyboard(chromium: Browser, make_agent: MakeAgent) -> None:
    agent = make_agent()
    for n in range(3):
        send(agent, f"p-{n}")
    chromium.open(agent.url + "/?lang=en")
    chromium.wait_for(f"{PART} === 'p-2'")
    chromium.press("ArrowLeft")
    chromium.wait_for(f"{PART} === 'p-1'")
    chromium.press("r")
    wait_for(lambda: said(agent, "p-1") == "scratch")
    chromium.press("w")
    chromium.wait_for("document.activeElement.name === 'label'")
    chromium.press("Escape")
    chromium.wait_for(f"{PART} === 'p-2'")
    chromium.press("p")
    assert agent.core.pause.now is None, "one slip stops no line"
    chromium.run("document.activeElement.matches('[data-pause]') && document.activeElement.click()")
    wait_for(lambda: agent.core.pause.now is not None)
    chromium.wait_for("document.querySelector('.halt.on') !== null")
    gone = "ERR_CONNECTION_REFUSED"  # the page of the test before still asked its agent
    assert [each for each in chromium.complaints if gone not in each] == []


@pytest.fixture
def monitor(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Monitor]:
    """A real one, behind a real broker."""
    Registry.init(tmp_path / "monitor" / "registry", ["plant"])
    values = {"state_folder": tmp_path / "monitor", "sites": ["plant"], "broker": {"port": mosquitto.port}}
    made = Monitor(MonitorConfiguration.model_validate({**values, "web": {"port": 0}}))
    up = threading.Event()
    thread = threading.Thread(target=made.run, kwargs={"started": lambda url: up.set()})
    thread.start()
    assert up.wait(30)
    yield made
    made.stop()
    thread.join()


def labelled(monitor: Monitor) -> dict[str, str]:
    """Part -> what an operator said, as the monitor keeps it."""
    with monitor._works.store.read() as session:
        return {row.part_id: row.label for row in session.scalars(select(LabelRow))}


def test_what_the_operator_says_reaches_the_monitor_also_after_an_outage(
    chromium: Browser, make_agent: MakeAgent, monitor: Monitor, mosquitto: Mosquitto
) -> None:
    agent = make_agent(broker=BrokerSettings(port=mosquitto.port, longest_wait_seconds=1.0, resend_seconds=1.0))
    send(agent, "p-1")
    chromium.open(agent.url + "/?lang=en")
    chromium.wait_for("document.getElementById('state').textContent.includes('Connected to the monitor')")
    chromium.run(choose("good"))
    chromium.run("document.querySelector('.send').click()")
    wait_for(lambda: labelled(monitor) == {"p-1": "good"})
    mosquitto.kill()
    chromium.wait_for("document.getElementById('state').textContent.includes('Offline: inspection goes on')")
    send(agent, "p-2")
    chromium.wait_for(f"{PART} === 'p-2'")
    chromium.run("document.querySelector('[data-right]').click()")
    chromium.wait_for("!document.querySelector('.outcome').hidden")
    assert labelled(monitor) == {"p-1": "good"}
    mosquitto.start()
    wait_for(lambda: labelled(monitor) == {"p-1": "good", "p-2": "scratch"})
    chromium.wait_for("document.getElementById('state').textContent.includes('Connected to the monitor')")
