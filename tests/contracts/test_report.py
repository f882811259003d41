"""Goals decide whether a figure holds, and nothing can make a missing figure hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ConfigurationError
from contracts.report import Figure, Goal, judge, read_goals

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
GOAL = Goal(figure="delay", comparison="<=", limit=4)


def held(figures: list[Figure], *, quick: bool = False) -> dict[str, bool | None]:
    return {figure.name: figure.holds for figure in judge(figures, [GOAL], quick=quick)}


def test_figure_within_its_goal_holds() -> None:
    assert held([Figure(name="delay", value=4)]) == {"delay": True}


def test_figure_beyond_its_goal_does_not_hold() -> None:
    assert held([Figure(name="delay", value=4.01)]) == {"delay": False}


def test_null_figure_does_not_hold() -> None:
    assert held([Figure(name="delay", value=None)]) == {"delay": False}


def test_missing_figure_is_added_and_does_not_hold() -> None:
    assert held([Figure(name="other", value=1)]) == {"other": None, "delay": False}


@given(NUMBERS)
def test_quick_run_satisfies_no_goal(value: float) -> None:
    assert held([Figure(name="delay", value=value)], quick=True) == {"delay": False}


def test_holds_that_a_benchmark_claims_is_not_believed() -> None:
    assert held([Figure(name="delay", value=9, holds=True), Figure(name="free", value=1, holds=True)]) == {
        "delay": False,
        "free": None,
    }


@given(NUMBERS, NUMBERS)
def test_comparisons_mean_what_they_say(value: float, limit: float) -> None:
    meets = {
        sign: Goal(figure="x", comparison=sign, limit=limit).met_by(value) for sign in ("<", "<=", "==", ">=", ">")
    }
    assert meets["<"] == (not meets[">="])
    assert meets[">"] == (not meets["<="])
    assert meets["=="] == (meets["<="] and meets[">="])


def test_goals_are_read_from_toml(tmp_path: Path) -> None:
    file = tmp_path / "delay.toml"
    file.write_text('[[goal]]\nfigure = "delay"\ncomparison = "<="\nlimit = 4\n')
    assert read_goals(file) == [GOAL]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[goal]\n", "does not hold"),
        ("goals = 3\n", "does not hold"),
        ('[[goal]]\nfigure = "delay"\ncomparison = "about"\nlimit = 4\n', "does not hold"),
        ('[[goal]]\nfigure = "d"\ncomparison = "<"\nlimit = 4\n' * 2, "names d more than once"),
    ],
)
def test_goals_that_cannot_be_read_are_an_error(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "delay.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_goals(file)


def test_missing_goals_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.toml"):
        read_goals(tmp_path / "nothing.toml")
