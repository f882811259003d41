"""A round that is killed goes on where it stood, and ends as if nothing had happened."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.trainer.conftest import blank_head, recipe, shorten, small_lesson
from trainer import course
from trainer.attempt import Task
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.features import Features
from trainer.maps import Cached
from trainer.network import Network
from trainer.rounds import finetune as finetuning
from trainer.rounds import midway as module
from trainer.rounds.checkpoint import Checkpoint
from trainer.rounds.finetune import finetune
from trainer.rounds.kept import Tuned
from trainer.rounds.lesson import Lesson
from trainer.rounds.midway import Midway
from trainer.run import train
from trainer.settings import StrategyName, TrainingSettings
from trainer.snapshot import Snapshot

STEPS = 20


class KilledError(Exception):
    """Stands for a kill inside one process."""


@pytest.fixture(autouse=True)
def written_at_every_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.0)


def cached(network: Network, lesson: Lesson, cut: int) -> Lesson:
    """The same lesson over what the frozen stages answer."""
    with torch.no_grad():
        maps = network.run(lesson.features.maps.plain(), 0, cut).half()[:, None, None]
    features = Features(Cached(torch.cat([maps, maps.flip(5)], 1)), lesson.features.embeddings, lesson.features.shown)
    return Lesson(features, lesson.targets, lesson.weights, groups=lesson.groups)


def taught(base: BaseModel, name: StrategyName, midway: Midway | None = None, *, held_out: int = 16) -> Tuned:
    network = Network(load_base_model(base)[0], 2).eval()
    cut = 3 if name == "tail" else 0
    lessons = [small_lesson(48), small_lesson(held_out, seed=1)]
    learned, test = [cached(network, lesson, cut) for lesson in lessons] if cut else lessons
    chosen = recipe(name, fewest_steps=STEPS, most_steps=STEPS, checks=5)
    head = blank_head(network.head.in_features)
    return finetune(network, head, learned, test, cut=cut, recipe=chosen, seed=0, midway=midway)


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int) -> list[int]:
    """The step of that number, over all schedules, is the last; returned: one entry for each step that was begun."""
    step, begun = finetuning._step, list[int]()

    def counted(*arguments: object) -> float:
        begun.append(1)
        if len(begun) == number:
            raise KilledError
        return step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(finetuning, "_step", counted)
    return begun


def same(one: Tuned, other: Tuned) -> bool:
    mine, others = one.network.state_dict(), other.network.state_dict()
    weights = all(torch.equal(mine[name], others[name]) for name in others)
    steps = [(check.step, check.held_out_loss, check.pace) for check in one.checks]
    return (
        weights
        and steps == [(check.step, check.held_out_loss, check.pace) for check in other.checks]
        and torch.equal(one.best.logits, other.best.logits)
        and (one.best.step, one.jumps) == (other.best.step, other.jumps)
    )


@pytest.mark.parametrize("name", ["tail", "full", "gradual", "lora"])
def test_round_that_was_killed_ends_with_the_same_weights(
    name: StrategyName, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = taught(small_base, name)
    midway = Midway(tmp_path / "round.safetensors", "key")
    with monkeypatch.context() as patch:
        kill_at(patch, 11)
        with pytest.raises(KilledError):
            taught(small_base, name, midway)
    torch.manual_seed(99)  # another process draws other numbers
    begun = kill_at(monkeypatch, 1000)
    resumed = taught(small_base, name, Midway(midway.path, "key"))
    assert len(begun) == STEPS - 8, "it went on after the second check, not from the start"
    assert same(resumed, undisturbed)
    assert {check.pace for check in resumed.checks} == {1.0}


def test_killed_after_a_jump_it_goes_on_at_half_the_rate(
    small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jump = finetuning.jump
    monkeypatch.setattr(
        finetuning, "jump",
        lambda check, *rest, warm: "planted" if (check.step, check.pace) == (8, 1.0) else jump(check, *rest, warm=warm),
    )  # fmt: skip
    undisturbed = taught(small_base, "full")
    assert undisturbed.jumps == ("planted",)
    midway = Midway(tmp_path / "round.safetensors", "key")
    with monkeypatch.context() as patch:
        kill_at(patch, 8 + 6)
        with pytest.raises(KilledError):
            taught(small_base, "full", midway)
    assert same(taught(small_base, "full", midway), undisturbed)


def test_without_held_out_images_it_goes_on_as_well(
    small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = taught(small_base, "full", held_out=0)
    midway = Midway(tmp_path / "round.safetensors", "key")
    with monkeypatch.context() as patch:
        kill_at(patch, 7)
        with pytest.raises(KilledError):
            taught(small_base, "full", midway, held_out=0)
    assert same(taught(small_base, "full", midway, held_out=0), undisturbed)


def test_of_another_training_or_torn_it_is_not_taken_over(small_base: BaseModel, tmp_path: Path) -> None:
    midway = Midway(tmp_path / "round.safetensors", "key")
    assert midway.recall() is None
    taught(small_base, "tail", midway)
    assert midway.recall() is not None
    assert Midway(midway.path, "other").recall() is None
    midway.path.write_bytes(midway.path.read_bytes()[:-100])
    assert midway.recall() is None
    midway.remove()
    assert list(tmp_path.iterdir()) == []


def test_it_is_written_at_most_once_a_minute(
    small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 60.0)
    fresh = Midway(tmp_path / "fresh.safetensors", "key")
    taught(small_base, "tail", fresh)
    assert not fresh.path.exists()
    due = Midway(tmp_path / "due.safetensors", "key", written=time.monotonic() - 61)
    taught(small_base, "tail", due)
    found = due.recall()
    assert found is not None
    assert found[1]["step"] == 4, "the first check was due, the next ones were not"


def test_finished_round_takes_the_place_of_the_one_under_way(small_base: BaseModel, tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "key")
    tuned = taught(small_base, "tail", checkpoint.midway(0))
    assert checkpoint.midway(0).path.exists()
    checkpoint.keep(0, tuned)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["round-0.json", "round-0.safetensors"]


def test_other_code_data_base_or_settings_have_another_key(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(base: BaseModel = small_base, data: Snapshot = snapshot, **settings: object) -> str:
        task = Task(data, base, tmp_path, None, until=0.0, resume=True, progress=lambda *_, **__: None)
        return task._checkpoint(TrainingSettings.model_validate(settings)).key

    fewer = Snapshot(snapshot.examples[1:], snapshot.licence)
    keys = {
        key(),
        key(seed=1),
        key(strategy="full"),
        key(base=small_base.model_copy(update={"id": "x"})),
        key(data=fewer),
    }
    assert key(max_seconds=7.0) == key()
    monkeypatch.setattr("trainer.attempt.code_hash", lambda: "other")
    assert len(keys | {key()}) == 6


_TRAIN = """
import json, os, sys
from dataclasses import replace
from pathlib import Path
from trainer import course
from trainer.rounds import finetune
from trainer.rounds import midway
from trainer.bases.backbone import BaseModel
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import load_snapshot
from trainer.strategy import RECIPES

folder, base, out, strategy, changes, last = sys.argv[1:]
midway.EVERY_SECONDS = 0.0
course._PENALTIES = (1.0,)
RECIPES[strategy] = replace(RECIPES[strategy], **json.loads(changes))
step, steps = finetune._step, 0

def die_at_last(*arguments):
    global steps
    steps += 1
    if steps == int(last):
        os.kill(os.getpid(), 9)
    return step(*arguments)

finetune._step = die_at_last
settings = TrainingSettings(strategy=strategy, flips="none")
train(load_snapshot(Path(folder)), BaseModel.model_validate_json(base), settings=settings, out=Path(out))
"""


@pytest.mark.parametrize("strategy", ["tail", "full"])
def test_killed_in_the_middle_of_a_round_resumes_to_the_same_bytes(
    strategy: StrategyName, snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "_PENALTIES", (1.0,))  # the head is not what is tried here
    shorter = {"fewest_steps": 12, "passes": 1, "patience": 9}
    shorten(monkeypatch, strategy, **shorter)
    folder, out = snapshot.save(tmp_path), tmp_path / "run"
    arguments = [folder, small_base.model_dump_json(), out, strategy, json.dumps(shorter), 12 + 8]
    killed = subprocess.run([sys.executable, "-c", _TRAIN, *map(str, arguments)], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = sorted(path.name for path in (out / "checkpoint" / strategy).iterdir())
    assert left == ["round-0.json", "round-0.safetensors", "round-1.midway.safetensors"]
    settings = TrainingSettings(strategy=strategy, flips="none")
    with monkeypatch.context() as patch:
        begun = kill_at(patch, 1000)
        resumed = train(snapshot, small_base, settings=settings, out=out, resume=True)
    assert 12 < len(begun) < 24, "the rest of the second round, and the third"
    undisturbed = train(snapshot, small_base, settings=settings, out=tmp_path / "other")
    assert resumed.record.model_sha256 == undisturbed.record.model_sha256
    assert not (out / "checkpoint").exists()
