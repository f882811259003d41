"""The line test: the ledger and its figures, and a shift of a few seconds against a real station."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.line.__main__ import dated
from benchmarks.line.cadence import Cadence
from benchmarks.line.ledger import Part, balance, read_ledger, recorded
from benchmarks.line.shift import CAMERAS, Diary, Load, Shift
from benchmarks.line.verdict import Facts, figures, stalls
from runtime.bundle import Bundle
from tests.simulators.small_bundle import encoded, picture


def part(number: int, *, latency: float = 0.01, status: int = 200, decision: str = "OK") -> Part:
    due = number / 10
    return Part(f"p-{number}", "cam-a", due, due, due + latency, status, decision)


def on_record(*parts: Part) -> Counter[tuple[str, str]]:
    return Counter((each.part_id, each.camera) for each in parts)


def test_a_refused_trigger_is_missed_and_unanswered() -> None:
    parts = [part(0), part(1, status=503, decision="-"), part(2, status=422, decision="NO_VERDICT")]
    found = balance(parts, on_record(parts[0], parts[2], parts[2]), triggers=4)  # the fourth never came back
    assert (found.missed, found.unanswered, found.doubled, found.without_verdict) == (2, 2, 1, 1)


def test_the_ratio_is_of_the_slowest_thousandth_and_the_median() -> None:
    parts = [part(number, latency=0.5 if number % 500 == 0 else 0.01) for number in range(1000)]
    found = balance(parts, on_record(*parts), triggers=1000)
    facts = Facts(capacity=20.0, waiting=5, heard=5, activations=2, uploads=1, quota_bytes=10)
    diary = Diary(gauges=[(1.0, {"buffer_bytes": 9.0})])
    cadence = Cadence("", CAMERAS, 10.0, 100.0, ())
    values = {figure.name: figure.value for figure in figures(cadence, parts, found, facts, diary)}
    assert values["p999_over_p50"] == pytest.approx(50.0)
    assert values["quota_share"] == pytest.approx(0.9)
    assert len(stalls(parts, over=0.1)) == 2


@pytest.mark.usefixtures("mosquitto")
def test_a_short_shift_loses_no_part_while_it_drains_activates_and_uploads(
    tmp_path: Path, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line test in a few seconds; `mosquitto` says where there is none."""
    monkeypatch.setattr("benchmarks.line.shift._SCRAPE_SECONDS", 0.5)
    images = []
    for number in range(20):
        images.append(tmp_path / f"{number}.png")
        images[-1].write_bytes(encoded(picture(90, number)))
    folder = tmp_path / "line"
    folder.mkdir()
    load = Load(outbox_bytes=200_000, quota_bytes=100_000, images_each=2, window_seconds=0.5, queue=200)
    shift = Shift(folder, [dated(small_bundle, folder, days) for days in (0, 1)], load)
    try:
        with shift.station() as server:
            cadence = Cadence(server.url, CAMERAS, 20.0, 2.0, tuple(map(str, images)))
            shift.run(cadence, folder / "first", eventful=False)
        waiting = shift.fill_outbox()
        with shift.station() as server:
            cadence = Cadence(server.url, ("cam-c", "cam-d"), 20.0, 8.0, tuple(map(str, images)))
            diary = shift.run(cadence, folder / "ledger")
        parts = read_ledger(folder / "ledger")
        found = balance(parts, recorded(shift.state), triggers=cadence.triggers)
        assert (len(parts), found.missed, found.unanswered, found.doubled) == (160, 0, 0, 0)
        assert waiting > 50
        assert shift.centre.heard >= waiting
        assert shift.centre.activations >= 2
        assert len(diary.entries) == 13
    finally:
        shift.close()
