"""A long run of faults is kept trial by trial, and goes on where it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faults.kills import Span, judged
from benchmarks.faults.ledger import Ledger, provenance
from benchmarks.faults.line import Answer
from benchmarks.faults.models import is_back

TRIALS = ["a", "b", "c"]


def ledger(folder: Path, module: str = "benchmarks.faults.ledger", *, older: bool = False) -> Ledger:
    return Ledger(folder, "part", [module], older=older)


def test_a_run_that_was_ended_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    def stop(trial: str) -> dict[str, int]:
        if trial == "b":
            raise KeyboardInterrupt
        return {"number": 1}

    with pytest.raises(KeyboardInterrupt):
        ledger(tmp_path).play(TRIALS, stop)
    played: list[str] = []

    def go_on(trial: str) -> dict[str, int]:
        played.append(trial)
        return {"number": 2}

    outcomes = ledger(tmp_path).play(TRIALS, go_on)
    assert played == ["b", "c"]
    assert [(outcome.trial, outcome.found["number"]) for outcome in outcomes] == [("a", 1), ("b", 2), ("c", 2)]


def test_what_other_code_has_played_counts_only_where_that_is_asked_for_and_is_said(tmp_path: Path) -> None:
    ledger(tmp_path, "benchmarks.table").play(TRIALS, lambda trial: {})
    assert ledger(tmp_path).outcomes(TRIALS) == []
    outcomes = ledger(tmp_path, older=True).outcomes(TRIALS)
    assert provenance(outcomes)["by_older_code"] == len(outcomes) == 3


def test_several_trials_at_once_are_all_kept(tmp_path: Path) -> None:
    trials = [f"trial-{number}" for number in range(20)]
    outcomes = ledger(tmp_path).play(trials, lambda trial: {"name": trial}, at_once=4)
    assert [outcome.found["name"] for outcome in outcomes] == trials


def test_a_trial_whose_line_a_kill_cut_short_is_played_again(tmp_path: Path) -> None:
    ledger(tmp_path).play(TRIALS, lambda trial: {})
    file = tmp_path / "part.jsonl"
    file.write_text(file.read_text()[:-20])
    assert [outcome.trial for outcome in ledger(tmp_path).outcomes(TRIALS)] == ["a", "b"]
    assert len(ledger(tmp_path).play(TRIALS, lambda trial: {})) == 3


def test_what_is_only_recalled_is_not_played(tmp_path: Path) -> None:
    ledger(tmp_path).play(["a"], lambda trial: {})
    recalling = Ledger(tmp_path, "part", ["benchmarks.faults.ledger"], recall=True)
    outcomes = recalling.play(TRIALS, lambda trial: pytest.fail("it was played"))
    assert [outcome.trial for outcome in outcomes] == ["a"]


def answered(*sequences: int) -> list[Answer]:
    return [Answer(f"part-{n}", "camera-1", 200, n, "OK", None, 0.0, 0.0) for n in sequences]


@pytest.mark.parametrize(
    ("answers", "windows", "on_record", "wrong"),
    [
        (answered(0, 1, 2), [(0, 0), (1, 1), (2, 2)], [0, 1, 2], {}),
        (answered(0, 1, 2), [(0, 0), (2, 2)], [0, 1, 2], {"lost": 1, "sums_differ": 1}),
        (answered(0, 1), [(0, 0), (1, 1), (1, 1)], [0, 1], {"twice": 1, "sums_differ": 1}),
        (answered(0, 1, 1), [(0, 0), (1, 1)], [0, 1], {"twice": 1}),
        (answered(0, 1), [(0, 0), (1, 1)], [0], {"off_record": 1, "sums_differ": 1}),
        (answered(0), [(0, 0)], [0, 1], {"lost": 1, "sums_differ": 1}),
    ],
)
def test_a_part_that_is_lost_or_counted_twice_shows(
    answers: list[Answer], windows: list[tuple[int, int]], on_record: list[int], wrong: dict[str, int]
) -> None:
    found = judged(answers, [Span(first, last, last - first + 1) for first, last in windows], on_record)
    kinds = ("lost", "off_record", "twice", "sums_differ")
    assert {kind: found[kind] for kind in kinds} == dict.fromkeys(kinds, 0) | wrong


@pytest.mark.parametrize("wrong", [{"back_seconds": 60.1}, {"tries": 4}, {"served_again": 1}])
def test_a_bad_model_that_stays_too_long_or_comes_again_is_not_back(wrong: dict[str, float]) -> None:
    found = {"back_seconds": 3.0, "tries": 1, "served_again": 0}
    assert is_back(found)
    assert not is_back(found | wrong)
