"""Figures come with what is known about them, and an evaluation says where a model breaks."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score
from typer.testing import CliRunner

from contracts.errors import ConfigurationError, DatasetError
from lineside.correct import run_correct
from lineside.evaluation import write_report
from lineside.main import app
from runtime.decision import Rule
from tests.simulators.browser import PROGRAM, browser
from tests.trainer.conftest import draw_plate
from tests.trainer.evaluation.conftest import RULE, made
from trainer.dataset import Example, gather, read_manifest
from trainer.evaluation import figures
from trainer.evaluation.baselines import classical, gradients, majority, raters
from trainer.evaluation.curve import extrapolate
from trainer.evaluation.faults import FAULTS, befall
from trainer.evaluation.figures import Answers, estimate
from trainer.evaluation.foreign import KINDS, judge_foreign, pictures_in
from trainer.evaluation.judge import _by_heart, evaluate
from trainer.evaluation.page import page
from trainer.evaluation.report import Estimate, Evaluation, Failure
from trainer.evaluation.sheet import contact_sheet
from trainer.evaluation.text import card_part
from trainer.trained import TrainedModel
from trainer.views import KEPT_VIEWS

ALL = np.arange(300)


def test_figures_agree_with_scikit_learn() -> None:
    answers = made(300)
    said = answers.probabilities.argmax(1)
    assert figures.macro_f1(answers, ALL) == pytest.approx(f1_score(answers.true, said, average="macro"))
    expected = average_precision_score(answers.defect, answers.scores)
    assert figures.average_precision(answers, ALL) == pytest.approx(expected)
    tied = Answers(answers.examples, np.round(answers.probabilities, 1), RULE)
    assert figures.average_precision(tied, ALL) == pytest.approx(average_precision_score(tied.defect, tied.scores))


def test_single_group_has_no_interval() -> None:
    alone = estimate(made(60, per_group=60), figures.accuracy)
    assert alone.value is not None
    assert (alone.low, alone.high) == (None, None)
    assert estimate(made(60, per_group=30), figures.accuracy).low is not None


def test_costs_weigh_escapes_and_false_rejects() -> None:
    answers = made(300)
    missed = 1 - (figures.recall_defect(answers, ALL) or 0)
    rejected = 1 - (figures.recall_good(answers, ALL) or 0)
    assert figures.cost_per_part(answers, ALL) == pytest.approx((10 * missed + rejected) / 2)
    rare = RULE.thresholds.model_copy(update={"defect_share": 0.1})
    known = Answers(answers.examples, answers.probabilities, Rule(RULE.labels, RULE.good_labels, rare))
    assert figures.cost_per_part(known, ALL) == pytest.approx(0.1 * 10 * missed + 0.9 * rejected)


def test_images_of_one_group_count_as_one_another() -> None:
    alone = estimate(made(300, skill=1.0), figures.balanced_accuracy)
    answers = made(30, skill=1.0)
    ten_times = Answers(answers.examples * 10, np.tile(answers.probabilities, (10, 1)), RULE)
    copied = estimate(ten_times, figures.balanced_accuracy)
    assert alone.high is not None
    assert alone.low is not None
    assert copied.high is not None
    assert copied.low is not None
    assert copied.high - copied.low > 1.8 * (alone.high - alone.low)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = figures.balanced_accuracy(made(40_000, skill=1.0, seed=99), np.arange(40_000))
    assert truth is not None
    covered = 0
    for seed in range(40):
        found = estimate(made(150, skill=1.0, seed=seed), figures.balanced_accuracy)
        covered += found.low is not None and found.high is not None and found.low <= truth <= found.high
    assert covered >= 34


def test_four_times_the_images_resolve_half_the_difference() -> None:
    few, many = (figures.smallest_difference(made(count, skill=1.0)) for count in (200, 800))
    assert few is not None
    assert many is not None
    assert many == pytest.approx(few / 2, rel=0.25)


def test_classes_without_images_are_undefined_and_not_zero() -> None:
    answers = made(60)
    without = answers.rows([row for row in range(60) if answers.true[row] != 0])
    found = figures.class_figures(without)["dent"]
    assert found.images == 0
    assert found.recall.value is None


def test_calibration_error_is_small_for_honest_probabilities_and_large_for_boasting() -> None:
    rng = np.random.default_rng(3)
    defect = rng.uniform(size=4000)
    examples = tuple(Example(Path("x"), "dent" if rng.uniform() < p else "good") for p in defect)
    honest = np.stack([defect, 1 - defect, np.zeros(4000)], 1)
    boasting = np.stack([defect > 0.5, defect <= 0.5, np.zeros(4000)], 1).astype(float)
    small, large = (figures.calibration(Answers(examples, said, RULE)).error for said in (honest, boasting))
    assert small is not None
    assert large is not None
    assert small < 0.04
    assert large > 0.15


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_faults_grow_with_severity_and_keep_the_size(fault: str) -> None:
    rng = np.random.default_rng(5)
    plate = np.kron(rng.integers(40, 200, (12, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    changes = []
    for severity in (1, 2, 3):
        found = befall(plate, fault, severity, seed=1)
        assert found.shape == plate.shape
        assert found.dtype == np.uint8
        changes.append(float(np.abs(found.astype(float) - plate).mean()))
    assert 0 < changes[0] < changes[1] < changes[2]
    assert np.array_equal(befall(plate, fault, 2, seed=1), befall(plate, fault, 2, seed=1))


def test_gradients_see_direction() -> None:
    stripes = np.tile(np.repeat([40, 200], 8), 8)[None].repeat(128, 0)
    upright = np.repeat(stripes[:, :, None], 3, axis=2).astype(np.uint8)
    lying = upright.transpose(1, 0, 2).copy()
    assert gradients(upright).shape == (144,)
    assert np.abs(gradients(upright) - gradients(lying)).sum() > 0.5


def test_run_is_judged_beside_simpler_means_and_under_faults(first_model: TrainedModel) -> None:
    evaluation = evaluate(first_model)
    assert evaluation.images == len(first_model.snapshot.of("test"))
    assert evaluation.balanced_accuracy.value == pytest.approx(first_model.record.test_metrics.balanced_accuracy)
    assert len(evaluation.faults) == 3 * len(FAULTS)
    names = [item.name for item in evaluation.baselines]
    assert names[:3] == ["this model", "always the same answer", "classical feature, linear model"]
    assert names[3:] == ["random weights, linear head", "frozen features, linear head"]
    own, constant, *others = evaluation.baselines
    assert own.balanced_accuracy == evaluation.balanced_accuracy
    assert own.seconds == first_model.record.seconds
    assert constant.balanced_accuracy.value == 0.5
    assert {item.learned_from for item in (own, constant, others[0], others[-1])} == {
        len(first_model.snapshot.of("train", "validation"))
    }
    assert not any("'this model'" in sentence for sentence in evaluation.warnings), "it is no rival of itself"
    assert evaluation.curve is not None
    assert [count for count, _ in evaluation.curve.points] == sorted(count for count, _ in evaluation.curve.points)
    assert all(error <= evaluation.curve.points[-1][1] for _, error in evaluation.curve.expected)
    assert any("no accuracy is claimed" in sentence for sentence in evaluation.warnings)
    assert "lost under faults" in card_part(evaluation)


def test_raters_are_measured_by_their_majority() -> None:
    ratings = ["ann=good;bo=good;cy=scratch", "ann=scratch;bo=scratch;cy=scratch", "", "ann=good;bo=unheard of"]
    labels = ["good", "scratch", "good", "good"]
    test = [
        Example(Path(f"{row}.png"), label, group=f"g{row}", sha256=f"{row}", attributes={"ratings": said})
        for row, (label, said) in enumerate(zip(labels, ratings, strict=True))
    ]
    found = raters(test, RULE)
    assert found is not None
    assert found.accuracy == pytest.approx(6 / 7)  # of seven ratings of known classes one is not the majority's
    assert found.note.startswith("7 ratings of 3 images")
    assert raters([test[2]], RULE) is None


def test_model_that_knows_its_training_images_by_heart_is_told() -> None:
    test = Estimate(value=0.7, low=0.6, high=0.8)
    assert "by heart" in _by_heart(test, Estimate(value=0.97))[0]
    assert not _by_heart(test, Estimate(value=0.84))
    assert not _by_heart(Estimate(value=0.7, low=0.4, high=0.98), Estimate(value=0.97))
    assert not _by_heart(Estimate(value=None), Estimate(value=0.97))


def test_learning_curve_continues_a_power_law_and_never_rises() -> None:
    falling = [(n, 0.02 + 2 * n**-0.7) for n in (50, 100, 150, 200)]
    ((_, error),) = extrapolate(falling, [800])
    assert error == pytest.approx(0.02 + 2 * 800**-0.7, abs=0.01)
    noisy = [(50, 0.20), (100, 0.22), (150, 0.19), (200, 0.21)]
    assert all(0.15 <= error <= 0.21 for _, error in extrapolate(noisy, [400, 800]))


def test_baselines_learn_what_little_they_can(first_model: TrainedModel) -> None:
    record = first_model.record
    rule = Rule(record.labels, record.good_labels, record.thresholds)
    train, test = first_model.snapshot.of("train"), first_model.snapshot.of("test")
    better = classical(train, test, rule).balanced_accuracy.value
    assert better is not None
    assert better >= (majority(train, test, rule).balanced_accuracy.value or 0.0)


def test_command_writes_the_evaluation_and_its_part_of_the_card(first_model: TrainedModel, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for file in first_model.folder.iterdir():
        (run / file.name).write_bytes(file.read_bytes())
    result = CliRunner().invoke(app, ["evaluate", str(run), "--no-baselines", "--json"])
    assert result.exit_code == 0, result.output
    written = Evaluation.model_validate_json((run / "evaluation.json").read_text())
    assert json.loads(result.output)["images"] == written.images
    assert "## Evaluation on" in (run / "card.md").read_text()
    html = (run / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 3, "training curves, calibration and contact sheet"
    assert html.count("data:image/jpeg;base64,") == len(written.failures)
    assert (run / "training-curves.png").read_bytes().startswith(b"\x89PNG")


def test_failures_are_the_surest_wrong_answers_and_are_named_in_a_manifest(
    first_model: TrainedModel, tmp_path: Path
) -> None:
    evaluation = evaluate(first_model, baselines=False)
    test = first_model.snapshot.of("test")
    wrong = first_model.record.test_metrics
    assert len(evaluation.failures) == round((1 - (wrong.accuracy or 0)) * len(test))
    doubts = [abs(failure.defect_score - 0.5) for failure in evaluation.failures]
    assert doubts == sorted(doubts, reverse=True), "of two classes the surest is the farthest from the line"
    model = TrainedModel(tmp_path, first_model.record, first_model.module, first_model.snapshot)
    (tmp_path / "curves.csv").write_bytes((first_model.folder / "curves.csv").read_bytes())
    write_report(model, evaluation)
    rows = gather(tmp_path / "failures.csv").sound()
    assert [(str(row.path), row.label) for row in rows] == [(f.path, f.label) for f in evaluation.failures]


def test_report_shows_labels_and_names_as_text(first_model: TrainedModel) -> None:
    failure = Failure(path="<i>.png", label="<b>", answered="<script>", defect_score=0.9)
    evaluation = evaluate(first_model, baselines=False).model_copy(update={"failures": (failure,)})
    html = page(first_model, evaluation, {}, b"")
    assert "&lt;script&gt;" in html
    assert html.count("<script>") == 1, "the page's own"
    assert "<i>.png" not in html


def test_contact_sheet_has_a_row_for_each_class(first_model: TrainedModel) -> None:
    before = torch.random.get_rng_state()
    sheet = contact_sheet(first_model)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert sheet == contact_sheet(first_model)
    picture = Image.open(io.BytesIO(sheet))
    assert picture.size == (KEPT_VIEWS * 116 - 4, 2 * 116 - 4), "the very looks that the frozen part has answered"
    pixels = np.asarray(picture.convert("L"), dtype=float)
    first = pixels[:112, :112]
    assert all(np.abs(pixels[:112, left : left + 112] - first).mean() > 1 for left in range(116, KEPT_VIEWS * 116, 116))


@pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed")
def test_labels_are_corrected_in_the_page(first_model: TrainedModel, tmp_path: Path) -> None:
    test = first_model.snapshot.of("test")
    failures = tuple(
        Failure(path=str(e.path), label=e.label, answered="spot" if e.label == "good" else "good", defect_score=0.9)
        for e in test[:3]
    )
    evaluation = evaluate(first_model, baselines=False).model_copy(update={"failures": failures})
    (tmp_path / "report.html").write_text(page(first_model, evaluation, {}, contact_sheet(first_model)))
    with browser() as chromium:
        chromium.open((tmp_path / "report.html").as_uri())
        assert chromium.run("document.getElementById('save').hidden")
        choose = "const each = document.querySelectorAll('.gallery select')[{}]; each.value = {!r}; "
        told = "each.dispatchEvent(new Event('change', {bubbles: true})); "
        chromium.run("{ " + choose.format(0, failures[0].answered) + told + "}")
        chromium.run("{ " + choose.format(1, "") + told + "}")
        assert not chromium.run("document.getElementById('save').hidden")
        assert chromium.run("document.getElementById('save').textContent") == "Save 2 corrections as corrections.csv"
        (tmp_path / "corrections.csv").write_text(str(chromium.run("corrections()")))
        assert chromium.complaints == []
    result = CliRunner().invoke(
        app, ["correct", str(first_model.folder), str(tmp_path / "corrections.csv"), "--out", str(tmp_path / "new.csv")]
    )
    assert result.exit_code == 0, result.output
    assert "1 labels corrected, 1 images removed" in result.output
    again = {example.sha256: example for example in read_manifest(tmp_path / "new.csv").examples}
    assert again[test[0].sha256].label == failures[0].answered
    assert test[1].sha256 not in again
    for example in first_model.snapshot.examples:
        if example.sha256 != test[1].sha256:
            kept = again[example.sha256]
            assert (kept.split, kept.group, kept.site) == (example.split, example.group, example.site)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n{known},spto\n", "'spto' is none of the classes good, spot"),
        ("path,label\nelsewhere.png,spot\n", r"elsewhere\.png is none of the run's images"),
        ("path\n{known}\n", "row 2: the columns `path` and `label`"),
        ("path,label\n{known},spot\n{known},good\n", "is called 'spot' and 'good'"),
        ("path,label\n{known},{same}\n", "changes nothing"),
    ],
)
def test_corrections_that_cannot_be_meant_are_refused(
    first_model: TrainedModel, tmp_path: Path, text: str, message: str
) -> None:
    example = first_model.snapshot.of("test")[0]
    file = tmp_path / "corrections.csv"
    file.write_text(text.format(known=example.path.resolve(), same=example.label))
    with pytest.raises((DatasetError, ConfigurationError), match=message):
        run_correct(first_model.folder, file, tmp_path / "new.csv")
    assert not (tmp_path / "new.csv").exists()


def test_pictures_without_a_part_are_tried(first_model: TrainedModel, tmp_path: Path) -> None:
    draw_plate(tmp_path / "other" / "light.png", spotted=False, seed=1, light=250)
    found = {item.kind: item for item in judge_foreign(first_model, pictures_in(tmp_path / "other"))}
    assert list(found) == [*KINDS, "your pictures"]
    assert found["your pictures"].images == 1
    assert found["no light"].stands_out == 1.0, "nothing like it was trained on"
    for item in found.values():
        assert item.unnoticed <= item.let_through
    known = first_model.snapshot.of("test")[:20]
    (same,) = (i for i in judge_foreign(first_model, [e.path for e in known]) if i.kind == "your pictures")
    assert (same.stands_out or 0) <= 0.1, "the test images themselves do not"
    good = [e.label == "good" for e in known]
    assert same.let_through == pytest.approx(sum(good) / len(good), abs=0.25)


def test_foreign_pictures_that_pass_unnoticed_are_warned_of(first_model: TrainedModel) -> None:
    evaluation = evaluate(first_model, baselines=False, foreign=[e.path for e in first_model.snapshot.of("test")])
    assert any("Of pictures without a part (your pictures)" in sentence for sentence in evaluation.warnings)
    assert "### Pictures without a part" in card_part(evaluation)


def test_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no image"):
        pictures_in(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_made_pictures_keep_the_size(kind: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    assert KINDS[kind](image, np.random.default_rng(1)).shape == image.shape
