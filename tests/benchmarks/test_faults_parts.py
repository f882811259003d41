"""Overload, mutated images and disk faults: how a run is judged, and one point of each against a real station."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faults.alone import alone
from benchmarks.faults.disk import failing, judge
from benchmarks.faults.mutants import MUTATIONS, mutant
from benchmarks.faults.originals import originals
from benchmarks.faults.overload import judged
from benchmarks.line.cadence import Cadence
from benchmarks.line.ledger import Part
from contracts.preprocessing import Preprocessing
from runtime.preprocessing import ImageError, decode
from tests.simulators import killed

SPEC = Preprocessing(width=32, height=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def part(number: int, status: int, decision: str, seconds: float = 0.01) -> Part:
    return Part(f"p-{number}", "cam-a", number / 10, number / 10, number / 10 + seconds, status, decision)


def test_a_refusal_that_does_not_say_when_to_come_back_is_another_answer() -> None:
    parts = [part(0, 200, "OK"), part(1, 503, "later", 0.04), part(2, 503, "-"), part(3, 0, "-")]
    found = judged(parts, [0.01, 0.02], capacity=10.0, cadence=Cadence("", ("cam-a",), 40.0, 0.1, ()))
    assert found["others"] == 2
    assert found["goodput_share"] == pytest.approx(1.0)
    assert found["refusal_p99_seconds"] == pytest.approx(0.04)
    assert found["live_p99_seconds"] == pytest.approx(0.02)


def _decodes(data: bytes) -> bool:
    try:
        return decode(data, SPEC).ndim == 3
    except ImageError:
        return False


def test_sound_originals_are_taken_and_the_others_refused() -> None:
    assert {each.name: _decodes(each.data) for each in originals()} == {each.name: each.taken for each in originals()}


def test_a_mutant_follows_from_its_number_and_every_way_comes() -> None:
    made = [mutant(number) for number in range(2, 202)]
    assert made == [mutant(number) for number in range(2, 202)]
    assert {each.kind for each in made} == {*MUTATIONS, "unchanged"}


@pytest.mark.skipif(not killed.AVAILABLE, reason="strace may not trace here: scripts/services installs it where it may")
def test_a_station_whose_disk_answers_with_errors_says_so_and_goes_on(tmp_path: Path) -> None:
    """Two of the 100 points of `python -m benchmarks.faults --only disk`."""
    with alone(tmp_path) as station:
        found = judge(station, [failing("fdatasync", "EIO", "1+"), failing("openat", "EIO", "2+")])
    syncing, opening = found["points"]
    for point in (syncing, opening):
        assert not point["crashed"]
        assert point["recovered_seconds"] is not None
        assert point["unclear"] == 0
    assert syncing["said"]
    assert syncing["answers"]["503"] > 0
    assert (found["lost"], found["sound"]) == (0, True)
