"""One format for all figures: the demo's report and every benchmark write one `Report` as JSON."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from contracts.errors import ConfigurationError
from contracts.names import Wire


class Goal(Wire):
    """A limit from `benchmarks/goals/NAME.toml`."""

    figure: str
    comparison: Literal["<=", ">=", "==", "<", ">"]
    limit: float
    source: str = ""

    def met_by(self, value: float | None) -> bool:
        """Whether the value satisfies the limit; a missing value never does."""
        if value is None:
            return False
        return {
            "<=": value <= self.limit,
            ">=": value >= self.limit,
            "==": value == self.limit,
            "<": value < self.limit,
            ">": value > self.limit,
        }[self.comparison]


class Figure(Wire):
    """One measured value. `holds` is derived from the goal; None where no goal is set."""

    name: str
    value: float | None
    unit: str = ""
    interval: tuple[float, float] | None = Field(default=None, description="95 % interval")
    goal: Goal | None = None
    holds: bool | None = None
    note: str = Field(default="", description="what was compared with what")


class Report(Wire):
    """What a demo or benchmark found, on which machine, by which command. A quick run satisfies no goal."""

    command: str
    commit: str
    machine: dict[str, Any]
    seconds: float = Field(ge=0.0)
    quick: bool
    figures: tuple[Figure, ...]
    details: dict[str, Any] = {}


def judge(figures: list[Figure], goals: list[Goal], *, quick: bool) -> list[Figure]:
    """The figures with `goal` and `holds` filled in; a goal without a figure becomes a figure without a value."""
    by_name = {goal.figure: goal for goal in goals}
    named = {figure.name for figure in figures}
    complete = figures + [
        Figure(name=goal.figure, value=None, note="not measured") for goal in goals if goal.figure not in named
    ]
    judged = []
    for figure in complete:
        goal = by_name.get(figure.name)
        holds = None if goal is None else goal.met_by(figure.value) and not quick
        judged.append(figure.model_copy(update={"goal": goal, "holds": holds}))
    return judged


def read_goals(path: Path) -> list[Goal]:
    """The goals in a TOML file: an array of tables `[[goal]]` with figure, comparison, limit and source.

    Raises ConfigurationError where the file cannot be read as that, or names one figure twice (`judge` knows one each).
    """
    try:
        goals = [Goal.model_validate(entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["goal"]]
    except OSError as error:
        raise ConfigurationError(f"cannot read the goals in {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, KeyError, ValidationError) as error:
        raise ConfigurationError(f"{path} does not hold [[goal]] tables as expected: {error}") from error
    names = [goal.figure for goal in goals]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"{path} names {', '.join(twice)} more than once; a figure has one goal")
    return goals
