"""Nobody is kept out of the station's pages: axe-core finds nothing, in light and dark, in both languages."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edge_agent.outputs.settings import OutputsSettings
from edge_agent.settings import BrokerSettings
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.edge_agent.test_web_inspect import inspect
from tests.edge_agent.test_web_outcomes import say
from tests.simulators.axe import AXE, SCHEMES, violations
from tests.simulators.browser import PROGRAM, browser
from tests.simulators.port import free_port
from tests.simulators.small_bundle import encoded, picture
from tests.simulators.tasks_bundle import spotted, write_tasks_bundle

needs_browser = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed")


@needs_browser
def test_no_page_of_a_station_keeps_anybody_out(make_agent: MakeAgent, tmp_path: Path) -> None:
    """With everything on it that there may be: verdicts of all kinds, a defect's place, faults, an answer, trouble."""
    hook = {"name": "hook", "url": f"http://127.0.0.1:{free_port()}/"}
    agent = make_agent(
        bundle=write_tasks_bundle(tmp_path / "bundle"),
        outputs=OutputsSettings.model_validate({"webhook": [hook]}),
        broker=BrokerSettings(port=free_port()),
    )
    for number, image in enumerate((encoded(picture(80)), b"no image", encoded(spotted(24, 12)))):
        inspect(agent, image, f"?part_id=p-{number}")
    for number in range(6):
        inspect(agent, encoded(picture(0, number) // 8), f"?part_id=black-{number}&camera=cam-2")
    inspect(agent, encoded(spotted(24, 12)), "?part_id=p-9")
    say(agent, part_id="p-9", label="good")
    wait_for(lambda: agent.troubles())
    found = []
    with browser() as page:
        for scheme in SCHEMES:
            page.prefer(scheme)
            for path in ("/?lang=en", "/?lang=de", "/records?lang=de", "/records?part_id=none&lang=en", "/connections"):
                page.open(agent.url + path)
                found += [f"{scheme} {path} {line}" for line in violations(page)]
    assert not found, "\n".join(found)


@needs_browser
def test_the_checker_finds_what_is_planted(make_agent: MakeAgent) -> None:
    agent = make_agent()
    with browser() as page:
        page.open(agent.url + "/connections")
        page.run("document.querySelector('.mark').removeAttribute('alt')")
        page.run("document.querySelector('h1').style.color = '#ddd'")
        assert {line.split(":")[0] for line in violations(page)} == {"image-alt", "color-contrast"}


def test_the_checker_is_the_one_that_its_table_names() -> None:
    table = (AXE.parent / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(AXE.read_bytes()).hexdigest() in table
