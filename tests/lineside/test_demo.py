"""Pieces of the demo that can be wrong by themselves: the engineer, and figures of a story that did not end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from lineside.demo.engineer import Engineer
from lineside.demo.figures import figures_of
from lineside.demo.narrator import Narrator
from lineside.demo.story import Notes


@dataclass
class Pages:
    """The monitor's API as the engineer uses it."""

    candidates: list[dict[str, Any]]
    posted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def get(self, path: str) -> dict[str, Any]:
        assert path == "/v1/releases"
        return {"candidates": self.candidates}

    def post(self, path: str, body: dict[str, Any]) -> None:
        self.posted.append((path, body))


def candidate(*codes: str, state: str = "approving", origin: str = "retrain") -> dict[str, Any]:
    gate = {"reasons": [{"code": code} for code in codes]}
    return {"candidate_id": "c-1", "release_number": 2, "state": state, "origin": origin, "gate": gate}


@pytest.mark.parametrize(
    ("waiting", "said"),
    [
        (candidate("gate-gold-doubtful", "gate-new-few"), ["/v1/releases/2/approve"]),
        (candidate("gate-gold-doubtful", "gate-new-not-better"), ["/v1/releases/2/reject"]),
        (candidate("gate-gold-doubtful", origin="person"), []),
        (candidate("gate-gold-doubtful", state="shadowing"), []),
    ],
)
def test_engineer_lets_pass_what_only_a_small_gold_set_doubts(waiting: dict[str, Any], said: list[str]) -> None:
    pages = Pages([waiting])
    engineer = Engineer(pages, Narrator())
    engineer.step()
    engineer.step()
    assert [path for path, _ in pages.posted] == said, "each candidate is answered once"
    assert engineer.asked == len(said)


def test_a_story_that_did_not_end_has_no_duration() -> None:
    figures = {figure.name: figure.value for figure in figures_of(Notes(), wall_seconds=None)}
    assert figures["wall_seconds"] is None
