"""The replay through the real system, small: planted pictures instead of the spindle's; figures that can be wrong."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.drift.played import Part, by_day, moved, playing
from benchmarks.drift.replayed import changes_of, play, settings, shown_on
from benchmarks.drift.retold import Changes, Told, by_learning, figures
from contracts.report import Figure
from tests.simulators.monitored_plant import SITE, certified_bundle, write_gold
from tests.simulators.small_bundle import picture

THEN = datetime(2020, 9, 1, 6, tzinfo=UTC)
DAYS, IMAGES, LEARNED = 6, 20, 28  # days, images of one, windows to learn
OTHER_CROP = DAYS - 2  # the day from which on it is set
needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto", path="/usr/bin:/usr/sbin:/usr/local/sbin") is None,
    reason="mosquitto is not installed (scripts/services)",
)


def planted(folder: Path) -> list[Part]:
    """Half of each day's parts is scratched (bright). The camera then shows a larger, softer crop; on the last day
    nobody has labelled the scratched ones."""
    folder.mkdir()
    return [_part(folder, day, number) for day in range(DAYS) for number in range(IMAGES)]


def _part(folder: Path, day: int, number: int) -> Part:
    scratched = number % 4 < 2
    shown = Image.fromarray(picture(170 if scratched else 90, 100 * day + number))
    if day >= OTHER_CROP:
        shown = shown.resize((96, 64), Image.Resampling.BICUBIC)
    shown.save(path := folder / f"part-{day}-{number}.png")
    label = "scratch" if scratched and day < DAYS - 1 else "good"
    return Part(path, label, THEN + timedelta(days=day, minutes=number), f"crop-{day >= OTHER_CROP}")


@dataclass(frozen=True)
class Played:
    """What the real system made of it."""

    parts: list[Part]
    changes: Changes
    told: Told
    page: str

    @property
    def figures(self) -> dict[str, Figure]:
        found = figures(self.told, self.changes, [part.taken_at for part in self.parts], 2, LEARNED)
        return {figure.name: figure for figure in found}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("played")
    parts = moved(planted(folder / "parts"), datetime.now(UTC))
    windows = {"commissioning_windows": LEARNED, "commissioning_most_windows": LEARNED}
    monitor = {"rules": settings()["rules"] | windows}
    bundle, gold = certified_bundle(folder / "bundle", site=SITE), write_gold(folder / "gold")
    with playing(folder, bundle, gold, monitor=monitor, window=2) as plant:
        nights = play(plant, parts, every_night=False)
        page = plant.page("/days?last=31")
        told = Told(plant.events(), nights, shown_on(page))
    return Played(parts, changes_of(parts, parts[IMAGES * OTHER_CROP].taken_at), told, page)


@needs_mosquitto
def test_real_processes_take_another_crop_for_the_camera_and_are_silent_before(played: Played) -> None:
    found = played.figures
    assert found["replayed_false_drifts"].value == 0
    assert found["replayed_crop"].value == 1
    assert "96 x 64 pixels instead of 48 x 48" in (found["replayed_crop"].note or "")
    assert found["replayed_retrains"].value == 0


@needs_mosquitto
def test_the_day_without_its_labels_is_named_and_no_other(played: Played) -> None:
    assert played.figures["replayed_last_day"].value == 1
    assert "0 of 20 labelled, about 11 look so" in (played.figures["replayed_last_day"].note or "")
    assert played.figures["replayed_other_days"].value == 0


@needs_mosquitto
def test_one_page_shows_profile_drift_pictures_and_labels_that_do_not_fit(played: Played) -> None:
    assert played.told.shown == {"profile": True, "pitting": False, "camera": True, "pictures": True, "labels": True}
    last = by_day(played.parts)
    assert [f"<h2>{day}</h2>" in played.page for day in last] == [True] * DAYS


def test_pictures_move_by_whole_weeks_until_the_last_lies_in_the_past() -> None:
    parts = [Part(Path(f"{day}.png"), "good", THEN + timedelta(days=day)) for day in (3, 0)]
    now = datetime(2026, 3, 4, tzinfo=UTC)
    first, last = moved(parts, now)
    assert (first.path.name, last.path.name) == ("0.png", "3.png")
    assert timedelta() <= now - last.taken_at < timedelta(weeks=1)
    assert (first.taken_at - THEN) % timedelta(weeks=1) == timedelta()


CHANGES = Changes(THEN, THEN + timedelta(days=2), date(2020, 9, 5))
ODD = {"kind": "defects-unlabelled", "day": "2020-09-05", "labelled": 4, "images": 15, "expected": 15}


def event(day: float, kind: str, code: str, **parameters: Any) -> dict[str, Any]:
    at = (THEN + timedelta(days=day)).isoformat()
    return {"at": at, "kind": kind, "code": code, "text": code, "parameters": parameters}


RIGHT = Told(
    [
        event(1, "phase", "drift"),
        event(1, "incident", "diagnosis-prior", diagnosis="prior"),
        event(2.5, "ticket", "diagnosis-sensor-size", symptoms=["moved"]),
        event(2.5, "incident", "diagnosis-sensor-size", diagnosis="sensor"),
    ],
    {"2020-09-05": [ODD]},
    {"profile": True},
)


def judged(told: Told) -> dict[str, float | None]:
    return {figure.name: figure.value for figure in figures(told, CHANGES, [THEN - timedelta(days=1), THEN], 1, 1)}


def test_a_right_play_meets_every_goal() -> None:
    assert judged(RIGHT) == {
        "replayed_false_drifts": 0,
        "replayed_pitting": 1,
        "replayed_crop": 1,
        "replayed_last_day": 1,
        "replayed_other_days": 0,
        "replayed_retrains": 0,
        "replayed_on_one_page": 1,
    }


@pytest.mark.parametrize(
    ("figure", "wrong", "events"),
    [
        ("replayed_false_drifts", 1, [event(-1, "phase", "slow-drift")]),
        ("replayed_pitting", 0, [event(1.5, "incident", "diagnosis-sensor-image", diagnosis="sensor")]),
        ("replayed_crop", 0, [event(3, "incident", "diagnosis-doubt", diagnosis="product")]),
        ("replayed_retrains", 1, [event(3, "retrain", "governor-go", what="ordered")]),
    ],
    ids=["drift-before", "pitting-is-the-camera", "crop-is-the-product", "retrain"],
)
def test_a_wrong_diagnosis_is_counted_as_wrong(figure: str, wrong: int, events: list[dict[str, Any]]) -> None:
    assert judged(replace(RIGHT, events=[*RIGHT.events, *events]))[figure] == wrong


def test_a_day_that_is_not_named_and_one_that_is_named_wrongly_are_counted() -> None:
    nights = {"2020-09-04": [{**ODD, "day": "2020-09-03"}], "2020-09-05": [{**ODD, "kind": "defects-overlabelled"}]}
    found = judged(replace(RIGHT, nights=nights))
    assert (found["replayed_last_day"], found["replayed_other_days"]) == (0, 2)


def test_where_nothing_was_said_nothing_is_right() -> None:
    found = judged(Told([], {"2020-09-05": []}, {}))
    assert (found["replayed_pitting"], found["replayed_crop"], found["replayed_last_day"]) == (0, 0, 0)


def test_a_camera_that_was_looked_at_before_is_set_up_anew_by_its_ticket_alone() -> None:
    first = event(1, "incident", "diagnosis-sensor-image", diagnosis="sensor")
    ticket = event(2.5, "ticket", "diagnosis-sensor-size", what="opened", symptoms=["moved"])
    assert judged(replace(RIGHT, events=[first, ticket]))["replayed_crop"] == 1
    other = event(2.5, "ticket", "diagnosis-sensor-image", what="opened", symptoms=["dirt"])
    assert judged(replace(RIGHT, events=[first, other]))["replayed_crop"] == 0


def test_how_long_was_learned_is_counted_length_by_length() -> None:
    def course(kind: str, *said: str) -> list[dict[str, Any]]:
        windows = (("pitting", None, ()), ("pitting", kind, ()), ("new-crop", "sensor", said))
        return [{"part": part, "incident": taken, "said": words} for part, taken, words in windows]

    told = {50: course("prior", "open-ticket: diagnosis-sensor-size"), 52: course("sensor")}
    pitting, crop = by_learning(told)
    assert (pitting.value, crop.value) == (0.5, 0.5)
    assert (pitting.note or "").endswith("50 prior, 52 sensor")


def test_the_spindle_is_watched_by_as_many_windows_as_its_replay_in_memory() -> None:
    assert settings()["rules"]["commissioning_windows"] == 60
    assert np.isclose(settings()["rules"]["settle_minutes"], 0.0)
