"""Where does the model fail: by site, group, time and every column, and nothing left out in silence."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.trainer.evaluation.conftest import RULE, made
from trainer.evaluation.figures import Answers
from trainer.evaluation.report import Column, Slice
from trainer.evaluation.slices import NONE, slices

BEGIN = datetime(2026, 3, 2, 6, tzinfo=UTC)  # a Monday


def wrong_at(answers: Answers, rows: Sequence[int]) -> Answers:
    """The same, with answers dealt anew among these images."""
    said = answers.probabilities.copy()
    said[rows] = np.random.default_rng(0).permutation(said[rows])
    return Answers(answers.examples, said, RULE)


def times(count: int, step: timedelta) -> list[str]:
    return [(BEGIN + row * step).isoformat() for row in range(count)]


def of(found: tuple[tuple[Slice, ...], tuple[Column, ...]], column: str) -> list[Slice]:
    return [part for part in found[0] if part.column == column]


def note(found: tuple[tuple[Slice, ...], tuple[Column, ...]], column: str) -> str:
    [said] = [each.note for each in found[1] if each.name == column]
    return said


def test_the_column_in_which_the_model_fails_comes_first() -> None:
    shift = ["night" if row % 3 == 0 else "day" for row in range(600)]
    answers = made(600, skill=3.0, shift=shift)
    worst = slices(wrong_at(answers, range(0, 600, 3)))[0][0]
    assert (worst.column, worst.value) == ("shift", "night")
    assert worst.good is not None
    assert worst.defective is not None
    assert worst.good + worst.defective == worst.images == 200
    assert worst.balanced_accuracy.low is not None
    assert worst.auroc is not None
    assert worst.average_precision is not None
    assert worst.calibration_error is not None
    assert sum(each.images for each in worst.classes.values()) == 200
    assert worst.classes["good"].recall.of == worst.good


def test_times_are_parted_by_day_and_by_hours_that_shifts_consist_of() -> None:
    answers = made(600, captured_at=times(600, timedelta(minutes=15)))
    found = slices(wrong_at(answers, range(72, 168)))
    days = of(found, "captured_at: day")
    assert days[0].value == "2026-03-03"
    assert min(part.value for part in days) == "2026-03-02"
    hours = {part.value for part in of(found, "captured_at: hour")}
    assert hours == {f"{begin:02}:00 to {(begin + 4) % 24:02}:00" for begin in (2, 6, 10, 14, 18, 22)}
    assert not of(found, "captured_at: day of the week"), "less than a fortnight"


def test_many_days_are_parted_by_week_and_many_weeks_by_month() -> None:
    weeks = slices(made(600, captured_at=times(600, timedelta(hours=2))))
    assert {part.value for part in of(weeks, "captured_at: week")} >= {"2026-W10", "2026-W16"}
    assert "Monday" in {part.value for part in of(weeks, "captured_at: day of the week")}
    months = slices(made(600, captured_at=times(600, timedelta(hours=12))))
    assert "2026-12" in {part.value for part in of(months, "captured_at: month")}


def test_images_without_a_time_are_a_row_of_their_own() -> None:
    answers = made(300, captured_at=["" if row < 100 else "2026-03-02T10:00:00" for row in range(300)])
    rows = {part.value: part.images for part in of(slices(answers), "captured_at: day")}
    assert rows == {NONE: 100, "2026-03-02": 200}


def test_numbers_are_cut_at_quantiles() -> None:
    area = ["" if row < 40 else str(row / 4) for row in range(600)]
    found = slices(made(600, area=area))
    rows = {part.value: part.images for part in of(found, "area")}
    assert rows[NONE] == 40
    assert rows["10 to 44.75"] == 140
    assert len(rows) == 5
    assert "cut at quantiles" in note(found, "area")


def test_of_many_groups_those_with_most_errors_are_shown_and_all_are_counted() -> None:
    answers = made(600, skill=4.0, per_group=30)
    found = slices(wrong_at(answers, range(60, 90)))
    groups = of(found, "group")
    assert len(groups) == 10
    assert min(groups, key=lambda part: part.accuracy.value or 0.0).value == "g2"
    assert note(found, "group") == "the 10 with most errors of 20 with 20 images or more, of 20 values in all"
    assert note(slices(made(600)), "group") == "600 values, none of them with 20 images"


def test_too_few_images_are_said_with_what_they_show() -> None:
    lamp = ["old" if row < 25 else "new" for row in range(600)]
    few = next(part for part in of(slices(made(600, lamp=lamp)), "lamp") if part.value == "old")
    assert few.too_few
    assert few.balanced_accuracy.value is None
    assert few.auroc is None
    assert few.accuracy.of == 25
    assert of(slices(made(600, lamp=lamp)), "lamp")[-1] == few, "after those that tell something"


def test_sites_are_always_there_and_columns_of_one_value_are_named() -> None:
    answers = made(300, lamp=["new"] * 300)
    assert not of(slices(answers), "site"), "no image names one"
    on_site = Answers(tuple(replace(e, site="mono") for e in answers.examples), answers.probabilities, RULE)
    [only] = of(slices(on_site), "site")
    assert (only.value, only.images) == ("mono", 300)
    assert note(slices(on_site), "lamp") == "one value throughout: new"


@pytest.mark.parametrize("column", ["mask", "bbox_xyxy", "ratings"])
def test_marks_and_ratings_are_no_conditions(column: str) -> None:
    found = slices(made(300, **{column: [f"{row % 2}" for row in range(300)]}))
    assert column not in {each.name for each in found[1]}
