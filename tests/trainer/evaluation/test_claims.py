"""Of few test images nothing is claimed but what was counted, whoever asks."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.errors import ConfigurationError
from lineside.evaluation import _known, run_evaluate
from lineside.main import app
from lineside.training import print_trained
from tests.trainer.conftest import shorten
from tests.trainer.evaluation.conftest import made
from trainer.claim import claimed, constant, quality
from trainer.evaluation import judge
from trainer.evaluation.judge import evaluate
from trainer.evaluation.page import page
from trainer.evaluation.report import Estimate, Evaluation, Slice
from trainer.evaluation.scratch import FROM_SCRATCH
from trainer.evaluation.slices import slices
from trainer.evaluation.text import card_part
from trainer.evaluation.words import figure
from trainer.forgetting import Kept
from trainer.trained import TrainedModel, load_run

CLAIM = re.compile(r"accuracy \d\.\d|\(\d\.\d+ to \d\.\d+\)|AUROC \d\.\d+ \(")


@pytest.fixture
def run(first_model: TrainedModel, tmp_path: Path) -> Path:
    """A copy of the run, to be judged anew."""
    for file in first_model.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_twenty_of_each_kind_are_enough() -> None:
    assert claimed(20, 20)
    assert not claimed(19, 500)


def test_few_images_are_counted_and_many_are_measured(first_model: TrainedModel) -> None:
    few = first_model.record.test_metrics
    right = round((few.accuracy or 0) * few.examples)
    assert quality(few, ("good",)) == f"{right} of {few.examples} right: too few to claim an accuracy"
    assert constant(few, ("good",)).endswith(f"of {few.examples} right")
    confusion = {"good": {"good": 30, "spot": 0}, "spot": {"good": 2, "spot": 28}}
    many = few.model_copy(update={"examples": 60, "confusion": confusion, "balanced_accuracy": 0.967})
    assert quality(many, ("good",)).startswith("balanced accuracy 0.967, AUROC")
    assert quality(few.model_copy(update={"confusion": {}}), ("good",)).startswith("balanced accuracy"), "older metrics"


def test_training_of_few_images_prints_no_accuracy(
    first_model: TrainedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    print_trained(first_model)
    said = capsys.readouterr().out
    assert "right: too few to claim an accuracy" in said
    assert not CLAIM.search(said)


def test_evaluation_of_few_images_claims_no_accuracy_anywhere(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluation = run_evaluate(run, baselines=True)
    assert not evaluation.claimed
    assert "right: too few to claim an accuracy" in capsys.readouterr().out
    for text in (card_part(evaluation), (run / "report.html").read_text()):
        assert "right: too few to claim an accuracy" in text
        assert not CLAIM.search(text)


def test_share_of_few_images_is_a_count() -> None:
    assert figure(Estimate(value=1.0, low=0.8, high=1.0, hits=19, of=19)) == "19 of 19"
    assert figure(Estimate(value=1.0, low=0.84, high=1.0, hits=20, of=20)) == "1.000 (0.840 to 1.000)"
    assert figure(Estimate(value=None)) == "unknown"


def test_page_shows_slices_confusion_and_what_was_forgotten(first_model: TrainedModel) -> None:
    lamp = ["old" if row < 25 else "<new>" for row in range(300)]
    parts, columns = slices(made(300, lamp=lamp, hall=["north" if row % 2 else "south" for row in range(300)]))
    kept = Kept(by="all", images=40, before=0.9, after=0.8, difference=Estimate(value=-0.1, low=-0.2, high=-0.01))
    details = {**first_model.record.details, "forgetting": [kept.model_dump(mode="json")]}
    successor = replace(first_model, record=first_model.record.model_copy(update={"details": details}))
    found = {"slices": parts, "columns": columns, "confusion": {"dent": {"dent": 5, "good": 3}}}
    evaluation = evaluate(first_model, baselines=False)
    html = page(successor, evaluation.model_copy(update=found), {}, b"")
    assert "-0.100, 95 %: -0.200 to -0.010" in html
    assert "What it has kept of its parent" not in page(first_model, evaluation, {}, b"")
    assert '<td class="wrong">3</td>' in html
    assert "&lt;new&gt;" in html
    assert re.search(r"too few \(\d+ good, \d+ defective\)", html)
    assert html.count("<details") >= 4
    text = card_part(evaluation.model_copy(update=found))
    assert "| lamp | old |" in text
    assert "none of them with 20 images" in text, "the groups"


def test_confusion_counts_every_test_image(first_model: TrainedModel) -> None:
    evaluation = evaluate(first_model, baselines=False)
    assert evaluation.confusion == first_model.record.test_metrics.confusion


def test_older_evaluations_can_still_be_read(first_model: TrainedModel) -> None:
    plain = evaluate(first_model, baselines=False).model_dump(mode="json")
    for key in ("claimed", "model_sha256", "recall_good", "recall_defect", "confusion", "columns"):
        del plain[key]
    share = {"value": 0.9, "low": 0.8, "high": 1.0}
    plain["slices"] = [{"column": "site", "value": "a", "images": 40, "balanced_accuracy": share,
                        "recall_good": share, "recall_defect": share}]  # fmt: skip
    plain["baselines"] = [{"name": "a", "balanced_accuracy": share, "accuracy": 0.9, "seconds": 3.0}]
    older = Evaluation.model_validate_json(json.dumps(plain))
    assert "| site | a |" in card_part(older)
    assert isinstance(older.slices[0], Slice)


def test_scratch_trains_the_same_network_and_is_kept_for_later_evaluations(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, "scratch", fewest_steps=4, most_steps=4, checks=2)
    monkeypatch.setattr(judge, "simpler_means", lambda *_: ((), None))  # they take longer
    monkeypatch.setattr(judge, "_under_faults", lambda *_: ())
    before = (run / "model.safetensors").read_bytes()
    first = run_evaluate(run, baselines=True, scratch_seconds=60, as_json=True)
    [row] = [item for item in first.baselines if item.name == FROM_SCRATCH]
    assert row.seconds is not None
    assert row.seconds > 0
    assert row.counted.of == first.images
    assert "steps" in row.note
    assert (run / "model.safetensors").read_bytes() == before
    again = run_evaluate(run, baselines=True, as_json=True)
    assert [item for item in again.baselines if item.name == FROM_SCRATCH] == [row]
    other = again.model_copy(update={"model_sha256": "0" * 64})
    (run / "evaluation.json").write_text(other.model_dump_json())
    assert _known(run / "evaluation.json", load_run(run)) == (), "it was another model's"


def test_scratch_that_its_limit_cuts_short_says_so(first_model: TrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, "scratch", fewest_steps=6, most_steps=6, checks=3)
    *_, row = evaluate(first_model, baselines=False, scratch_seconds=0.001).baselines
    assert row.note.endswith("cut short by its limit of 0.001 s")


def test_scratch_without_baselines_is_refused(first_model: TrainedModel) -> None:
    with pytest.raises(ConfigurationError, match="leave --no-baselines out"):
        run_evaluate(first_model.folder, baselines=False, scratch_seconds=5.0)
    result = CliRunner().invoke(app, ["evaluate", "--help"])
    assert "--scratch-seconds" in result.output


def test_scratch_of_a_run_from_scratch_is_refused(run: Path) -> None:
    text = (run / "run.json").read_text()
    assert '"strategy": "tail"' in text
    (run / "run.json").write_text(text.replace('"strategy": "tail"', '"strategy": "scratch"'))
    with pytest.raises(ConfigurationError, match="its own row tells"):
        run_evaluate(run, baselines=True, scratch_seconds=5.0)
