"""A group once in the test of a workspace is never trained on there, whatever a later training is asked for."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contracts.bundle import Licence
from contracts.errors import ConfigurationError, DatasetError
from contracts.quality import QualityReport
from lineside.main import app
from lineside.train_options import TrainOptions, refuse_early
from lineside.training import train_model
from tests.trainer.conftest import draw_plate, order_for, write_labels
from trainer.bases.backbone import BaseModel
from trainer.dataset import Dataset, Split, checked, read_manifest
from trainer.parting import Parting
from trainer.pins import read_pins
from trainer.proof import prove_pinned
from trainer.retrain import grow, retrain
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot, find_snapshot, take_snapshot
from trainer.split import group_of
from trainer.trained import TrainedModel, load_run

PROBE: dict[str, object] = {"strategy": "probe", "flips": "none"}
LICENCE = Licence(owner="plant", licence="our own")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 plates."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(120):
        draw_plate(folder / f"{number}.png", spotted=number % 2 == 1, seed=number)
    return folder


@pytest.fixture(autouse=True)
def small(small_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command trains the small network."""
    for module in ("training", "train_options", "transfer"):
        monkeypatch.setattr(f"lineside.{module}.chosen_base", lambda *_, **__: small_base)


def manifest(pictures: Path, first: int, last: int, **columns: str) -> Path:
    """Plates `first` to before `last`: lots of four, ten a day, two sites; `columns` say the split of a lot."""
    path = pictures / f"{first}-{last}{'-'.join(columns)}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "group", "site", "captured_at", "split"))
        for n in range(first, last):
            day, site = f"2026-03-{1 + n // 10:02}T{n % 10:02}:00:00", "mono" if n // 4 % 2 else "poly"
            lot = f"lot{n // 4}"
            writer.writerow((f"{n}.png", "spot" if n % 2 else "good", lot, site, day, columns.get(lot, "")))
    return path


def trained(data: Path, workspace: Path, out: str = "run", **options: Any) -> TrainedModel:
    asked = TrainOptions(data=data, out=workspace / out, workspace=workspace, threads=1, settings=PROBE)
    return train_model(replace(asked, **options), lambda *_, **__: None)


def taken(data: Path, workspace: Path, **parting: Any) -> Snapshot:
    """The snapshot that a training of these takes and leaves."""
    snapshot = Parting(workspace=workspace, **parting).snapshot(read_manifest(data), LICENCE)
    prove_pinned(snapshot, workspace)
    snapshot.save(workspace)
    return snapshot


def groups(snapshot: Snapshot, *splits: Split) -> set[str]:
    return {group_of(example) for example in snapshot.of(*splits)}


def card(model: TrainedModel) -> str:
    return (model.folder / "card.md").read_text(encoding="utf-8")


def test_a_second_training_keeps_the_test_of_the_first_and_its_card_proves_it(pictures: Path, tmp_path: Path) -> None:
    first = trained(manifest(pictures, 0, 80), tmp_path, "first")
    assert "whose first snapshot this is" in card(first)
    second = trained(manifest(pictures, 0, 120), tmp_path, "second", seed=4)
    assert groups(first.snapshot, "test") < groups(second.snapshot, "test")
    assert groups(first.snapshot, "train") < groups(second.snapshot, "train")
    tests, before = len(groups(second.snapshot, "test")), len(groups(first.snapshot, "test"))
    assert (
        f"- test groups: {tests}, trained on in none of 1 earlier snapshot of the workspace, whose {before} are not "
        "trained on here (checked)" in card(second)
    )
    assert second.record.details["snapshots_looked_through"] == 1


def test_a_second_training_by_time_keeps_the_days_and_tests_on_the_latest(pictures: Path, tmp_path: Path) -> None:
    first = taken(manifest(pictures, 0, 80), tmp_path, by="time")
    second = taken(manifest(pictures, 0, 120), tmp_path, by="time")
    assert groups(first, "test") < groups(second, "test")
    assert groups(first, "train") < groups(second, "train")
    assert max(groups(second, "test")) == "2026-03-12"
    assert max(groups(second, "train")) > max(groups(first, "test")), "new days are learned, too"


def test_sites_of_one_workspace_share_what_is_tested_on(pictures: Path, tmp_path: Path) -> None:
    """Each alone, then pooled: nothing that one of them tests on is learned."""
    both = manifest(pictures, 0, 120)
    mono, poly = (taken(both, tmp_path, only_site=site) for site in ("mono", "poly"))
    pooled = taken(both, tmp_path, seed=3)
    assert groups(mono, "test") | groups(poly, "test") == groups(pooled, "test")
    assert prove_pinned(pooled, tmp_path).looked == 2


def test_an_image_is_known_under_another_group(pictures: Path, tmp_path: Path) -> None:
    first = taken(manifest(pictures, 0, 80), tmp_path)
    renamed = manifest(pictures, 0, 120)
    renamed.write_text(renamed.read_text().replace(",lot", ",part"))
    second = taken(renamed, tmp_path, seed=9)
    assert {e.sha256 for e in first.of("test")} <= {e.sha256 for e in second.of("test")}


def test_a_training_that_did_not_end_has_settled_its_split(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("trainer.attempt.Task.attempt", dies)
        with pytest.raises(KeyboardInterrupt):
            trained(manifest(pictures, 0, 80), tmp_path, "first")
    pins = read_pins(tmp_path)
    second = taken(manifest(pictures, 0, 120), tmp_path, seed=4)
    assert pins.tested
    assert not pins.tested.keys() & groups(second, "train")


def test_a_stated_split_that_contradicts_is_refused_by_name(pictures: Path, tmp_path: Path) -> None:
    first = taken(manifest(pictures, 0, 80), tmp_path)
    tested = min(groups(first, "test"))
    stating = manifest(pictures, 0, 80, **{tested: "train"})
    with pytest.raises(DatasetError) as refused:
        trained(stating, tmp_path, "second")
    assert f"the group {tested} is stated as train, but it is test in an earlier snapshot" in str(refused.value)
    assert "or use another --workspace" in str(refused.value)
    assert not (tmp_path / "second").exists()
    assert tested in groups(taken(stating, tmp_path / "other"), "train")
    agreeing = manifest(pictures, 0, 80, **{tested: "test"})
    assert groups(taken(agreeing, tmp_path), "test") == groups(first, "test")


def test_another_kind_of_split_is_refused_where_it_would_tear_a_group(pictures: Path, tmp_path: Path) -> None:
    taken(manifest(pictures, 0, 120), tmp_path)
    with pytest.raises(DatasetError, match=r"the group 2026-03-\d\d was tested on \(snapshot [0-9a-f]{12}\) as well"):
        taken(manifest(pictures, 0, 120), tmp_path, by="time")


def test_check_tells_of_the_split_that_is_trained_with(pictures: Path, tmp_path: Path) -> None:
    """By time, of one site, in a workspace that has settled some of it: `check` counts what `train` then has."""
    data = manifest(pictures, 0, 120)
    taken(manifest(pictures, 0, 80), tmp_path, by="time")
    words = ["--split", "time", "--only-site", "mono", "--workspace", str(tmp_path)]
    said = CliRunner().invoke(app, ["check", str(data), "--no-labels", "--out", str(tmp_path / "report"), *words])
    assert said.exit_code == 0, said.output
    quick = ["--strategy", "probe", "--flips", "none", "--no-evaluate", "--no-yardstick", "--threads", "1"]
    done = CliRunner().invoke(app, ["train", str(data), "--out", str(tmp_path / "second"), *words, *quick])
    assert done.exit_code == 0, done.output
    model = load_run(tmp_path / "second")
    assert groups(model.snapshot, "test") >= {"2026-03-08"}
    for folder in ("report", "second"):
        report = QualityReport.model_validate_json((tmp_path / folder / "quality.json").read_text())
        assert report.classes == model.snapshot.counts()
        assert not {"no-groups", "settled-otherwise"} & {finding.kind for finding in report.findings}


def test_strict_judges_the_split_that_is_trained_with(pictures: Path, tmp_path: Path) -> None:
    """Copies with one byte more lie in another lot, but on the day of their originals."""
    with manifest(pictures, 0, 80).open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    for number, row in enumerate(list(rows[1:])):
        (pictures / f"twin-{row[0]}").write_bytes((pictures / row[0]).read_bytes() + b"\0")
        rows.append([f"twin-{row[0]}", row[1], f"twin{number // 4}", *row[3:]])
    twins = pictures / "twins.csv"
    with twins.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    words = ["check", str(twins), "--no-labels", "--strict", "--workspace", str(tmp_path)]
    leaking = CliRunner().invoke(app, words)
    assert leaking.exit_code == 1
    assert "have a near duplicate among" in leaking.output
    assert CliRunner().invoke(app, [*words, "--split", "time"]).exit_code == 0


def test_check_names_a_contradiction_and_still_reports(pictures: Path, tmp_path: Path) -> None:
    first = taken(manifest(pictures, 0, 80), tmp_path)
    stating = manifest(pictures, 0, 80, **{min(groups(first, "test")): "train"})
    words = ["check", str(stating), "--no-labels", "--strict", "--workspace", str(tmp_path)]
    said = CliRunner().invoke(app, words, env={"COLUMNS": "300"})
    assert said.exit_code == 1
    assert "is stated as train, but it is test in an earlier snapshot" in said.output


def test_transfer_keeps_to_the_workspace_and_settles_its_split(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(*_: object, **__: object) -> None:
        raise DatasetError("far enough")

    monkeypatch.setattr("lineside.transfer.source_models", stops)
    first = taken(manifest(pictures, 0, 80), tmp_path)
    before = {path.name for path in (tmp_path / "snapshots").iterdir()}
    words = ["--strategy", "probe", "--target", "mono", "--seed", "5", "--workspace", str(tmp_path), "--good", "good"]
    done = CliRunner().invoke(
        app, ["transfer", str(manifest(pictures, 0, 120)), "--out", str(tmp_path / "transfer"), *words]
    )
    assert "far enough" in done.output
    (added,) = {path.name for path in (tmp_path / "snapshots").iterdir()} - before
    split = find_snapshot(tmp_path, added)
    assert groups(first, "test") < groups(split, "test")
    later = taken(manifest(pictures, 0, 120), tmp_path, seed=8)
    assert groups(later, "test") == groups(split, "test")


def test_ranking_leaves_the_test_out(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = taken(manifest(pictures, 0, 80), tmp_path)
    seen: list[set[str]] = []

    def noted(_: object, examples: list[object], **__: object) -> tuple[()]:
        seen.append({example.sha256 for example in examples})  # type: ignore[attr-defined]
        return ()

    monkeypatch.setattr("lineside.models.rank", noted)
    words = ["--catalogue", str(tmp_path / "catalogue.toml"), "--seed", "6"]
    said = CliRunner().invoke(app, ["models", "rank", str(manifest(pictures, 0, 80)), *words])
    assert said.exit_code == 0, said.output
    assert seen == [{example.sha256 for example in snapshot.of("train", "validation")}]


def test_a_finished_run_is_not_overwritten_unasked(pictures: Path, tmp_path: Path) -> None:
    data = manifest(pictures, 0, 80)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    options = TrainOptions(data=data, out=tmp_path / "run", workspace=tmp_path, settings=PROBE)
    said = CliRunner().invoke(
        app, ["train", str(data), "--out", str(tmp_path / "run"), "--workspace", str(tmp_path)], env={"COLUMNS": "300"}
    )
    assert said.exit_code == 1
    assert "holds a finished run, which would be lost; choose another --out, or say --overwrite" in said.output
    with pytest.raises(ConfigurationError, match="holds a finished run"):
        refuse_early(options)
    for chosen in ({"overwrite": True}, {"resume": True}, {"out": tmp_path / "other"}):
        refuse_early(replace(options, **chosen))


def test_a_retrain_learns_nothing_that_another_training_tests_on(
    plates: Dataset, small_base: BaseModel, tmp_path: Path
) -> None:
    """Trainings from before a workspace kept its splits: the model retrained has learned what an older one tests on."""
    settings = TrainingSettings(strategy="probe", flips="none")
    older = take_snapshot(plates, licence=LICENCE, seed=0)
    base = take_snapshot(plates, licence=LICENCE, seed=5)
    learned = groups(base, "train") & groups(older, "test")
    assert learned
    model = train(base, small_base, settings=settings, out=tmp_path / "run", workspace=tmp_path)
    older.save(tmp_path)
    order = order_for(write_labels(tmp_path / "labels"), model)
    second = retrain(order, tmp_path, tmp_path / "second")
    assert not groups(second.snapshot, "train") & (groups(older, "test") | groups(base, "test"))
    assert learned <= groups(second.snapshot, "gate")
    assert groups(second.snapshot, "test") == groups(base, "test")
    assert prove_pinned(second.snapshot, tmp_path).seen == len(groups(base, "test") & groups(older, "train"))
    assert "trained on by other models, which look too good on them" in card(second)
    third = grow(second.snapshot, (), order, read_pins(tmp_path))
    assert not groups(third, "train") & groups(older, "test")


def test_a_model_of_another_fold_is_refused(plates: Dataset, small_base: BaseModel, tmp_path: Path) -> None:
    take_snapshot(plates, licence=LICENCE, seed=0).save(tmp_path)
    other = take_snapshot(checked(plates.examples, "x"), licence=LICENCE, seed=5)
    with pytest.raises(DatasetError, match=r"the group lot-\d+ is to be trained on, but snapshot \w+ tests on it"):
        train(other, small_base, settings=TrainingSettings(), out=tmp_path / "run", workspace=tmp_path)
