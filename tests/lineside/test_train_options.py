"""`lineside train` as a person at a terminal meets it before anything is computed."""

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.errors import DatasetError
from lineside.correct import read_corrections
from lineside.main import app
from lineside.train_options import TrainOptions
from lineside.training import train_model
from tests.trainer.conftest import draw_plate
from trainer.snapshot import Snapshot


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.csv"
    path.write_text("path,label,area\nnot-there.png,good,0\n")  # an image is not looked for before the words are clear
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--task size", "--task: Input should be 'severity' or 'location', not 'size'"),
        ("--task severity", "no column 'severity', only path, label, area; name one of them with --severity-column"),
        ("--task location", "no column 'bbox_xyxy', only path, label, area; write the boxes into it"),
        ("--task location --strategy probe", "say --strategy tail, or full"),
        ("--average", "needs a strategy that sees the images anew, not tail: say --strategy full"),
        ("--average --strategy full --task location", "--average is for the class alone"),
        ("--severity-levels 4", "--severity-column and --severity-levels need --task severity"),
        ("--compare-tasks", "--compare-tasks needs --task severity or --task location"),
        ("--task-weights severity=2", "a task that is not asked for; say --task severity too"),
        ("--task-weights size=2", "--task-weights: say learned, fixed, or numbers from 0 on"),
        ("--task-weights class=-1", "--task-weights: say learned, fixed, or numbers from 0 on"),
        ("--size wide", "--size: say pixels a side, WIDTHxHEIGHT as in 352x144, or auto, not 'wide'"),
        ("--size 352x", "--size: say pixels a side, WIDTHxHEIGHT as in 352x144, or auto, not '352x'"),
        ("--size 352x16", "--size: Input should be greater than or equal to 32, not 16"),
        ("--site Hall_3", "--site: a name has small letters, digits and hyphens, 64 at most, not 'Hall_3'; say, for"),
        ("--product Deckel", "--product: a name has small letters, digits and hyphens, 64 at most, not 'Deckel'"),
        ("--flips square --size 96x64", "flips 'square' turns images, but the input has 96 x 64 pixels; say 'both'"),
        (
            "--tiles 4x2@much",
            "--tiles: say COLUMNSxROWS, for example 4x2, or COLUMNSxROWS@OVERLAP, for example 4x2@0.25",
        ),
        ("--tiles 4x2@0.6", "--tiles: Input should be less than or equal to 0.5"),
        ("--tiles 2x2 --size auto", "two answers to small defects: leave --size auto out, or --tiles"),
        ("--region-of-interest 1,2,3", "--region-of-interest: say left,top,right,bottom in whole pixels of the image"),
        ("--region-of-interest 9,0,3,4", "--region-of-interest: right must be more than left and bottom more than top"),
        ("--hidden '0,0 9,9 9,0 0,9'", "cross each other; name its corners in order"),
        ("--base nobody", "no base model is called 'nobody'"),
    ],
)
def test_contradiction_is_refused_before_an_image_is_read(
    words: str, said: str, manifest: Path, tmp_path: Path
) -> None:
    arguments = ["train", str(manifest), "--out", str(tmp_path / "run"), "--workspace", str(tmp_path / "workspace")]
    result = CliRunner().invoke(
        app,
        [*arguments, *shlex.split(words)],
        env={"COLUMNS": "200"},
    )
    assert result.exit_code == 1, result.output
    assert said in result.output
    assert not (tmp_path / "run").exists()


def test_folder_tells_of_no_task(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", str(tmp_path), "--out", str(tmp_path / "run"), "--task", "location"])
    assert result.exit_code == 1
    assert "a folder tells the class alone, and with masks in ground_truth the place; write a manifest" in result.output
    (tmp_path / "ground_truth").mkdir()
    result = CliRunner().invoke(app, ["train", str(tmp_path), "--out", str(tmp_path / "run"), "--task", "location"])
    assert "has no sub-folder with images" in result.output, "the words were clear, now the images are looked for"


def test_owner_and_use_stand_where_no_licence_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        place = tmp_path / "images" / ("crack" if number % 2 else "good") / f"{number}.png"
        draw_plate(place, spotted=number % 2 == 1, seed=number)
    (tmp_path / "images" / "LICENSE").write_text("MIT License\n")
    seen: list[Snapshot] = []
    monkeypatch.setattr("lineside.training.train", lambda snapshot, *_, **__: seen.append(snapshot))
    options = TrainOptions(
        data=tmp_path / "images", out=tmp_path / "run", workspace=tmp_path / "workspace", owner="Example Castings",
        permitted_use="evaluation only",
    )  # fmt: skip
    train_model(options, lambda *_: None)
    licence = seen[0].licence
    assert (licence.owner, licence.licence) == ("Example Castings", "MIT License")
    assert licence.permitted_use == "as its licence file says; evaluation only"
    assert not licence.production


def test_site_is_refused_with_a_name_that_would_do(manifest: Path, tmp_path: Path) -> None:
    arguments = ["train", str(manifest), "--out", str(tmp_path / "run"), "--site", "Hall 3 (Süd)"]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert "say, for example, hall-3-sud" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("evaluate nowhere", "nowhere is not a finished training run: it is not there; name the folder that"),
        ("evaluate {folder}", "is not a finished training run: it has no run.json; name the folder that"),
        ("correct nowhere some.csv --out other.csv", "nowhere is not a finished training run: it is not there"),
        ("export nowhere --out {folder}/bundle", "nowhere is not a finished training run: it is not there"),
        ("retrain --order nope.json --out {folder}/out", "the order nope.json cannot be read: No such file"),
    ],
)
def test_what_is_not_there_is_named_with_its_remedy(words: str, said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, words.format(folder=tmp_path).split(), env={"COLUMNS": "200"})
    assert result.exit_code == 1, result.output
    assert said in result.output
    assert "Errno" not in result.output


def test_corrections_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nope.csv cannot be read: No such file or directory; name the CSV"):
        read_corrections(tmp_path / "nope.csv")
