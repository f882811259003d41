"""The size of the input is chosen by what can be seen at it, and no larger than that needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contracts.bundle import Licence
from contracts.errors import ConfigurationError
from contracts.preprocessing import Tiles
from tests.trainer.conftest import shorten
from trainer.bases.backbone import BaseModel
from trainer.dataset import read_manifest
from trainer.progress import silent
from trainer.run import load_run, train
from trainer.settings import TrainingSettings
from trainer.sizing import choose_size, fitting_size, sizes_for
from trainer.snapshot import Snapshot, take_snapshot

SIDE = 96


def plates_with(folder: Path, *, fine: bool) -> Snapshot:
    """64 plates of 96 pixels. Every other one is dark or, where it is `fine`, has a patch of chequers of one pixel:
    on half the pixels as grey as the rest."""
    rows = ["path,label,group"]
    chequers = 100 * (np.indices((40, 40)).sum(axis=0) % 2) - 50
    for number in range(64):
        rng = np.random.default_rng(number)
        plate = rng.normal(130, 4, (SIDE, SIDE))
        if number % 2 and fine:
            top, left = 2 * rng.integers(0, 28, 2)
            plate[top : top + 40, left : left + 40] += chequers
        elif number % 2:
            plate -= 80
        Image.fromarray(np.clip(plate, 0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{'bad' if number % 2 else 'good'},lot-{number // 2}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return take_snapshot(read_manifest(folder / "manifest.csv"), licence=Licence(licence="our own"), seed=0)


@pytest.fixture(scope="module")
def fine(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return plates_with(tmp_path_factory.mktemp("fine"), fine=True)


def test_what_half_the_pixels_hide_asks_for_all_of_them(fine: Snapshot, small_base: BaseModel) -> None:
    sizing = choose_size(small_base, fine, TrainingSettings(choose_size=True), silent)
    assert (sizing.width, sizing.height) == (SIDE, SIDE)
    small, large = (sizing.numbers[name]["held_out_loss"] for name in ("48 x 48", "96 x 96"))
    assert large < 0.7 * small
    assert "Chosen: 96 x 96" in sizing.reasons[-1]


def test_what_is_plain_at_the_smallest_size_keeps_it(small_base: BaseModel, tmp_path: Path) -> None:
    coarse = plates_with(tmp_path, fine=False)
    sizing = choose_size(small_base, coarse, TrainingSettings(choose_size=True), silent)
    assert (sizing.width, sizing.height) == (48, 48)
    assert set(sizing.numbers) == {"48 x 48", "72 x 72", "96 x 96"}


def test_no_size_is_tried_that_would_eat_the_training(fine: Snapshot, small_base: BaseModel) -> None:
    sizing = choose_size(small_base, fine, TrainingSettings(choose_size=True, max_seconds=1e-3), silent)
    assert (sizing.width, sizing.height) == (48, 48)
    assert "72 x 72 was not tried" in " ".join(sizing.reasons)


@pytest.mark.parametrize(("side", "sides"), [(224, [224, 336, 448]), (600, [600, 900]), (1100, [1100])])
def test_no_input_is_larger_than_a_bundle_may_have(side: int, sides: list[int]) -> None:
    base = BaseModel(id="any", architecture="mobilenetv2_100", width=side, height=side)
    assert sizes_for(base) == [(each, each) for each in sides]


def test_training_takes_the_chosen_size_and_says_why(
    fine: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, "tail", fewest_steps=2, most_steps=2)
    train(fine, small_base, settings=TrainingSettings(choose_size=True), out=tmp_path)
    record = load_run(tmp_path).record
    assert (record.preprocessing.width, record.preprocessing.height) == (SIDE, SIDE)
    assert record.lineage.training["input_width"] == SIDE
    assert not record.lineage.training["choose_size"], "a retrain keeps the size"
    assert "size of the input: Held-out loss" in (tmp_path / "card.md").read_text(encoding="utf-8")


def test_smallest_defect_chooses_the_smallest_size_that_shows_it(small_base: BaseModel) -> None:
    settings = TrainingSettings(choose_size=True)
    for smallest, side in ((16, 48), (12, 72), (11, 72), (8, 96)):  # images of 96 pixels, inputs of 48, 72 and 96
        sizing = fitting_size(small_base, (SIDE, SIDE), settings, smallest)
        assert (sizing.width, sizing.height) == (side, side)
    assert sizing.numbers["72 x 72"] == {"smallest_defect_pixels": 6.0}
    assert "48 x 48 4.0, 72 x 72 6.0, 96 x 96 8.0" in sizing.reasons[0]


def test_a_defect_that_no_size_shows_is_for_tiles(small_base: BaseModel) -> None:
    settings = TrainingSettings(choose_size=True)
    with pytest.raises(ConfigurationError, match=r"has 4\.0 in the largest input that is tried, 96 x 96, and needs 8"):
        fitting_size(small_base, (SIDE, SIDE), settings, 4)
    region = settings.model_copy(update={"region_of_interest": (0, 0, 48, 48)})
    assert fitting_size(small_base, (SIDE, SIDE), region, 4).width == SIDE, "of less image the same input shows more"


def test_training_takes_the_size_of_the_smallest_defect_and_no_tiles(
    fine: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, "tail", fewest_steps=2, most_steps=2)
    train(fine, small_base, settings=TrainingSettings(choose_size=True, smallest_defect=12), out=tmp_path)
    record = load_run(tmp_path).record
    assert (record.preprocessing.width, record.preprocessing.tiles) == (72, None)
    assert "size of the input: Pixels that a defect of 12 on the image has" in (tmp_path / "card.md").read_text("utf-8")


def test_size_and_tiles_are_not_both_asked_for(fine: Snapshot, small_base: BaseModel, tmp_path: Path) -> None:
    settings = TrainingSettings(choose_size=True, tiles=Tiles(columns=2, rows=2))
    with pytest.raises(ConfigurationError, match="leave --size auto out"):
        train(fine, small_base, settings=settings, out=tmp_path)


def test_a_region_outside_the_images_is_refused(fine: Snapshot, small_base: BaseModel, tmp_path: Path) -> None:
    settings = TrainingSettings(region_of_interest=(10, 10, 97, 60))
    with pytest.raises(ConfigurationError, match="10,10,97,60 lies outside the images of 96 x 96 pixels"):
        train(fine, small_base, settings=settings, out=tmp_path)


def test_grid_and_region_are_said_by_command() -> None:
    said = TrainingSettings.model_validate({"tiles": "4x2@0.25", "region_of_interest": "12,4,90,60"})
    assert said.tiles == Tiles(columns=4, rows=2, overlap=0.25)
    assert said.region_of_interest == (12, 4, 90, 60)
    assert TrainingSettings.model_validate({"tiles": "4x2"}).tiles == Tiles(columns=4, rows=2)
    assert TrainingSettings.model_validate(said.model_dump(mode="json")) == said, "as a run keeps them"
