"""Out of focus, planted on real images."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from drift.camera import CameraFault, CameraHealth
from drift.focus import REFERENCE_FRAMES, Focus, FocusReference, structure

Picture = NDArray[np.uint8]
START = datetime(2026, 1, 1, tzinfo=UTC)
SITES = {"magnetic_tile": "exposure", "elpv": "mono", "bsdata": "spindle-2"}
RADIUS = {"magnetic_tile": 1.5, "elpv": 8.0, "bsdata": 1.5}  # pixels; cells are photographed softly


def pictures(folder: Path, name: str, count: int) -> list[Image.Image]:
    """Of one site (tiles: of every exposure) and about one width, in an order drawn with a seed."""
    with (folder / name / "manifest.csv").open(encoding="utf-8") as file:
        paths = [row["path"] for row in csv.DictReader(file) if row["site"].startswith(SITES[name])]
    chosen = np.random.default_rng(3).permutation(len(paths))
    alike = []
    for i in chosen:
        with Image.open(folder / name / paths[i]) as image:
            if name != "magnetic_tile" or 256 <= image.width < 512:
                alike.append(image.convert("RGB"))
        if len(alike) == count:
            break
    return alike


def blurred(image: Image.Image, radius: float, seed: int) -> Picture:
    """Out of focus, then read out by a sensor with a noise of one level."""
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), float)
    return np.clip(soft + np.random.default_rng(seed).normal(size=(*soft.shape[:2], 1)), 0, 255).astype(np.uint8)


def watch(health: CameraHealth, images: list[Picture], product: str = "tile") -> list[CameraFault | None]:
    return [health.update(image, START + timedelta(seconds=i), product) for i, image in enumerate(images)]


def plain(seed: int, shade: float = 0.0) -> Picture:
    """A grey surface, darker to one side by `shade` levels, with noise."""
    ramp = np.linspace(0, -shade, 120)[None, :, None]
    return (120 + ramp + np.random.default_rng(seed).normal(0, 2, (90, 120, 1))).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module", params=list(SITES))
def learned(request: pytest.FixtureRequest, data_folder: Path) -> tuple[str, list[Image.Image], Focus]:
    images = pictures(data_folder, request.param, REFERENCE_FRAMES + 30)
    focus = Focus()
    for image in images[:REFERENCE_FRAMES]:
        assert not focus.update(structure(np.asarray(image)), "tile")
    return request.param, images[REFERENCE_FRAMES:], focus


def test_blurred_pictures_are_found_within_five_of_them_and_forgotten_when_they_are_sharp_again(
    learned: tuple[str, list[Image.Image], Focus],
) -> None:
    name, images, focus = learned
    health = CameraHealth(focus=focus)
    sharp = [np.asarray(image) for image in images]
    assert set(watch(health, sharp[:15])) == {None}
    soft = [blurred(image, RADIUS[name], seed) for seed, image in enumerate(images[:6])]
    assert CameraFault.OUT_OF_FOCUS in watch(health, soft)[:6]
    assert watch(health, sharp[15:])[-1] is None


@pytest.mark.parametrize("factor", [0.5, 0.7, 1.3])
def test_light_is_not_focus(learned: tuple[str, list[Image.Image], Focus], factor: float) -> None:
    _, images, focus = learned
    lit = [np.clip(np.asarray(image) * factor, 0, 255).astype(np.uint8) for image in images[:15]]
    assert set(watch(CameraHealth(focus=focus), lit)) == {None}


def test_empty_belt_and_other_product_are_not_focus(learned: tuple[str, list[Image.Image], Focus]) -> None:
    _, images, focus = learned
    assert set(watch(CameraHealth(focus=focus), [plain(seed) for seed in range(15)])) == {None}
    soft = [blurred(image, 8.0, seed) for seed, image in enumerate(images[:15])]
    assert set(watch(CameraHealth(focus=focus), soft, product="another")) == {None}


def test_camera_of_a_plain_product_is_never_out_of_focus_even_under_a_shadow() -> None:
    health = CameraHealth(focus=Focus())
    assert set(watch(health, [plain(seed) for seed in range(REFERENCE_FRAMES + 20)])) == {None}
    assert set(watch(health, [plain(seed, shade=60.0) for seed in range(20)])) == {None}


def test_nothing_is_said_before_the_focus_was_learned(data_folder: Path) -> None:
    images = pictures(data_folder, "magnetic_tile", 60)
    health = CameraHealth(focus=Focus())
    watch(health, [np.asarray(image) for image in images[:50]])
    assert set(watch(health, [blurred(image, 4.0, 0) for image in images[50:]])) == {None}


def test_what_was_learned_serves_a_camera_that_starts_out_of_focus(
    structured: Callable[[int], Picture],
) -> None:
    references: dict[str, FocusReference] = {}
    watch(CameraHealth(focus=Focus(references)), [structured(seed) for seed in range(REFERENCE_FRAMES)])
    again = {name: FocusReference.model_validate_json(kept.model_dump_json()) for name, kept in references.items()}
    soft = [blurred(Image.fromarray(structured(seed)), 3.0, seed) for seed in range(5)]
    assert watch(CameraHealth(focus=Focus(again)), soft)[-1] is CameraFault.OUT_OF_FOCUS


@pytest.fixture(scope="module")
def structured() -> Callable[[int], Picture]:
    """Pictures of squares on a plate."""

    def draw(seed: int) -> Picture:
        rng = np.random.default_rng(seed)
        plate = np.kron(rng.integers(60, 200, (8, 10)), np.ones((12, 12)))
        return np.clip(plate[..., None] + rng.normal(0, 1, (96, 120, 3)), 0, 255).astype(np.uint8)

    return draw


def test_pictures_too_narrow_to_tell_are_left_alone() -> None:
    health = CameraHealth(focus=Focus())
    assert set(watch(health, [plain(seed)[:, :60] for seed in range(REFERENCE_FRAMES + 10)])) == {None}
