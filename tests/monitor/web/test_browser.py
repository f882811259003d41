"""The pages in a real browser: their scripts run under their own policy, keys and buttons do what they say."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from sqlalchemy import select

from monitor.store.label_tables import LabelRow, RatingRow
from monitor.store.rollout_tables import CandidateRow, OrderRow, ThresholdsRow
from monitor.store.rule_tables import EventRow
from monitor.works import Works
from tests.monitor.web.conftest import make_pages
from tests.monitor.web.test_pages import CAMERA, LOOK, PAGES
from tests.simulators.axe import SCHEMES, violations
from tests.simulators.browser import PROGRAM, Browser, browser
from tests.simulators.seeded_store import HASHES, SITE

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of this file."""
    with browser() as made:
        yield made


@pytest.fixture
def address(works: Works) -> Iterator[str]:
    """Where the monitor is served."""
    server = uvicorn.Server(uvicorn.Config(make_pages(works), port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_no_page_complains(chromium: Browser, address: str) -> None:
    """No exception, no broken content policy, no missing file; moments are written the reader's way."""
    for path in PAGES:
        chromium.open(address + path)
        chromium.wait_for(
            "![...document.querySelectorAll('time')].some((moment) => moment.textContent.includes('UTC'))"
        )
        assert chromium.complaints == [], path
        assert chromium.run("document.getElementById('offline').hidden"), path


def test_no_page_keeps_anybody_out(chromium: Browser, address: str) -> None:
    """axe-core finds nothing of level A or AA, in light and dark; in German once, whose words are longer."""
    found = []
    for scheme in SCHEMES:
        chromium.prefer(scheme)
        for path in (*PAGES, "/?lang=de"):
            chromium.open(address + path)
            found += [f"{scheme} {path} {line}" for line in violations(chromium)]
    chromium.prefer("light")
    chromium.open(address + "/?lang=en")  # the choice is kept in a cookie
    assert not found, "\n".join(found)


def test_a_camera_has_its_charts_and_can_show_more(chromium: Browser, address: str) -> None:
    chromium.open(address + CAMERA)
    chromium.wait_for("document.querySelectorAll('.charts canvas').length === 6")
    words = chromium.run("document.querySelector('[data-legend=state]').textContent")
    assert "Harmful drift" in words
    assert "Diagnosing" not in words
    chromium.run("document.querySelector('[data-windows=\"480\"]').click()")
    chromium.wait_for("document.querySelector('[data-legend=state]').textContent.includes('Look at the camera')")
    assert chromium.complaints == []


def _labels(works: Works) -> list[tuple[str | None, str, str]]:
    with works.store.read() as session:
        rows = session.scalars(select(LabelRow).where(LabelRow.image_id.like("image%")).order_by(LabelRow.id))
        return [(row.image_id, row.label, row.rater) for row in rows]


def _shown(chromium: Browser) -> str:
    return str(chromium.run("document.getElementById('picture').dataset.id"))


def _saved(works: Works, count: int) -> list[tuple[str | None, str, str]]:
    """The labels, once there are so many or it has taken long."""
    for _ in range(400):
        if len(_labels(works)) == count:
            break
        time.sleep(0.02)
    return _labels(works)


def test_a_rater_answers_with_keys_and_can_take_answers_back(chromium: Browser, address: str, works: Works) -> None:
    chromium.open(address + "/labels")
    chromium.wait_for("document.querySelectorAll('#classes button').length === 4")
    assert chromium.run("document.querySelector('#classes button').textContent") == "1good"
    first = _shown(chromium)
    chromium.run("localStorage.setItem('lineside-rater', 'rater-9')")
    chromium.press("2")
    assert _shown(chromium) != first
    chromium.press("u")
    assert _shown(chromium) == first
    assert _labels(works) == []
    for key in "12u":
        chromium.press(key)
    chromium.run("document.getElementById('undo').click()")  # the one before, too
    assert _shown(chromium) == first
    chromium.press("4")
    second = _shown(chromium)
    chromium.press("1")
    chromium.wait_for("document.getElementById('progress').textContent.startsWith('302 labelled')")
    chromium.open(address + "/timeline")  # leaving the page sends what is held
    assert sorted(_saved(works, 2)) == [(first, "stain", "rater-9"), (second, "good", "rater-9")]
    with works.store.read() as session:
        looked = session.scalars(select(RatingRow.seconds).where(RatingRow.via == "page", RatingRow.rater == "rater-9"))
        assert all(seconds is not None and 0.0 < seconds < 600.0 for seconds in looked)


def test_a_class_of_ones_own_is_named_and_waits_for_a_second_person(
    chromium: Browser, address: str, works: Works
) -> None:
    chromium.open(address + "/labels")
    chromium.wait_for("document.querySelectorAll('#classes button').length === 4")
    chromium.press("?")
    assert (
        chromium.run("document.getElementById('help').open && document.querySelectorAll('.shortcuts kbd').length") == 6
    )
    chromium.press("z")
    assert chromium.run("document.querySelector('.picture.close img').offsetWidth > document.body.offsetWidth")
    chromium.press("z")
    chromium.press("n")
    assert chromium.run("document.activeElement.id") == "name"
    chromium.run("document.getElementById('name').value = 'dent'; document.getElementById('naming').requestSubmit()")
    assert chromium.run("document.getElementById('said').textContent") == "Last answer: dent"
    assert chromium.run("document.getElementById('naming').hidden")
    chromium.wait_for("document.getElementById('toast').textContent.includes('second person has named it')")
    with works.store.read() as session:
        assert session.scalars(select(RatingRow.label).where(RatingRow.image_id == "image000")).all() == ["dent"]
    assert _labels(works) == []


def test_a_picture_put_off_comes_again_after_the_others(chromium: Browser, address: str) -> None:
    chromium.open(address + "/labels")
    chromium.wait_for("document.getElementById('picture').dataset.id === 'image000'")
    for _ in range(4):
        chromium.press(" ")
    chromium.wait_for("document.getElementById('picture').dataset.id === 'image000'")


def test_a_typed_pseudonym_is_no_answer(chromium: Browser, address: str, works: Works) -> None:
    chromium.open(address + "/labels")
    chromium.wait_for("document.querySelectorAll('#classes button').length === 4")
    first = _shown(chromium)
    chromium.run("document.getElementById('rater').focus()")
    chromium.press("1")
    assert _shown(chromium) == first
    assert chromium.run("document.getElementById('rater').value").endswith("1")


def test_repaired_is_one_click(chromium: Browser, address: str, works: Works) -> None:
    chromium.open(address + "/incidents")
    chromium.run("document.querySelector('[data-post$=\"incident-3/repaired\"]').click()")
    chromium.wait_for("document.getElementById('toast').textContent === 'Done.'")
    with works.store.read() as session:
        codes = session.scalars(select(EventRow.code).where(EventRow.incident_id == "incident-3")).all()
    assert "person.repaired" in codes


def test_approval_needs_a_reason(chromium: Browser, address: str, works: Works) -> None:
    chromium.open(address + "/releases")
    chromium.run("document.querySelector('[data-post$=\"/approve\"]').click()")
    assert chromium.run("document.querySelector('input[name=reason]:invalid') !== null")
    chromium.run("document.querySelector('[data-post$=\"/approve\"]').form.elements.reason.value = 'looks right'")
    chromium.run("document.querySelector('[data-post$=\"/approve\"]').click()")
    chromium.wait_for("document.getElementById('toast').textContent === 'Done.'")
    with works.store.read() as session:
        words = session.get_one(CandidateRow, "candidate-4").approvals
    assert [(word["approved"], word["reason"]) for word in words] == [(True, "looks right")]


def test_a_benchmark_is_ordered_with_a_reason_from_the_agent_that_is_chosen(
    chromium: Browser, address: str, works: Works
) -> None:
    chromium.open(address + "/releases")
    chromium.run(
        "const ask = document.querySelector('.release.active [data-post=\"/v1/benchmarks\"]');"
        "ask.form.elements.agent.value = 'press-4'; ask.form.elements.reason.value = 'new processor'; ask.click()"
    )
    chromium.wait_for("document.getElementById('toast').textContent === 'Done.'")
    with works.store.read() as session:
        orders = session.scalars(select(OrderRow).where(OrderRow.agent == "press-4", OrderRow.kind == "benchmark"))
        (order,) = orders.all()
    assert (order.state, order.body["reason"], order.body["bundle_hash"]) == ("open", "new processor", HASHES[3])
    chromium.wait_for("document.querySelector('.release.active details[open]')?.innerText.includes('press-4 is asked')")
    assert chromium.complaints == []


def test_a_no_of_the_monitor_is_shown_in_its_own_words(chromium: Browser, address: str, works: Works) -> None:
    chromium.open(address + "/releases")
    with works.store.write() as session:
        session.get_one(CandidateRow, "candidate-4").state = "refused"
    chromium.run(
        "const button = document.querySelector('[data-post$=\"/approve\"]'); button.form.elements.reason.value = 'yes';"
        "button.click()"
    )
    chromium.wait_for("document.getElementById('toast').textContent.includes('release 4 is refused')")


def test_the_fleet_renews_itself_and_says_when_the_monitor_is_away(chromium: Browser, address: str) -> None:
    chromium.open(address + "/")
    chromium.run("document.querySelector('#live').remove_me = true; htmx.trigger('#live', 'every')")
    chromium.run("htmx.ajax('GET', '/', { source: '#live', target: '#live', select: '#live', swap: 'outerHTML' })")
    chromium.wait_for("document.querySelector('#live').remove_me === undefined")
    chromium.run("htmx.ajax('GET', '/nowhere', { source: '#live', target: '#live', swap: 'none' })")
    chromium.wait_for("!document.getElementById('offline').hidden")


def test_thresholds_are_looked_at_and_then_signed(chromium: Browser, address: str, works: Works) -> None:
    chromium.open(f"{address}/thresholds")
    chromium.run("document.querySelector('.wish [name=review_from]').value = '0.2'")
    chromium.run("document.querySelector('.wish [name=ng]').value = '0.7013'")
    chromium.run("document.querySelector('.wish button').click()")
    chromium.wait_for("Boolean(window.lineside) && location.search.includes('ng=0.7013')")
    chromium.wait_for("document.querySelectorAll('svg.scores .is-REVIEW').length > 40")
    assert "NG from 0.7 and review from 0.2" in chromium.run("document.querySelector('main').textContent")
    chromium.run("window.confirm = () => true")
    chromium.run("document.querySelector('[data-post=\"/v1/thresholds\"]').form.reason.value = 'fewer escapes'")
    chromium.run("document.querySelector('[data-post=\"/v1/thresholds\"]').click()")
    chromium.wait_for("document.getElementById('toast').textContent === 'Done.'")
    with works.store.read() as session:
        first, second = session.scalars(select(ThresholdsRow).order_by(ThresholdsRow.number)).all()
    assert (first.ended_at is not None, second.thresholds["ng"], second.thresholds["review_from"]) == (True, 0.7, 0.2)
    assert second.reason == "fewer escapes"


def test_a_price_that_a_form_sends_is_a_field_of_prices(chromium: Browser, address: str, works: Works) -> None:
    chromium.open(f"{address}{LOOK}")
    chromium.run("window.confirm = () => true")
    chromium.run("document.querySelector('[data-post=\"/v1/thresholds\"]').form.reason.value = 'escapes cost'")
    chromium.run("document.querySelector('[data-post=\"/v1/thresholds\"]').click()")
    chromium.wait_for("document.getElementById('toast').textContent === 'Done.'")
    with works.store.read() as session:
        row = session.get_one(ThresholdsRow, (SITE, 2))
    assert (row.thresholds["cost_escape"], row.thresholds["cost_review"]) == (20.0, 0.2)
    assert row.thresholds["most_reviewed"] == pytest.approx(50 / 2000)
