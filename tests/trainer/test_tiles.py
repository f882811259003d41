"""Small defects: marks, tiles that show them, the resolution that they need, and one answer of all tiles."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from contracts.bundle import Licence
from contracts.errors import ConfigurationError, DatasetError
from contracts.preprocessing import Preprocessing, Tiles
from exporter.export import export
from exporter.settings import ExportSettings
from lineside.train_options import TrainOptions
from lineside.training import train_model
from runtime.bundle import open_bundle
from runtime.preprocessing import decode, prepare
from runtime.session import Session
from tests.trainer.conftest import shorten
from trainer.attempt import preprocessing
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.course import Material
from trainer.dataset import Dataset, Example, read_manifest
from trainer.marks import boxes_of, shown_defects, tile_lesson
from trainer.network import Network
from trainer.outset import set_out
from trainer.resolution import fitting_tiles, pixels_in_network, smallest_marked, too_coarse
from trainer.rounds.head import Regularisation
from trainer.run import load_run, train
from trainer.settings import TrainingSettings
from trainer.snapshot import take_snapshot
from trainer.views import View

WIDTH, HEIGHT = 192, 96


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """80 wide bars, half of them with a mark of 10 x 10 pixels, whose place is in the manifest."""
    folder = tmp_path_factory.mktemp("bars")
    rows = ["path,label,group,bbox_xyxy"]
    for number in range(80):
        rng = np.random.default_rng(number)
        bar = rng.normal(130, 8, (HEIGHT, WIDTH))
        left, top = rng.integers(2, WIDTH - 12), rng.integers(2, HEIGHT - 12)
        spotted = number % 2 == 1
        if spotted:
            bar[top : top + 10, left : left + 10] -= 60
        Image.fromarray(np.clip(bar, 0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        box = f"{left} {top} {left + 10} {top + 10}" if spotted else ""
        rows.append(f"{number}.png,{'spot' if spotted else 'good'},lot-{number // 2},{box}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return read_manifest(folder / "manifest.csv")


def spec(**changes: Any) -> Preprocessing:
    values = {"schema_version": 2, "width": 48, "height": 48, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    return Preprocessing.model_validate({**values, **changes})


def marked(text: str) -> Example:
    return Example(Path("part.png"), "spot", attributes={"bbox_xyxy": text})


def test_marks_are_read_one_or_several() -> None:
    assert boxes_of(marked("")) == boxes_of(Example(Path("part.png"), "good")) == ()
    assert boxes_of(marked("1 2 3.5 4; 10,20,30,40;")) == ((1, 2, 3.5, 4), (10, 20, 30, 40))
    assert boxes_of(marked("0 0 0 0")) == ()


@pytest.mark.parametrize(
    "text", ["1 2 3", "a b c d", "5 2 3 4", "0.1 0.1 0.5 0.9", "1 2 inf 4", "1 2 nan 4", "-1 2 3 4", "1 2 1 4"]
)
def test_a_mark_that_is_no_box_is_refused_by_name(text: str) -> None:
    with pytest.raises(DatasetError, match=r"part\.png: bbox_xyxy"):
        boxes_of(marked(text))


def test_tiles_show_the_marked_defect(bars: Dataset) -> None:
    tiled = spec(tiles=Tiles(columns=4, rows=2, overlap=0.0))
    shown = shown_defects(bars.examples, tiled)
    for example, row in zip(bars.examples, shown, strict=True):
        if example.label == "good":
            assert bool(row.isnan().all())
        else:
            ((left, top, right, bottom),) = boxes_of(example)
            middle = int((left + right) / 2 // 48) + 4 * int((top + bottom) / 2 // 48)
            assert float(row[middle]) == float(row.max())
            assert float(row.sum()) == pytest.approx(1.0, abs=1e-5)


def test_tiles_of_a_good_image_are_good_and_the_rest_of_a_bad_one_is_unknown() -> None:
    shown = torch.tensor([[math.nan] * 4] * 3 + [[0.7, 0.6, 0.0, 0.0]] * 12 + [[math.nan] * 4])
    passes = torch.tensor([True] * 3 + [False] * 13)
    targets = torch.where(passes[:, None], torch.tensor([0.9, 0.1]), torch.tensor([0.1, 0.9]))
    weights = torch.cat([torch.full((3,), 4.0), torch.ones(13)])
    lesson = tile_lesson(shown, targets, passes, weights)
    assert lesson is not None
    assert torch.equal(lesson.weights > 0, torch.cat([passes[:3, None].expand(3, 4), (shown[3:] >= 0.5)]))
    each = lesson.weights.sum(1)
    assert torch.allclose(each / each[3], torch.tensor([4.0] * 3 + [1.0] * 12 + [0.0])), "an image's weight is shared"
    assert float(lesson.weights.mean()) == pytest.approx(1.0)
    assert torch.equal(lesson.targets[4], targets[4].expand(4, 2))
    assert tile_lesson(shown[:, :1], targets, passes, weights) is None  # one input: the image's own label says it all
    assert tile_lesson(shown[:12], targets[:12], passes[:12], weights[:12]) is None  # nine marked images


def test_a_defect_that_nobody_marked_is_learned_all_the_same(bars: Dataset, small_base: BaseModel) -> None:
    tiled = spec(tiles=Tiles(columns=4, rows=2))
    settings = TrainingSettings(strategy="probe")
    course, stem, _ = set_out(small_base, ("good", "spot", "stain"), ("good",), settings, tiled)
    renamed = [
        replace(e, label="stain", attributes={}) if e.label == "spot" and number % 4 == 1 else e
        for number, e in enumerate(bars.examples)
    ]
    material = Material(tuple(renamed), stem.features(renamed, (View(0),)))
    lesson = course.lesson(material)
    assert lesson.tiles is not None
    said = course.says(course.head(lesson, Regularisation(0.01)), material.features).argmax(1)
    stains = [n for n, e in enumerate(renamed) if e.label == "stain"]
    assert sum(int(said[n]) == 2 for n in stains) > len(stains) / 4


def test_one_suspicious_tile_is_the_answer_of_all() -> None:
    backbone, _ = load_base_model(BaseModel(id="random", architecture="mobilenetv2_035"))
    network = Network(backbone, 3, inputs=4, good=[True, False, False]).eval()
    calm, scratch = torch.tensor([4.0, -4.0, -4.0]), torch.tensor([-4.0, -4.0, 4.0])
    answers = network.united(torch.stack([calm, calm, scratch, calm, calm, calm, calm, calm]))
    assert answers.shape == (2, 3)
    assert int(answers[0].argmax()) == 2
    assert torch.allclose(answers[1], calm)
    logits, embedding = network(torch.zeros(8, 3, 64, 64))
    assert logits.shape == (2, 3)
    assert embedding.shape == (2, 1280)


def test_resolution_counts_pixels_of_the_defect() -> None:
    assert pixels_in_network(12.0, (1130, 460), spec(width=224, height=224)) == pytest.approx(12 * 224 / 1130)
    assert fitting_tiles(60.0, (1130, 460), spec(width=224, height=224)) is None
    grid = fitting_tiles(12.0, (1130, 460), spec(width=224, height=224))
    assert grid is not None
    assert (grid.columns, grid.rows) == (4, 2)
    assert pixels_in_network(12.0, (1130, 460), spec(width=224, height=224, tiles=grid)) >= 8
    coarser = spec(width=224, height=224, tiles=grid.model_copy(update={"columns": 3}))
    assert pixels_in_network(12.0, (1130, 460), coarser) < 8
    with pytest.raises(ConfigurationError, match="more than 64 in all; name a region"):
        fitting_tiles(1.0, (4000, 3000), spec())


def test_marks_too_small_for_the_input_are_said(bars: Dataset) -> None:
    assert smallest_marked(bars.examples) == pytest.approx(10.0)
    said = too_coarse(bars.examples, spec())
    assert said is not None
    assert "--smallest-defect 10" in said
    assert too_coarse(bars.examples, spec(tiles=Tiles(columns=4, rows=2))) is None
    finer = too_coarse(bars.examples, spec(tiles=Tiles(columns=4, rows=2)), 3.0)
    assert finer is not None
    assert "A defect of 3 pixels" in finer
    assert "name a finer grid" in finer
    shares = [replace(e, attributes={"bbox_xyxy": "0.1 0.1 0.2 0.2"}) for e in bars.examples]
    assert "Where the defects are is not known" in str(too_coarse(shares, spec()))
    assert too_coarse([e for e in bars.examples if e.label == "good"], spec()) is None


def test_the_smallest_defect_chooses_tiles_and_the_bundle_serves_them(
    bars: Dataset, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, "full", fewest_steps=120)
    snapshot = take_snapshot(bars, licence=Licence(owner="plant", licence="our own"), seed=0)
    settings = TrainingSettings(smallest_defect=16.0, flips="none", strategy="full")
    model = train(snapshot, small_base, settings=settings, out=tmp_path / "run")
    assert model.record.preprocessing.tiles == Tiles(columns=3, rows=1)
    assert model.record.lineage.training["tiles"] == {"columns": 3, "rows": 1, "overlap": 0.15}
    assert (model.record.test_metrics.auroc or 0) > 0.8
    assert load_run(tmp_path / "run").module(torch.zeros(6, 3, 48, 48))[0].shape == (2, 2)
    quick = ExportSettings(
        calibration_images=16, correction_images=8, latency_runs=2, reference_images=20, fault_images=0
    )
    made = export(model, tmp_path / "bundle", threads=1, settings=quick)
    bundle = open_bundle(made.path, expected_hash=made.hash)
    assert all(certificate.passed for certificate in bundle.manifest.certificates)
    session = Session(bundle)
    image = decode(snapshot.of("test")[0].path.read_bytes(), bundle.manifest.preprocessing)
    answer = session.infer(prepare(image, bundle.manifest.preprocessing))
    assert answer.probabilities.shape == (2,)


def test_tiles_are_said_by_command(bars: Dataset, tmp_path: Path) -> None:
    options = TrainOptions(data=Path(bars.source), out=tmp_path / "run", workspace=tmp_path)
    with pytest.raises(ConfigurationError, match=r"--tiles: say COLUMNSxROWS, for example 4x2, or .*, not 'many'"):
        train_model(replace(options, settings={"tiles": "many"}), lambda *_: None)
    assert TrainingSettings.model_validate({"tiles": "3x2"}).tiles == Tiles(columns=3, rows=2)


def test_a_mark_outside_its_image_is_refused(bars: Dataset) -> None:
    lost = replace(bars.examples[1], attributes={"bbox_xyxy": "500 2 510 12"})
    with pytest.raises(DatasetError, match="marks a place outside its 192 x 96 pixels"):
        shown_defects([lost], spec(tiles=Tiles(columns=4, rows=2)))
    assert bool(shown_defects([lost], spec()).isnan().all()), "where nobody asks, nobody is refused"


def test_hidden_areas_know_the_images_that_they_were_named_in(
    bars: Dataset, small_base: BaseModel, tmp_path: Path
) -> None:
    snapshot = take_snapshot(bars, licence=Licence(owner="plant", licence="our own"), seed=0)
    settings = TrainingSettings.model_validate({"strategy": "probe", "flips": "none", "hidden": ["0,0 50,0 50,50"]})
    model = train(snapshot, small_base, settings=settings, out=tmp_path / "run")
    assert model.record.preprocessing.source_size == (WIDTH, HEIGHT)
    quick = ExportSettings(
        calibration_images=16, correction_images=8, latency_runs=2, reference_images=20, fault_images=0
    )
    bundle = export(model, tmp_path / "bundle", threads=1, settings=quick)
    for sample in bundle.manifest.golden_samples:
        pixels = decode(bundle.read(sample.file), bundle.manifest.preprocessing)
        assert pixels[5:20, 30:45].max() == 0, "what is hidden does not travel"
        assert pixels[60:, 60:].max() > 0
    outside = settings.model_copy(update={"hidden": (((0.0, 0.0), (500.0, 0.0), (50.0, 50.0)),)})
    with pytest.raises(ConfigurationError, match="the corner 500,0 lies outside the images of 192 x 96 pixels"):
        train(snapshot, small_base, settings=outside, out=tmp_path / "other")


def test_areas_are_said_by_command(bars: Dataset, tmp_path: Path) -> None:
    options = TrainOptions(data=Path(bars.source), out=tmp_path / "run", workspace=tmp_path)
    for wrong in ("10,20", "10,20 x,y 3,4", "10,20 30"):
        with pytest.raises(ConfigurationError, match="--region-polygon"):
            train_model(replace(options, settings={"region_polygon": wrong}), lambda *_: None)
    settings = TrainingSettings.model_validate(
        {"region_polygon": "0,0 90,0 90,90", "hidden": ["1,1 5,1 5,5.5"], "source_size": (192, 96)}
    )
    base = BaseModel(id="random", architecture="mobilenetv2_035", width=48, height=48)
    made = preprocessing(base, settings)
    assert made.region_polygon == ((0, 0), (90, 0), (90, 90))
    assert made.hidden == (((1, 1), (5, 1), (5, 5.5)),)
    assert TrainingSettings.model_validate_json(settings.model_dump_json()) == settings
