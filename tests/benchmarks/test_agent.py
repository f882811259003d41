"""The agent's benchmark: it measures what its goals ask for."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from benchmarks.agent import measure
from contracts.report import read_goals
from runtime.bundle import Bundle


def test_every_goal_of_the_agent_has_a_measured_figure(small_bundle: Bundle, root: Path) -> None:
    measured = measure(Namespace(quick=True, bundle=small_bundle.path))
    values = {figure.name: figure.value for figure in measured.figures}
    for goal in read_goals(root / "benchmarks" / "goals" / "agent.toml"):
        assert values[goal.figure] is not None, goal.figure
    assert values["overload_other_answers"] == 0
