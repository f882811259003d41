"""Sites help each other where it helps, and are left alone where not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.bundle import Licence
from contracts.errors import DatasetError
from lineside.main import app
from tests.trainer.conftest import draw_plate
from trainer.attempt import Attempt, Task
from trainer.bases.backbone import BaseModel
from trainer.dataset import read_manifest
from trainer.run import load_run
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot, take_snapshot
from trainer.transfer import TransferReport, advise, folder_of, matrix, sites_of, source_models

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
    assert chosen.held_out_loss <= alone.held_out_loss, "never worse than alone"
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


def test_command_prints_the_matrix_and_writes_the_report(tmp_path: Path) -> None:
    manifest = two_halls(tmp_path)
    arguments = ["transfer", str(manifest), "--out", str(tmp_path / "out"), "--strategy", "probe", "--target", "hall-b"]
    arguments[1:1] = ["--workspace", str(tmp_path / "workspace"), "--threads", "1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    report = TransferReport.model_validate_json((tmp_path / "out" / "transfer.json").read_text())
    assert [advice.target for advice in report.advice] == ["hall-b"]
    assert "hall-b with" in result.output
    wrong = CliRunner().invoke(app, [*arguments[:-1], "hall-c"])
    assert wrong.exit_code == 1
    assert "no rows of site 'hall-c'; it has hall-a, hall-b" in wrong.stderr
