"""A search over the recipe: judged by held-out images alone, cautious, repeatable, and not lost when it is killed."""

from __future__ import annotations

import csv
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from lineside.main import app
from lineside.train_options import TrainOptions, settings_of
from tests.trainer.conftest import shorten
from trainer import tuning
from trainer.attempt import Task
from trainer.bases.backbone import BaseModel
from trainer.contest import Outcome
from trainer.course import Course, Taught
from trainer.evaluation.page import curves
from trainer.evaluation.plots import tuning_trials
from trainer.evaluation.report import Calibration, Estimate, Evaluation
from trainer.rounds.finetune import _WARM_UP, steps_of
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot
from trainer.strategy import RECIPES, Recipe, recipe_of
from trainer.trials import Trial, better, reasons, write_trials

TAIL = TrainingSettings(strategy="tail", flips="none")
PROBE = TrainingSettings(strategy="probe", flips="none")
UNKNOWN = Estimate(value=None)
NOTHING_KNOWN = Evaluation(
    images=0, groups=0, accuracy=UNKNOWN, balanced_accuracy=UNKNOWN, auroc=UNKNOWN, average_precision=UNKNOWN,
    macro_f1=UNKNOWN, cost_per_part=UNKNOWN, smallest_difference=None, classes={}, calibration=Calibration(error=None),
)  # fmt: skip


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, "tail", fewest_steps=12, passes=1, checks=2)


def task_in(folder: Path, snapshot: Snapshot, base: BaseModel, *, resume: bool = False, seconds: float = 600) -> Task:
    until = time.monotonic() + seconds
    return Task(snapshot, base, folder, None, until=until, resume=resume, progress=lambda *_, **__: None)


def test_a_run_without_changes_has_the_recipe_itself() -> None:
    assert recipe_of(TrainingSettings(strategy="tail")) == RECIPES["tail"]
    assert recipe_of(TrainingSettings(strategy="probe")) is None
    beside = recipe_of(TrainingSettings(strategy="tail", tasks=("severity",), severity_column="level"))
    assert beside is not None
    assert beside.keeps_latest
    changed = recipe_of(TrainingSettings(strategy="full", rate_factor=2.0, depth_ratio=0.5, steps_factor=0.5))
    own = RECIPES["full"]
    assert changed is not None
    assert own is not None
    assert (changed.rate_factor, changed.deepest, changed.rate) == (2.0, 0.5, own.rate)
    assert steps_of(changed, 10) == steps_of(own, 10) // 2


def test_recipe_stays_unless_a_trial_is_better_by_more_than_one_standard_error() -> None:
    own = Trial(0, {"rate_factor": 1.0}, loss=0.5)
    luck, found = Trial(1, {"rate_factor": 2.0}, 0.48, 0.02, 0.03), Trial(2, {"rate_factor": 3.0}, 0.45, 0.05, 0.03)
    assert better([own, luck]) is own
    assert better([own, luck, found]) is found
    assert better([own, replace(found, error=math.inf)]) is own, "a single group tells nothing"
    assert better([own, Trial(1, {"rate_factor": 2.0}, 0.9, -0.4, 0.03)]) is own
    assert "no trial is better by more than one standard error" in reasons([own, luck], "9 images")[-1]
    assert "Chosen: rate factor 3." in reasons([own, luck, found], "9 images")[-1]


def test_proposals_follow_from_the_seed_and_the_trials_before() -> None:
    tried = [Trial(0, tuning.recipe_values(TAIL), loss=0.5)]
    for number in range(1, 8):
        values = tuning.proposed(tried, seed=3)
        assert values == tuning.proposed(tried, seed=3)
        assert values != tuning.proposed(tried, seed=4)
        tried.append(Trial(number, values, loss=abs(values["rate_factor"] - 2)))
    assert len({trial.values["rate_factor"] for trial in tried}) == 8
    for trial in tried:
        TrainingSettings.model_validate({**TAIL.model_dump(), **trial.values})


def test_search_reads_neither_test_nor_gate(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_in(tmp_path, snapshot, small_base)
    held = Outcome(task.attempt(TAIL))
    of = Snapshot.of

    def only_training(self: Snapshot, *splits: Any) -> Any:
        assert not {"test", "gate"} & set(splits)
        return of(self, *splits)

    monkeypatch.setattr(Snapshot, "of", only_training)
    learned = {example.sha256 for example in of(snapshot, "train", "validation")}
    found = tuning.search(task, held, trials=1)
    assert found.tuning["finished"] == 1
    assert {example.sha256 for example in found.attempt.taught.held_out} <= learned


def test_a_better_recipe_is_found_and_trains_to_the_same_weights_by_itself(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, "tail", fewest_steps=40, passes=1, checks=4)
    timid = TAIL.model_copy(update={"rate_factor": 0.01})
    notes = []
    model = train(
        snapshot, small_base, settings=timid, out=tmp_path / "run", trials=4,
        progress=lambda stage, fraction=0.0, note="": notes.append(note) if stage == "tuning trial" else None,
    )  # fmt: skip
    found, settings = model.record.details["tuning"], model.record.lineage.training
    assert found["chosen"] > 0
    assert settings["rate_factor"] == found["values"]["rate_factor"] > 0.1
    assert [note.split(":")[0] for note in notes] == [f"{number} of 4" for number in (1, 2, 3, 4)]
    assert all(note.endswith("s left") for note in notes)
    with (tmp_path / "run" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert [row["trial"] for row in rows if row["chosen"] == "1"] == [str(found["chosen"])]
    assert rows[0]["rate_factor"] == "0.01"
    card = (tmp_path / "run" / "card.md").read_text()
    assert f"Best trial {found['chosen']}" in card
    assert "the test was not read" in card
    assert not (tmp_path / "run" / "checkpoint").exists()
    alone = train(snapshot, small_base, settings=TrainingSettings.model_validate(settings), out=tmp_path / "alone")
    assert alone.record.model_sha256 == model.record.model_sha256


def test_killed_search_goes_on_without_repeating_a_trial(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, teach, begun = tuning._Record.keep, Course.teach, []

    def die_after_two(self: tuning._Record, trials: Any) -> None:
        keep(self, trials)
        if len(trials) == 2:
            raise KeyboardInterrupt

    def noted(self: Course, *args: Any, **options: Any) -> Taught:
        begun.append(self.settings.label_noise)
        return teach(self, *args, **options)

    monkeypatch.setattr(tuning._Record, "keep", die_after_two)
    with pytest.raises(KeyboardInterrupt):
        train(snapshot, small_base, settings=PROBE, out=tmp_path / "run", trials=4)
    monkeypatch.setattr(tuning._Record, "keep", keep)
    monkeypatch.setattr(Course, "teach", noted)
    resumed = train(snapshot, small_base, settings=PROBE, out=tmp_path / "run", trials=4, resume=True)
    trained = begun[1:3]
    undisturbed = train(snapshot, small_base, settings=PROBE, out=tmp_path / "other", trials=4)
    assert resumed.record.details["tuning"] == undisturbed.record.details["tuning"]
    assert resumed.record.model_sha256 == undisturbed.record.model_sha256
    with (tmp_path / "run" / "trials.csv").open() as file:
        assert [f"{value:.6g}" for value in trained] == [row["label_noise"] for row in csv.DictReader(file)][3:]


def test_trials_of_other_code_are_not_taken_over(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_in(tmp_path, snapshot, small_base)
    settings = task.attempt(PROBE).settings
    keys = {task.key(settings, ranges=tuning._RANGES), task.key(settings, ranges=tuning._RANGES)}
    monkeypatch.setattr("trainer.attempt.code_hash", lambda: "other")
    assert len(keys) == 1
    assert task.key(settings, ranges=tuning._RANGES) not in keys


def test_a_trial_that_would_not_fit_in_the_time_is_not_begun(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path
) -> None:
    held = Outcome(task_in(tmp_path, snapshot, small_base).attempt(PROBE))
    found = tuning.search(task_in(tmp_path, snapshot, small_base, seconds=0.0), held, trials=3)
    assert found.attempt is held.attempt
    assert found.tuning["finished"] == 0
    assert "3 of 3 trials were not begun" in found.tuning["reasons"][-1]


def test_picture_shows_a_search_and_nothing_where_there_was_none(tmp_path: Path) -> None:
    tried = [Trial(0, {"label_noise": 0.03}, 0.5), Trial(1, {"label_noise": 0.1}, 0.4, 0.1, 0.02, 3.0)]
    write_trials(tmp_path / "trials.csv", tried)
    assert (tuning_trials(tmp_path / "trials.csv") or b"").startswith(b"\x89PNG")
    (tmp_path / "curves.csv").write_text("round,step,loss,held_out_loss,kept\n")
    assert set(curves(tmp_path, NOTHING_KNOWN)) == {"tuning"}, "the report shows it"
    write_trials(tmp_path / "one.csv", tried[:1])
    assert tuning_trials(tmp_path / "one.csv") is None


def test_command_hands_on_the_trials_and_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[TrainOptions] = []
    monkeypatch.setattr("lineside.check.check_before_training", lambda *_, **__: None)
    monkeypatch.setattr("lineside.training.run_train", asked.append)
    words = [
        "train",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
        "--no-evaluate",
        "--tune",
        "3",
        "--rate-factor",
        "2",
    ]
    result = CliRunner().invoke(app, [*words, "--depth-ratio", "0.5", "--steps-factor", "1.5", "--label-noise", "0.1"])
    assert result.exit_code == 0, result.output
    [options] = asked
    assert options.tune == 3
    settings = settings_of(options)
    assert (settings.rate_factor, settings.depth_ratio) == (2.0, 0.5)
    assert (settings.steps_factor, settings.label_noise) == (1.5, 0.1)


@pytest.mark.parametrize("wanted", range(1, 13))
def test_every_short_schedule_has_rates(wanted: int) -> None:
    recipe = Recipe(1e-3, 1.0, 1.0, passes=1, fewest_steps=wanted, most_steps=wanted)
    steps = steps_of(recipe, 40)
    assert wanted <= steps <= wanted + 1
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, [1.0], total_steps=steps, pct_start=_WARM_UP)
