"""From a snapshot to a run folder: complete, repeatable, honest."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from contracts.errors import ConfigurationError
from trainer.attempt import preprocessing
from trainer.bases.backbone import BaseModel
from trainer.bases.yardstick import negative_transfer
from trainer.evaluate import predict
from trainer.maps import Cached
from trainer.network import Network
from trainer.outset import set_out
from trainer.run import good_labels, load_run, train
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot
from trainer.trained import TrainedModel
from trainer.views import FLIPS, views


def test_model_learns_to_tell_spotted_plates(first_model: TrainedModel) -> None:
    assert first_model.record.test_metrics.auroc is not None
    assert first_model.record.test_metrics.auroc >= 0.8


def test_run_folder_holds_everything(first_model: TrainedModel) -> None:
    names = {path.name for path in first_model.folder.iterdir()}
    assert names == {"model.safetensors", "run.json", "metrics.json", "curves.csv", "card.md", "card.json"}
    record = first_model.record
    assert record.good_labels == ("good",)
    assert record.labels == ("good", "spot")
    assert record.lineage.snapshot_hash == first_model.snapshot.hash
    assert record.licence.licence == "our own; Apache-2.0"


def test_loaded_run_answers_as_the_metrics_say(first_model: TrainedModel) -> None:
    again = load_run(first_model.folder)
    test = again.snapshot.of("test")
    logits = predict(again.module, test, again.record.preprocessing)
    chosen = [again.record.labels[int(row.argmax())] for row in logits]
    right = sum(label == example.label for label, example in zip(chosen, test, strict=True))
    assert right / len(test) == pytest.approx(again.record.test_metrics.accuracy)
    answer = again.module(torch.zeros(2, 3, 48, 48))
    assert [list(part.shape) for part in answer] == [[2, 2], [2, again.record.embedding_width]]


def test_same_seed_gives_the_same_bytes(snapshot: Snapshot, small_base: BaseModel, tmp_path: Path) -> None:
    settings = TrainingSettings(seed=5, flips="both")
    first = train(snapshot, small_base, settings=settings, out=tmp_path / "a")
    second = train(snapshot, small_base, settings=settings, out=tmp_path / "b")
    assert first.record.model_sha256 == second.record.model_sha256


def test_the_rarer_defects_are_the_fewer_parts_are_stopped(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path
) -> None:
    scores = []
    for share in (0.02, 0.5, 0.98):
        settings = TrainingSettings(strategy="probe", flips="none", defect_share=share)
        model = train(snapshot, small_base, settings=settings, out=tmp_path / str(share))
        assert model.record.thresholds.defect_share == share
        answers = predict(model.module, snapshot.of("test"), model.record.preprocessing).softmax(1)
        scores.append(float(answers[:, model.record.labels.index("spot")].mean()))
    assert scores[0] < scores[1] - 0.05 < scores[2] - 0.1


def test_cached_features_change_nothing(
    snapshot: Snapshot, small_base: BaseModel, first_model: TrainedModel, workspace: Path, tmp_path: Path
) -> None:
    assert any((workspace / "features").rglob("*.safetensors"))
    cached = train(snapshot, small_base, settings=TrainingSettings(), out=tmp_path, workspace=workspace)
    assert cached.record.model_sha256 == first_model.record.model_sha256


def test_what_is_cached_asks_no_network(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, stem, _ = set_out(
        small_base, snapshot.labels, ("good",), TrainingSettings(), preprocessing(small_base, TrainingSettings()),
        folder=tmp_path,
    )  # fmt: skip
    looks = views(FLIPS["both"], 3)
    fresh = stem.features(snapshot.examples, looks)
    monkeypatch.setattr(Network, "run", lambda *_: pytest.fail("the network was asked"))
    cached = stem.features(snapshot.examples, looks)
    assert torch.equal(cached.embeddings, fresh.embeddings)
    assert isinstance(cached.maps, Cached)
    assert isinstance(fresh.maps, Cached)
    assert torch.equal(cached.maps.maps, fresh.maps.maps)
    assert cached.embeddings.shape[:3] == (len(snapshot.examples), 3, 1)


def test_card_and_metrics_say_what_so_few_images_cannot_promise(first_model: TrainedModel) -> None:
    card = (first_model.folder / "card.md").read_text(encoding="utf-8")
    assert "What it does not promise" in card
    assert "too few images to rely on" in card
    metrics = json.loads((first_model.folder / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics["yardstick"]) == {"pretrained", "random", "validation"}
    assert metrics["test"]["examples"] == len(first_model.snapshot.of("test"))


def test_time_limit_ends_training_early_with_a_usable_model(
    snapshot: Snapshot, small_base: BaseModel, first_model: TrainedModel, tmp_path: Path
) -> None:
    hurried = train(snapshot, small_base, settings=TrainingSettings(max_seconds=0.001), out=tmp_path)
    assert hurried.record.details["rounds"] == 1
    assert hurried.record.test_metrics.examples > 0
    assert "cut short by its limit of 0.001 s" in hurried.record.cannot_promise[0]
    assert not any("cut short" in sentence for sentence in first_model.record.cannot_promise)
    assert "key" in first_model.record.details
    assert "key" not in hurried.record.details, "the clock had a say: nobody may take it for what would come out again"


def test_changed_model_file_is_refused(first_model: TrainedModel, tmp_path: Path) -> None:
    for path in first_model.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    data = bytearray((tmp_path / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(ConfigurationError, match=r"model\.safetensors has SHA-256"):
        load_run(tmp_path)


def test_unfinished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a finished training run"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("labels", "wanted", "good"),
    [
        (("crack", "OK"), (), ("OK",)),
        (("a", "b", "c"), ("a", "c"), ("a", "c")),
        (("defective", "functional"), (), ("functional",)),
    ],
)
def test_good_classes_are_found_or_said(
    labels: tuple[str, ...], wanted: tuple[str, ...], good: tuple[str, ...]
) -> None:
    assert good_labels(labels, wanted) == good


@pytest.mark.parametrize(("labels", "wanted"), [(("a", "b"), ()), (("a", "b"), ("c",)), (("good", "ok"), ())])
def test_unclear_good_classes_are_asked_for(labels: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="--good"):
        good_labels(labels, wanted)


_TRAIN = """
import os, sys
from pathlib import Path
from trainer.attempt import preprocessing
from trainer.bases.backbone import BaseModel
from trainer.outset import set_out
from trainer.rounds.checkpoint import Checkpoint
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import load_snapshot

keep, rounds = Checkpoint.keep, 0

def die_after_two(self, number, tuned):
    global rounds
    keep(self, number, tuned)
    rounds += 1
    if rounds == 2:
        os.kill(os.getpid(), 9)

Checkpoint.keep = die_after_two
base = BaseModel.model_validate_json(sys.argv[2])
train(load_snapshot(Path(sys.argv[1])), base, settings=TrainingSettings(), out=Path(sys.argv[3]))
"""


def test_killed_training_resumes_to_the_same_weights(snapshot: Snapshot, small_base: BaseModel, tmp_path: Path) -> None:
    folder = snapshot.save(tmp_path)
    command = [sys.executable, "-c", _TRAIN, str(folder), small_base.model_dump_json(), str(tmp_path / "run")]
    assert subprocess.run(command, check=False).returncode == -9
    kept = sorted(file.name for file in (tmp_path / "run" / "checkpoint" / "tail").glob("*.json"))
    assert kept == ["round-0.json", "round-1.json"]
    (tmp_path / "run" / "checkpoint" / "tail" / "round-1.safetensors").write_bytes(b"torn")
    trained = []
    resumed = train(
        snapshot, small_base, settings=TrainingSettings(), out=tmp_path / "run", resume=True,
        progress=lambda stage, _fraction=None, note="": trained.append(note) if stage == "training" else None,
    )  # fmt: skip
    assert not [note for note in trained if note.startswith("round 1")], "the first round was taken over"
    assert [note for note in trained if note.startswith("round 2")], "the torn one was trained again"
    undisturbed = train(snapshot, small_base, settings=TrainingSettings(), out=tmp_path / "other")
    assert resumed.record.model_sha256 == undisturbed.record.model_sha256
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_checkpoint_of_another_training_is_not_taken_over(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path
) -> None:
    folder = snapshot.save(tmp_path)
    command = [sys.executable, "-c", _TRAIN, str(folder), small_base.model_dump_json(), str(tmp_path / "run")]
    assert subprocess.run(command, check=False).returncode == -9
    trained = []
    train(
        snapshot, small_base, settings=TrainingSettings(seed=1), out=tmp_path / "run", resume=True,
        progress=lambda stage, _fraction=None, note="": trained.append(note) if stage == "training" else None,
    )  # fmt: skip
    assert [note for note in trained if note.startswith("round 1")]


def test_a_base_model_that_does_not_beat_random_weights_is_said_loudly() -> None:
    def measured(pretrained: float | None, random: float | None) -> dict[str, object]:
        return {"validation": {"pretrained": {"auroc": pretrained}, "random": {"auroc": random}}}

    assert negative_transfer(measured(0.9, 0.8)) is None
    assert negative_transfer(measured(1.0, 1.0)) is None
    assert negative_transfer(measured(None, None)) is None
    assert negative_transfer({}) is None
    loud = negative_transfer(measured(0.70, 0.80))
    assert loud is not None
    assert loud.startswith("NEGATIVE TRANSFER")
    assert "0.800 against 0.700" in loud
