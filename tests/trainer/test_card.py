"""The card carries all that has to be known of a model, says what is unknown, and goes with its weights."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from contracts.bundle import CARD_NAME
from contracts.errors import BundleError, ConfigurationError
from contracts.preprocessing import Tiles
from contracts.quality import Finding, QualityReport, RaterAgreement
from contracts.thresholds import Thresholds
from exporter.export import export
from exporter.settings import ExportSettings
from lineside.main import app
from runtime.bundle import open_bundle
from runtime.decision import Rule
from trainer.bases.worth import worth_of
from trainer.card.facts import card_of, with_evaluation
from trainer.card.file import read_card, write_card
from trainer.card.text import markdown
from trainer.card.values import ModelCard
from trainer.dataset import Dataset, Example
from trainer.evaluate import intervals
from trainer.evaluation.figures import Answers
from trainer.evaluation.judge import evaluate
from trainer.evaluation.report import Estimate, Evaluation
from trainer.snapshot import Snapshot, load_snapshot, take_snapshot
from trainer.trained import RunRecord, TrainedModel


@pytest.fixture
def run(first_model: TrainedModel, tmp_path: Path) -> TrainedModel:
    """A copy that may be changed."""
    folder = tmp_path / "run"
    folder.mkdir()
    for file in first_model.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return replace(first_model, folder=folder)


@pytest.fixture(scope="module")
def evaluation(first_model: TrainedModel) -> Evaluation:
    return evaluate(first_model, baselines=False)


def changed(record: RunRecord, *, details: dict[str, Any] | None = None, **fields: Any) -> RunRecord:
    """The record with other details and fields."""
    return record.model_copy(update={"details": {**record.details, **(details or {})}, **fields})


def test_card_holds_what_the_run_is_made_of(first_model: TrainedModel) -> None:
    card = ModelCard.model_validate_json((first_model.folder / "card.json").read_text(encoding="utf-8"))
    record, snapshot = first_model.record, first_model.snapshot
    assert card.model_sha256 == record.model_sha256
    assert (card.lineage.snapshot_hash, card.lineage.split_hash) == (snapshot.hash, snapshot.split_hash)
    assert card.base.id == "small (random)"
    assert card.licence.licence == "our own; Apache-2.0"
    assert {name: part.images for name, part in card.data.splits.items()} == snapshot.counts()
    assert sum(part.groups for part in card.data.splits.values()) == 32
    assert card.data.split_by == "group"
    assert card.training.flips == record.lineage.training["flips"] != "auto"
    assert card.metrics == record.test_metrics
    assert card.intervals["balanced_accuracy"].value == record.test_metrics.balanced_accuracy
    assert card.intervals["auroc"].low is not None
    assert card.cannot_promise == record.cannot_promise
    assert card.evaluation is None


def test_few_images_that_are_all_right_are_no_certainty() -> None:
    examples = tuple(Example(Path(f"{n}.png"), "spot" if n % 2 else "good", group=f"g{n}") for n in range(10))
    said = np.array([[0.1, 0.9] if n % 2 else [0.9, 0.1] for n in range(10)])
    rule = Rule(("good", "spot"), ("good",), Thresholds(ng=0.5, review_from=0.5))
    found = intervals(Answers(examples, said, rule))
    assert found["recall_defect"].value == 1.0
    assert found["recall_defect"].low == pytest.approx(0.566, abs=0.001)
    nothing = intervals(Answers(examples[::2], said[::2], rule))
    assert nothing["recall_defect"] == Estimate(value=None)


def test_text_is_made_of_the_values_alone(run: TrainedModel) -> None:
    card = read_card(run)
    text = (run.folder / "card.md").read_text(encoding="utf-8")
    write_card(run.folder, card)
    assert (run.folder / "card.md").read_text(encoding="utf-8") == text
    assert f"snapshot `{run.snapshot.hash}`" in text
    assert "Not evaluated" in text
    assert "[model.safetensors](model.safetensors)" in text
    assert "report.html" not in text, "which is not there yet"
    assert str(run.folder.parent) not in text


def test_evaluation_refreshes_the_card_and_leaves_paths_out(run: TrainedModel, evaluation: Evaluation) -> None:
    assert evaluation.failures
    once = with_evaluation(read_card(run), evaluation)
    write_card(run.folder, with_evaluation(once, evaluation))
    kept = read_card(run)
    assert kept == once
    assert kept.failures == len(evaluation.failures)
    text = (run.folder / "card.md").read_text(encoding="utf-8")
    assert text.count("## Evaluation on") == 1
    assert "[report.html](report.html)" in text
    assert evaluation.failures[0].path not in text + (run.folder / "card.json").read_text(encoding="utf-8")


def test_run_older_than_cards_gets_one_when_it_is_evaluated(run: TrainedModel) -> None:
    (run.folder / "card.json").unlink()
    (run.folder / "card.md").write_text("# an old card\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["evaluate", str(run.folder), "--no-baselines"])
    assert result.exit_code == 0, result.output
    card = read_card(run)
    assert card.evaluation is not None
    assert "an old card" not in (run.folder / "card.md").read_text(encoding="utf-8")
    old = card_of(changed(run.record, details={"intervals": None, "calibration_shift": None}), run.snapshot)
    assert old.intervals == {}
    assert "balanced accuracy (good / defect)" in markdown(old, {})


def test_card_of_other_weights_is_not_taken_over(run: TrainedModel, evaluation: Evaluation) -> None:
    write_card(run.folder, with_evaluation(read_card(run), evaluation))
    other = replace(run, record=changed(run.record, model_sha256="b" * 64))
    assert read_card(other).evaluation is None
    assert read_card(other).model_sha256 == "b" * 64


def test_card_travels_in_the_bundle_and_is_covered_by_its_hash(
    run: TrainedModel, evaluation: Evaluation, tmp_path: Path
) -> None:
    write_card(run.folder, with_evaluation(read_card(run), evaluation))
    bundle = export(run, tmp_path / "bundle", settings=ExportSettings(latency_runs=10, fault_images=0))
    assert {CARD_NAME, "card.json"} <= set(bundle.manifest.files)
    assert ModelCard.model_validate_json(bundle.read("card.json")) == read_card(run)
    text = bundle.read(CARD_NAME).decode("utf-8")
    assert "## Evaluation on" in text
    links = set(re.findall(r"\]\((\S+?)\)", text))
    assert links == {"manifest.json", "model.int8.onnx", "model.fp32.onnx"}, "what lies beside it there"
    (bundle.path / CARD_NAME).write_text(text.replace("NEGATIVE", "POSITIVE"), encoding="utf-8")
    with pytest.raises(BundleError, match=r"card\.md differs"):
        open_bundle(bundle.path)


def test_broken_card_is_named_with_the_remedy(run: TrainedModel) -> None:
    (run.folder / "card.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"card\.json is not a model card.*lineside evaluate"):
        read_card(run)


def reached(pretrained: float | None, random: float | None) -> dict[str, Any]:
    """Details of a run whose yardstick was measured."""
    said = {
        name: {"balanced_accuracy": 0.5, "auroc": v} for name, v in (("pretrained", pretrained), ("random", random))
    }
    return {"yardstick": {**said, "validation": said}}


@pytest.mark.parametrize(
    ("details", "order", "strategy", "said"),
    [
        (reached(0.9, 0.8), None, "tail", "AUROC 0.900 against 0.800, balanced accuracy 0.500 against 0.500: better."),
        (reached(1.0, 1.0), None, "tail", "nothing is left to win."),
        (reached(0.7, 0.8), None, "tail", "NEGATIVE TRANSFER"),
        (reached(None, None), None, "tail", "unknown: the validation split lacks good or defective images."),
        ({"yardstick": None}, None, "tail", "unknown: not compared, the training was not asked to"),
        ({"yardstick": None}, "order-7", "tail", "unknown: not compared, a retrain keeps its base model"),
        ({"yardstick": None}, None, "scratch", "unknown: not compared, this model was trained from random weights"),
        (
            {"yardstick": {"random": {"auroc": 0.5}}},
            None,
            "tail",
            "unknown: an older version compared them on the test",
        ),
    ],
    ids=["better", "perfect", "negative", "one kind", "not asked", "retrain", "scratch", "older"],
)
def test_worth_of_the_base_model_is_always_said(
    first_model: TrainedModel, details: dict[str, Any], order: str | None, strategy: str, said: str
) -> None:
    lineage = first_model.record.lineage.model_copy(update={"order_id": order, "training": {"strategy": strategy}})
    record = changed(first_model.record, details=details, lineage=lineage)
    assert said in worth_of(record).sentence()
    text = markdown(card_of(record, first_model.snapshot), {})
    assert said in text
    assert (f"- **{worth_of(record).sentence()}**" in text) == ("NEGATIVE" in said or "unknown" in said), "how loud"


def test_findings_and_raters_are_told(first_model: TrainedModel) -> None:
    findings = (
        Finding(kind="leak", weight="error", text="/plant/1.png twice", count=2),
        Finding(kind="blurred", weight="warning", text="three", count=3),
        Finding(kind="resolutions", weight="note", text="two", count=2),
    )
    raters = RaterAgreement(raters=2, images=40, share=0.9, kappa=0.8, low=0.6, high=0.9, method="Cohen")
    report = QualityReport(source="x", examples=64, classes={}, findings=findings, agreement=raters)
    card = card_of(first_model.record, first_model.snapshot, report)
    assert card.quality is not None
    assert (card.quality.errors, card.quality.warnings, card.quality.notes) == (1, 1, 1)
    text = markdown(card, {})
    assert "1 errors, 1 warnings, 1 notes: leak (2), blurred (3)" in text
    assert "/plant/1.png" not in text
    assert "Cohen's kappa 0.80 (95 %: 0.60 to 0.90)" in text
    assert "not checked before this training" in markdown(card_of(first_model.record, first_model.snapshot), {})


def test_raters_of_a_snapshot_are_known_without_a_report(first_model: TrainedModel) -> None:
    rated = tuple(
        replace(e, attributes={"ratings": f"ann={e.label};bo={e.label if n else 'other'}"})
        for n, e in enumerate(first_model.snapshot.examples)
    )
    found = card_of(first_model.record, replace(first_model.snapshot, examples=rated)).data.raters
    assert found is not None
    assert (found.raters, found.images, found.method) == (2, 64, "Cohen")
    assert found.share == pytest.approx(63 / 64)


def test_input_names_tiles_areas_and_the_smallest_defect(first_model: TrainedModel) -> None:
    record = first_model.record
    corner = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0))
    spec = record.preprocessing.model_copy(
        update={
            "tiles": Tiles(columns=4, rows=2),
            "hidden": (corner,),
            "region_polygon": corner,
            "source_size": (48, 48),
        }
    )
    lineage = record.lineage.model_copy(update={"training": {"smallest_defect": 6.0, "graft": True, "flips": "both"}})
    text = markdown(card_of(changed(record, preprocessing=spec, lineage=lineage), first_model.snapshot), {})
    for said in ("tiles: 4 x 2", "neither seen nor kept: 0,0 10,0 10,10", "in the polygon 0,0", "matters: 6 pixels",
                 "mirrored both ways; marked defects"):  # fmt: skip
        assert said in text


def test_retrained_model_says_what_is_not_known_of_its_parent(first_model: TrainedModel) -> None:
    lineage = first_model.record.lineage.model_copy(update={"order_id": "order-7", "parent_bundle": "a" * 64})
    grown = replace(first_model.snapshot, parent="c" * 64)
    card = card_of(
        changed(first_model.record, lineage=lineage, details={"pinned": "none of 3 snapshots trains on them"}), grown
    )
    text = markdown(card, {})
    assert "the parent's run folder is not to be found" in text.split("## What it has kept of its parent")[1]
    assert f"grown from snapshot `{'c' * 64}`" in text
    assert "- test groups: none of 3 snapshots trains on them" in text


def test_way_of_the_split_is_kept_with_the_snapshot(plates: Dataset, snapshot: Snapshot, tmp_path: Path) -> None:
    timed = take_snapshot(plates, licence=snapshot.licence, seed=0, split_by="time")
    assert load_snapshot(timed.save(tmp_path)).split_by == "time"
    stated = take_snapshot(Dataset(snapshot.examples, "here"), licence=snapshot.licence, seed=0)
    assert stated.split_by == "stated"
    grown = take_snapshot(Dataset(timed.examples[:-2], "here"), licence=snapshot.licence, seed=1, parent=timed)
    assert grown.split_by == "time"
    about = tmp_path / "snapshots" / timed.hash / "snapshot.json"
    about.write_text(about.read_text(encoding="utf-8").replace('"split_by": "time",', ""), encoding="utf-8")
    assert load_snapshot(about.parent).split_by == "", "one that is older than this"
