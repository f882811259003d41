"""Two policies over one history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from monitor.rules.action import Action
from monitor.rules.happening import Happening
from monitor.rules.model import ModelState
from monitor.rules.replaying import Decision, decisions, differences
from monitor.rules.settings import RuleSettings
from tests.simulators.planted_model import SETTINGS, A, B, PlantedModel


class _Recorder(PlantedModel):
    """Remembers what happened."""

    def happen(self, happening: Happening) -> list[Action]:
        self.history = [*getattr(self, "history", []), happening]
        return super().happen(happening)


def history() -> list[Happening]:
    """A drift of both cameras that starts four windows before the end of the hour."""
    model = _Recorder()
    model.learn()
    model.windows(30)
    model.windows(2, {A: "embedding", B: "embedding"})
    model.windows(5)
    model.windows(8, {A: "embedding", B: "embedding"})
    model.labels(60, A, error=0.6)
    return model.history


def decided(found: Sequence[Happening], **changes: object) -> list[Decision]:
    settings: RuleSettings = SETTINGS.model_copy(update=changes)
    return list(decisions(found, settings, state=ModelState(site="plant", product="cap")))


def test_the_same_policy_decides_the_same() -> None:
    found = history()
    assert decided(found)
    assert differences(decided(found), decided(found)) == []


def test_a_quicker_policy_shows_what_it_would_have_raised_and_when() -> None:
    found = history()
    now, then = decided(found), decided(found, windows_over=2, windows_looked_at=2)
    parted = differences(now, then)
    drifts = [pair for pair in parted if pair.either.what == "drift" and pair.either.about == A]
    first = drifts[0]
    assert first.now is not None
    assert first.then is not None
    assert first.now.at - first.then.at >= timedelta(minutes=5)
    assert [pair.at for pair in parted] == sorted(pair.at for pair in parted)


def test_a_policy_that_waits_longer_lacks_decisions_that_are_taken_now() -> None:
    found = history()
    parted = differences(decided(found), decided(found, windows_over=9, windows_looked_at=9))
    assert {"drift", "incident"} <= {pair.either.what for pair in parted if pair.then is None}
    assert "drift" not in {pair.either.what for pair in parted if pair.now is None}


def test_time_passes_between_what_was_recorded() -> None:
    model = _Recorder()
    model.learn()
    model.windows(5, {A: "image"})
    model.now += timedelta(days=3)
    model.windows(1, {A: "image"})
    asked = [decision for decision in decided(model.history) if decision.what == "person asked"]
    assert len(asked) >= 2
