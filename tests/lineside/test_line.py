"""The simulated line: reproducible, truthful, and apart from what the backbone was pretrained on."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

import trainer
from lineside.line import (
    DEMO_DEFECTS,
    DEMO_PRODUCTS,
    PRETRAIN_DEFECTS,
    PRETRAIN_PRODUCTS,
    Conditions,
    Dirt,
    Part,
    SimulatedLine,
    draw_dirt,
    draw_new_finish,
    draw_pretrain_finish,
    write_dataset,
)
from lineside.line.defect import DEFECTS
from lineside.line.finish import DEMO_TEXTURES, PRETRAIN_TEXTURES

CAMERAS = ("cam-a", "cam-b")
BACKBONE = Path(trainer.__file__).parent / "shipped"


def make(count: int, conditions: Conditions, seed: int = 5, camera: str = "cam-a") -> list[Part]:
    line = SimulatedLine(seed, CAMERAS)
    return [line.next_part(camera, conditions) for _ in range(count)]


def pixels(parts: list[Part]) -> np.ndarray:
    return np.stack([part.image for part in parts])


def test_same_seed_and_calls_give_the_same_bytes() -> None:
    first, again = make(20, Conditions()), make(20, Conditions())
    assert pixels(first).tobytes() == pixels(again).tobytes()
    assert [(p.part_id, p.label, p.severity, p.box) for p in first] == [
        (p.part_id, p.label, p.severity, p.box) for p in again
    ]


def test_another_seed_gives_other_parts() -> None:
    assert pixels(make(3, Conditions(), seed=5)).tobytes() != pixels(make(3, Conditions(), seed=6)).tobytes()


def test_cameras_do_not_disturb_each_other() -> None:
    line = SimulatedLine(5, CAMERAS)
    mixed = [line.next_part(CAMERAS[i % 2], Conditions()) for i in range(10)]
    assert pixels(mixed[::2]).tobytes() == pixels(make(5, Conditions())).tobytes()


def test_part_ids_are_unique_over_seeds_and_cameras() -> None:
    parts = [p for seed in (1, 2) for camera in CAMERAS for p in make(5, Conditions(), seed, camera)]
    assert len({part.part_id for part in parts}) == len(parts)


def test_image_is_a_camera_image() -> None:
    part = make(1, Conditions())[0]
    assert part.image.shape == (128, 128, 3)
    assert part.image.dtype == np.uint8
    assert 20 < part.image.mean() < 200


@pytest.mark.parametrize("kind", sorted(DEFECTS))
def test_box_holds_exactly_the_changed_pixels(kind: str) -> None:
    product = "cap" if kind in DEMO_DEFECTS else "gear"
    bad = make(25, Conditions(product=product, defect_rate=1, defect_kinds={kind: 1}))
    good = make(25, Conditions(product=product, defect_rate=0))
    for with_defect, without in zip(bad, good, strict=True):
        assert with_defect.box is not None
        x0, y0, x1, y1 = with_defect.box
        changed = (with_defect.image != without.image).any(axis=2)
        assert changed.any()
        changed[y0:y1, x0:x1] = False
        assert not changed.any()


def test_truth_is_consistent() -> None:
    for part in make(100, Conditions(defect_rate=0.5)):
        assert (part.label == "good") == (part.severity == 0) == (part.box is None)
        assert part.label == "good" or (part.label in DEMO_DEFECTS and 1 <= part.severity <= 3)


def test_defect_rate_and_mix_are_followed() -> None:
    parts = make(400, Conditions(defect_rate=0.3, defect_kinds={"scratch": 3, "pit": 1}))
    labels = [part.label for part in parts]
    assert 0.22 < 1 - labels.count("good") / 400 < 0.38
    assert labels.count("scratch") > 2 * labels.count("pit") > 0
    assert "stain" not in labels


@pytest.mark.parametrize("seed", range(6))
def test_dirt_touches_one_camera_only_and_by_several_sigma(seed: int) -> None:
    dirty = Conditions(dirt={"cam-a": draw_dirt(np.random.default_rng(seed))})
    assert pixels(make(5, dirty, camera="cam-b")).tobytes() == pixels(make(5, Conditions(), camera="cam-b")).tobytes()
    clean_windows = health_windows(make(1000, Conditions(), seed))
    dirty_window = health_windows(make(100, dirty, seed))[0]
    sigmas = np.abs(dirty_window - clean_windows.mean(axis=0)) / clean_windows.std(axis=0)
    assert sigmas.max() > 5


def health_windows(parts: list[Part]) -> np.ndarray:
    """Mean of brightness, contrast and sharpness over each 100 parts, [windows, 3]."""
    grey = pixels(parts).astype(np.float32).mean(axis=3)
    sharpness = np.abs(np.diff(grey, axis=2)).mean(axis=(1, 2))
    health = np.stack([grey.mean(axis=(1, 2)), grey.std(axis=(1, 2)), sharpness], axis=1)
    return np.asarray(health.reshape(-1, 100, 3).mean(axis=1))


def test_light_wanders_slowly_and_stays() -> None:
    light = pixels(make(600, Conditions(defect_rate=0))).mean(axis=(1, 2, 3))
    relative = light / light.mean() - 1
    assert 0.01 < relative.std() < 0.05
    assert np.corrcoef(relative[:-1], relative[1:])[0, 1] > 0.7
    assert abs(relative[:300].mean() - relative[300:].mean()) < 0.02


def test_a_new_finish_changes_every_camera() -> None:
    new = Conditions(finish=draw_new_finish(np.random.default_rng(3), "cap"))
    for camera in CAMERAS:
        before, after = pixels(make(30, Conditions(), camera=camera)), pixels(make(30, new, camera=camera))
        assert np.abs(before.mean(axis=(0, 1, 2)) - after.mean(axis=(0, 1, 2))).max() > 3


def test_a_new_finish_leaves_the_truth_alone() -> None:
    new = Conditions(finish=draw_new_finish(np.random.default_rng(3), "cap"))
    assert [p.label for p in make(50, Conditions())] == [p.label for p in make(50, new)]


def test_pretraining_shares_nothing_with_the_demo() -> None:
    assert not set(DEMO_PRODUCTS) & set(PRETRAIN_PRODUCTS)
    assert not {p.outline for p in DEMO_PRODUCTS.values()} & {p.outline for p in PRETRAIN_PRODUCTS.values()}
    assert not set(DEMO_DEFECTS) & set(PRETRAIN_DEFECTS)
    assert not set(DEMO_TEXTURES) & set(PRETRAIN_TEXTURES)
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert draw_pretrain_finish(rng).texture in PRETRAIN_TEXTURES
        assert draw_new_finish(rng, "cap").texture in DEMO_TEXTURES
    assert {product.home.texture for product in DEMO_PRODUCTS.values()} <= set(DEMO_TEXTURES)


def test_backbone_metadata_names_only_what_the_demo_never_uses() -> None:
    metadata = json.loads((BACKBONE / "lineside_small.json").read_text(encoding="utf-8"))
    weights = (BACKBONE / metadata["weights"]).read_bytes()
    assert hashlib.sha256(weights).hexdigest() == metadata["sha256"]
    assert len(weights) <= 3_000_000
    words = set(metadata["training_data"].replace(",", " ").replace(";", " ").replace(".", " ").split())
    assert set(PRETRAIN_PRODUCTS) | set(PRETRAIN_DEFECTS) | set(PRETRAIN_TEXTURES) <= words
    assert not words & (set(DEMO_PRODUCTS) | set(DEMO_DEFECTS) | set(DEMO_TEXTURES))


def test_backbone_loads_under_the_names_of_timm() -> None:
    pytest.importorskip("torch")
    from trainer.bases.torchvision_shim import prepare

    prepare()
    timm = pytest.importorskip("timm")
    safetensors = pytest.importorskip("safetensors.torch")
    metadata = json.loads((BACKBONE / "lineside_small.json").read_text(encoding="utf-8"))
    model = timm.create_model(metadata["architecture"], num_classes=0, **metadata["model_args"])
    model.load_state_dict(safetensors.load_file(BACKBONE / metadata["weights"]))
    assert model.num_features == metadata["embedding"] <= 160


@pytest.mark.parametrize(
    "knobs",
    [
        {"product": "teapot"},
        {"defect_kinds": {"curse": 1}},
        {"defect_kinds": {}},
        {"defect_kinds": {"pit": 0}},
        {"defect_rate": 1.2},
        {"lighting": 0},
        {"blur_px": -1},
        {"exposure": 2},
        {"dirt": {"cam-a": {"kind": "jam", "strength": 0.5}}},
    ],
)
def test_impossible_conditions_are_refused(knobs: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Conditions.model_validate(knobs)


def test_conditions_survive_a_control_file() -> None:
    rng = np.random.default_rng(1)
    conditions = Conditions(finish=draw_new_finish(rng, "cover"), product="cover", dirt={"cam-b": draw_dirt(rng)})
    again = Conditions.model_validate_json(conditions.model_dump_json())
    assert again == conditions
    assert pixels(make(2, again)).tobytes() == pixels(make(2, conditions)).tobytes()


def test_unknown_camera_is_refused() -> None:
    with pytest.raises(ValueError, match="cam-z"):
        SimulatedLine(1, CAMERAS).next_part("cam-z", Conditions())


def test_manifest_names_every_picture_with_its_truth(tmp_path: Path) -> None:
    conditions = Conditions(defect_rate=0.5, dirt={"cam-a": Dirt(kind="film", strength=0.5)})
    manifest = write_dataset(tmp_path, SimulatedLine(3, CAMERAS), CAMERAS, conditions, 40, site="plant")
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    assert {"path", "label", "severity", "site", "group", "bbox_xyxy"} <= rows[0].keys()
    assert {row["camera"] for row in rows} == set(CAMERAS)
    assert len({row["group"] for row in rows}) == 4
    for row in rows:
        assert np.asarray(Image.open(tmp_path / row["path"])).shape == (128, 128, 3)
        assert bool(row["bbox_xyxy"]) == (row["label"] != "good")
        assert len(row["bbox_xyxy"].split()) in (0, 4)
