"""Day by day: windows of days, lines and sites add up, and the camera most worth a look is named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete

from monitor import timeline
from monitor.label_check import CHECKED
from monitor.rules.reason import because
from monitor.store import Store
from monitor.store.label_tables import ImageRow
from monitor.store.rule_tables import IncidentRow
from monitor.store.telemetry_tables import AgentRow, WindowRow
from monitor.web.reading.days import Day, Days
from monitor.web.reading.happened import MOST, DayStory, happened
from tests.monitor.telemetry import HASH
from tests.monitor.web.test_pages import Elements

NOW = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)
TODAY = NOW.date()
LINES = {"agent-1": {"top": "l-1", "side": "l-1"}, "agent-2": {"top": "l-2"}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A site of two lines, of three cameras."""
    store = Store(tmp_path / "monitor.db")
    with store.write() as session:
        for agent, cameras in LINES.items():
            birth = {"cameras": [{"camera": name, "product": "cap", "line": line} for name, line in cameras.items()]}
            session.add(AgentRow(site="mono", agent=agent, boot="b", status_at=NOW, last_seen_at=NOW, birth=birth))
    yield store
    store.close()


def window(store: Store, ended: datetime, agent: str = "agent-1", camera: str = "top", **changes: Any) -> None:
    values: dict[str, Any] = {"state": "OK", "decisions": {"OK": 90, "NG": 10}, "images": 100, **changes}
    with store.write() as session:
        number = session.query(WindowRow).count() + 1
        session.add(
            WindowRow(
                message_id=number, site="mono", agent=agent, camera=camera, product="cap", bundle_hash=HASH,
                runtime="r", started_at=ended - timedelta(minutes=1), ended_at=ended, first_frame=0, last_frame=0,
                labels={}, latency_seconds_sum=1.0, **values,
            )
        )  # fmt: skip


def read(store: Store, **asked: Any) -> list[tuple[date, str, int]]:
    return told(store, Days(), **asked)


def told(store: Store, kept: Days, **asked: Any) -> list[tuple[date, str, int]]:
    with store.read() as session:
        return [(row.day, row.about, row.total.images) for row in kept.read(session, most=7, now=NOW, **asked)]


def test_a_window_belongs_to_the_day_in_which_it_ended_and_to_its_line(store: Store) -> None:
    midnight = NOW.replace(hour=0)
    window(store, midnight - timedelta(seconds=1))
    window(store, midnight)
    window(store, midnight, camera="side")
    window(store, NOW, agent="agent-2")
    window(store, midnight - timedelta(days=6, seconds=1))  # too old for seven days
    today, yesterday = date(2026, 3, 4), date(2026, 3, 3)
    assert read(store, by="line") == [
        (today, "mono / l-1", 200), (today, "mono / l-2", 100), (yesterday, "mono / l-1", 100)
    ]  # fmt: skip
    assert read(store, by="site") == [(today, "mono", 300), (yesterday, "mono", 100)]


def test_the_gravest_state_of_the_day_and_the_camera_that_had_it_are_named(store: Store) -> None:
    for minute in range(4):
        window(store, NOW + timedelta(minutes=minute), camera="side", decisions={"OK": 10, "NG": 90})
        window(store, NOW + timedelta(minutes=minute), state="SENSOR" if minute == 1 else "SUSPECT")
    with store.read() as session:
        (row,) = Days().read(session, by="line", most=1, now=NOW)
    assert (row.total.state, row.total.drifting, row.worst.camera, row.cameras) == ("SENSOR", 1 / 8, "top", 2)
    assert row.total.shares["NG"] == pytest.approx(0.5)
    assert row.of_worst.shares["NG"] == pytest.approx(0.1)


def test_where_nothing_drifts_the_camera_that_rejects_most_is_named(store: Store) -> None:
    window(store, NOW, decisions={"OK": 90, "NG": 10}, state="SUSPECT")
    window(store, NOW, camera="side", decisions={"OK": 80, "REVIEW": 20})
    window(store, NOW, agent="agent-2", decisions={"OK": 85, "NG": 15}, state="LEARNING")
    with store.read() as session:
        (row,) = Days().read(session, by="site", most=1, now=NOW)
    assert (row.total.state, row.total.drifting, row.worst.path) == ("OK", 0.0, "mono/agent-1/top/cap")


def test_a_day_that_was_read_before_takes_in_what_comes_late(store: Store) -> None:
    kept, yesterday = Days(), NOW - timedelta(days=1)
    window(store, yesterday)
    assert told(store, kept, by="site") == told(store, kept, by="site") == [(yesterday.date(), "mono", 100)]
    window(store, yesterday, camera="side")
    assert told(store, kept, by="site") == [(yesterday.date(), "mono", 200)]
    with store.write() as session:
        session.execute(delete(WindowRow))
    assert told(store, kept, by="site") == []


@pytest.mark.parametrize(("states", "said"), [({}, "OK"), ({"LEARNING": 3}, "LEARNING"), ({"NEW_ONE": 3}, "NEW_ONE")])
def test_a_day_without_windows_or_with_states_of_a_newer_version_says_what_it_can(
    states: dict[str, int], said: str
) -> None:
    assert Day(states=states).state == said
    assert Day(states=states).shares["NG"] == 0.0


def test_the_page_shows_it_and_leads_to_the_camera(reader: TestClient) -> None:
    page = reader.get("/days")
    text = " ".join(Elements(page.text).text.split())
    assert "Most worth a look" in text
    assert any(link.startswith("/cameras/") for link in Elements(page.text).values("href"))
    assert '"/days"' in reader.get("/").text
    assert reader.get("/days", params={"last": 400}).status_code == 422


# --- what happened


def image(store: Store, name: str, seen: datetime, camera: str = "top") -> None:
    with store.write() as session:
        session.add(
            ImageRow(
                image_id=name, site="mono", agent="agent-1", camera=camera, product="cap", part_id=name, order_id=None,
                incident_id=None, source="audit", verdict={}, bundle_hash=HASH, blob="b", bytes=1,
                media_type="image/png", triggered_at=seen, received_at=NOW, state="labelled",
            )
        )  # fmt: skip


def noted(store: Store, kind: str, code: str, at: datetime, *, camera: str | None = "top", **also: Any) -> None:
    parameters = (
        {"ratio": 2.0} if code == "over-limit" else {"over": 3, "of": 3, "ratio": 2.0} if code == "drift" else {}
    )
    place = {"agent": "agent-1", "camera": camera, "product": "cap"} if camera else {}
    with store.write() as session:
        timeline.note_reason(session, kind, because(code, **parameters), site="mono", at=at, **place, **also)


def drifted(store: Store, at: datetime, *, cameras: tuple[str, ...] = ("agent-1/top/cap",)) -> None:
    """Over the limit in a window that began two minutes before; taken for the product five minutes later."""
    window(store, at)
    noted(store, "phase", "over-limit", at)
    noted(store, "phase", "drift", at + timedelta(minutes=2))
    with store.write() as session:
        session.add(
            IncidentRow(
                incident_id="i-1", site="mono", state="open", phase="LABELS", diagnosis="product", title="t", reason={},
                cameras=list(cameras), details={}, opened_at=at, updated_at=at,
            )
        )  # fmt: skip
    opened = {"incident_id": "i-1", "what": "opened", "diagnosis": "product"}
    noted(store, "incident", "diagnosis-prior-foretold", at + timedelta(minutes=5), camera=None, **opened)


def story(store: Store, day: date = TODAY) -> DayStory:
    with store.read() as session:
        return happened(session, most=7, now=NOW).get(day, DayStory())


def test_a_diagnosis_stands_with_pictures_from_before_its_drift_and_then(store: Store) -> None:
    at = NOW - timedelta(hours=2)
    for name, minutes in (
        ("long-before", -60),
        ("before", -2),
        ("in-the-first-window", -1),
        ("later", 4),
        ("after", 9),
    ):
        image(store, name, at + timedelta(minutes=minutes))
    image(store, "of-another-camera", at + timedelta(minutes=4), camera="side")
    drifted(store, at)
    drift, diagnosis = story(store).lines
    assert (drift.event is not None and drift.event.code, diagnosis.diagnosis) == ("drift", "product")
    assert [row.image_id for row in diagnosis.before] == ["before", "long-before"]
    assert [row.image_id for row in diagnosis.after] == ["later", "in-the-first-window"]


def test_of_a_day_with_many_drifts_what_needs_somebody_stays(store: Store) -> None:
    drifted(store, NOW - timedelta(hours=2))
    for minute in range(MOST):
        noted(store, "phase", "drift", NOW - timedelta(minutes=minute))
    told = story(store)
    assert (len(told.lines), told.more) == (MOST, 2)
    assert [line.diagnosis for line in told.lines if line.diagnosis] == ["product"]
    assert [line.at for line in told.lines] == sorted(line.at for line in told.lines if line.at)


def test_a_day_whose_labels_do_not_fit_is_told_as_long_as_the_newest_check_finds_it(store: Store) -> None:
    image(store, "pit", NOW)
    odd = {
        "kind": "defects-unlabelled",
        "day": "2026-03-02",
        "images": 15,
        "labelled": 4,
        "expected": 15,
        "shown": ["pit"],
    }
    for days in ([odd], []):
        with store.write() as session:
            told: dict[str, Any] = {"labels": 40, "newest": 1, "odd": len(days), "days": days}
            timeline.note(session, CHECKED, site="mono", at=NOW, **told)
        found = story(store, date(2026, 3, 2)).lines
        assert [line.finding for line in found] == days
        assert [row.image_id for line in found for row in line.after] == ["pit"] * len(days)


def test_what_is_older_than_the_page_is_not_told(store: Store) -> None:
    noted(store, "phase", "drift", NOW - timedelta(days=8))
    with store.read() as session:
        assert happened(session, most=7, now=NOW) == {}
