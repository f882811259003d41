"""Sites help each other where it helps, and are left alone where not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.bundle import Licence
from contracts.errors import DatasetError
from lineside.main import app
from lineside.training import print_trained
from tests.trainer.conftest import draw_plate
from trainer.attempt import Attempt, Task
from trainer.bases.backbone import BaseModel
from trainer.dataset import read_manifest
from trainer.evaluation.report import Estimate, LearningCurve
from trainer.run import load_run
from trainer.settings import TrainingSettings
from trainer.sites.advice import Advice, TransferReport, in_words
from trainer.sites.by_site import AtSite
from trainer.sites.gain import label_cost
from trainer.sites.page import page
from trainer.sites.transfer import advise, folder_of, matrix, on_sites, pooled_model, sites_of, source_models
from trainer.snapshot import Snapshot, take_snapshot

PROBE = TrainingSettings(strategy="probe", flips="none", good=("good",))


def two_halls(folder: Path) -> Path:
    """80 plates: hall-b has other light, and few of its own."""
    rows = ["path,label,group,site"]
    for number in range(80):
        site = "hall-b" if number % 4 > 1 else "hall-a"
        draw_plate(
            folder / f"{number}.png", spotted=number % 2 == 1, seed=number, light=130 if site == "hall-a" else 170
        )
        rows.append(f"{number}.png,{'spot' if number % 2 else 'good'},lot-{number // 2},{site}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def halls(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    manifest = two_halls(tmp_path_factory.mktemp("halls"))
    return take_snapshot(read_manifest(manifest), licence=Licence(owner="x", licence="y"), seed=0)


def test_every_way_is_tried_and_no_test_image_is_learned(
    halls: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[set[str]] = []
    attempt = Task.attempt

    def noted(task: Task, settings: TrainingSettings) -> Attempt:
        learned.append({example.sha256 for example in task.snapshot.of("train", "validation")})
        return attempt(task, settings)

    monkeypatch.setattr(Task, "attempt", noted)
    test = {example.sha256 for example in halls.of("test")}
    models = source_models(halls, small_base, PROBE, tmp_path / "sites")
    found = matrix(models, halls, PROBE.good)
    assert set(found) == {"hall-a", "hall-b"}
    assert found["hall-a"]["hall-a"].auroc.value is not None
    advice = advise(halls, "hall-b", small_base, models, labels=20, settings=PROBE, out=tmp_path / "ways")
    assert [way.name for way in advice.ways] == ["alone", "from hall-a", "pooled"]
    assert advice.labels == 20
    alone, sister, pooled = advice.ways
    assert alone.images == sister.images == advice.labels
    assert pooled.images > alone.images
    by_name = {way.name: way for way in advice.ways}
    chosen = by_name[advice.chosen]
    assert chosen.gain is None or not chosen.gain.harms, "never surely worse than alone"
    assert advice.why.startswith(advice.chosen)
    assert len(learned) == 5, "two sites' own models and three ways"
    assert not any(test & images for images in learned)
    lots = {example.group for example in halls.examples if example.sha256 in learned[2]}
    assert len(lots) > advice.labels / 2, "drawn one by one and not lot after lot, of two plates each"
    assert not list(tmp_path.rglob("round-*"))
    model = load_run(tmp_path / "ways" / folder_of(advice.chosen))
    assert model.record.site == "hall-b"
    assert model.record.test_metrics.balanced_accuracy == chosen.test.balanced_accuracy.value


def test_site_that_cannot_be_learned_or_named_is_refused(
    halls: Snapshot, small_base: BaseModel, tmp_path: Path
) -> None:
    named = Snapshot(tuple(replace(e, site=e.site.replace("-", " ")) for e in halls.examples), halls.licence)
    with pytest.raises(DatasetError, match="site 'hall a': a name has small letters"):
        sites_of(named, ("good",))
    spotless = Snapshot(tuple(e for e in halls.examples if e.site == "hall-a" or e.label == "good"), halls.licence)
    with pytest.raises(DatasetError, match=r"site hall-b has .* labelled images to learn from"):
        sites_of(spotless, ("good",))
    untested = Snapshot(tuple(e for e in halls.examples if e.site == "hall-a" or e.split != "test"), halls.licence)
    with pytest.raises(DatasetError, match="site hall-b has no image in the test split"):
        sites_of(untested, ("good",))
    with pytest.raises(DatasetError, match="hall-b with 1 labels"):
        advise(halls, "hall-b", small_base, {}, labels=1, settings=PROBE, out=tmp_path)


def test_groups_at_both_sites_do_not_tell_what_is_unseen(
    halls: Snapshot, small_base: BaseModel, tmp_path: Path
) -> None:
    shared = Snapshot(tuple(replace(e, group=f"lot-{n % 10}") for n, e in enumerate(halls.examples)), halls.licence)
    with pytest.raises(DatasetError, match="every group of hall-b is at another site"):
        advise(shared, "hall-b", small_base, {}, labels=None, settings=PROBE, out=tmp_path)


def test_a_transfer_needs_two_named_sites(snapshot: Snapshot) -> None:
    with pytest.raises(DatasetError, match="column `site`"):
        sites_of(snapshot, ("good",))


def test_every_way_says_its_gain_over_alone_and_what_that_costs_in_labels(
    halls: Snapshot, small_base: BaseModel, tmp_path: Path
) -> None:
    models = source_models(halls, small_base, PROBE, tmp_path / "sites")
    few, all_of_them = (
        advise(halls, "hall-b", small_base, models, labels=labels, settings=PROBE, out=tmp_path / f"ways-{labels}")
        for labels in (20, None)
    )
    alone, sister, pooled = all_of_them.ways
    assert alone.gain is None
    assert sister.gain is not None
    assert sister.gain.loss.value == 0.0, "a frozen backbone is the base model's"
    assert pooled.gain is not None
    assert pooled.gain.loss.value == pytest.approx(alone.held_out_loss - pooled.held_out_loss)
    assert pooled.gain.loss.low is not None
    assert few.curve == all_of_them.curve is None, "34 labels are too few for a curve"
    assert few.way("pooled").cost is None
    assert in_words(few)


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (Estimate(value=0.02, low=0.0, high=0.04), "57 more (0 to 178)"),
        (Estimate(value=0.06, low=0.02, high=0.09), "not within 400 labels (57 more at least)"),
        (Estimate(value=-0.01), "0 more"),
    ],
)
def test_labels_that_alone_would_need_are_read_off_its_learning_curve(gain: Estimate, said: str) -> None:
    curve = LearningCurve(points=tuple((n, n**-0.5) for n in (25, 50, 75, 100)), expected=())
    cost = label_cost(curve, 100, gain)
    assert cost is not None
    assert cost.in_words() == said
    assert label_cost(curve, 100, Estimate(value=None)) is None


def test_what_was_measured_goes_before_what_is_expected() -> None:
    curve = LearningCurve(points=((20, 0.4), (40, 0.2), (60, 0.25), (80, 0.1)), expected=())
    cost = label_cost(curve, 20, Estimate(value=0.2, low=0.1, high=0.2))
    assert cost is not None
    assert cost.more == pytest.approx(20, abs=1)
    assert cost.least == pytest.approx(10, abs=1)


def test_pooled_model_is_shown_site_by_site_too(
    halls: Snapshot, small_base: BaseModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = pooled_model(halls, small_base, PROBE, tmp_path)
    sites, overall = on_sites(model, halls, PROBE.good)
    assert list(sites) == ["hall-a", "hall-b"]
    assert sites["hall-a"].images + sites["hall-b"].images == overall.images == len(halls.of("test"))
    told = [AtSite.model_validate(each) for each in model.record.details["sites"]]
    assert [(each.site, each.good + each.defective) for each in told] == [
        (site, reached.images) for site, reached in sites.items()
    ]
    assert "- hall-b: " in (card := (model.folder / "card.md").read_text())
    assert "too few to claim an accuracy" in card
    print_trained(model)
    said = capsys.readouterr().out
    assert all(f"    {site}: " in said for site in sites)


def test_finished_models_are_taken_as_they_are_only_where_nothing_differs(
    halls: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def advice(settings: TrainingSettings, *, resume: bool) -> Advice:
        models = source_models(halls, small_base, settings, tmp_path / "sites", resume=resume)
        return advise(
            halls, "hall-b", small_base, models, labels=20, settings=settings, out=tmp_path / "ways", resume=resume
        )

    first = advice(PROBE, resume=False)
    trained: list[Path] = []
    attempt = Task.attempt

    def noted(task: Task, settings: TrainingSettings) -> Attempt:
        trained.append(task.out)
        return attempt(task, settings)

    monkeypatch.setattr(Task, "attempt", noted)
    assert advice(PROBE, resume=True) == first
    assert trained == []
    (tmp_path / "ways" / "pooled" / "held_out.safetensors").unlink()
    assert [way.held_out_loss for way in advice(PROBE, resume=True).ways] == [way.held_out_loss for way in first.ways]
    assert trained == [tmp_path / "ways" / "pooled"]
    trained.clear()
    advice(PROBE.model_copy(update={"label_noise": 0.1}), resume=True)
    assert len(trained) == 5, "other settings, other models"


def test_command_writes_a_page_and_takes_several_numbers_of_labels(tmp_path: Path) -> None:
    manifest = two_halls(tmp_path)
    arguments = [
        "transfer", str(manifest), "--out", str(tmp_path / "out"), "--workspace", str(tmp_path / "workspace"),
        "--strategy", "probe", "--threads", "1", "--labels", "12,20", "--size", "48", "--target",
    ]  # fmt: skip
    result = CliRunner().invoke(app, [*arguments, "hall-b"])
    assert result.exit_code == 0, result.output
    report = TransferReport.model_validate_json((tmp_path / "out" / "transfer.json").read_text())
    assert [(advice.target, advice.labels) for advice in report.advice] == [("hall-b", 12), ("hall-b", 20)]
    assert all((Path(advice.folder) / "alone" / "run.json").exists() for advice in report.advice)
    assert "hall-b with 20 labelled images" in result.output
    assert "all pooled" in result.output
    shown = (tmp_path / "out" / "transfer.html").read_text()
    assert "<th>all pooled</th>" in shown
    assert "hall-b, with 12 labelled images: " in shown
    assert "http" not in shown, "needs nothing else"
    again = CliRunner().invoke(app, [*arguments, "hall-b", "--resume", "--json"])
    assert TransferReport.model_validate_json(again.stdout) == report
    wrong = CliRunner().invoke(app, [*arguments, "hall-c"])
    assert wrong.exit_code == 1
    assert "no rows of site 'hall-c'; it has hall-a, hall-b" in wrong.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--labels 50,few", "--labels: say whole numbers from 10 on, as in 50 or 50,100,200, not 'few'"),
        ("--labels 5", "from 10 on, as in 50 or 50,100,200, not '5'"),
        ("--tiles wide", "--tiles: say COLUMNSxROWS, for example 4x2"),
        ("--size wide", "--size: say pixels a side"),
    ],
)
def test_wrong_words_are_refused_before_an_image_is_read(words: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,label,site\nnot-there.png,good,a\n")
    arguments = ["transfer", str(tmp_path / "manifest.csv"), "--out", str(tmp_path / "out"), *words.split()]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert said in result.output


def test_report_of_an_earlier_version_is_still_read() -> None:
    reached = {"balanced_accuracy": {"value": 0.9}, "auroc": {"value": 0.9}}
    way = {"name": "alone", "images": 9, "seconds": 1.0, "held_out_loss": 0.3, "held_out_auroc": None, "test": reached}
    advice = {"target": "a", "labels": 9, "ways": [way], "chosen": "alone", "why": "alone: the best"}
    report = TransferReport.model_validate({"matrix": {"a": {"a": reached}}, "advice": [advice]})
    assert "a, with 9 labelled images: alone" in page(report)
