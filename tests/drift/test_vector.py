"""Image and inference to drift vector."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from safetensors.numpy import save_file

from contracts.errors import BundleError
from drift.vector import IMAGE_NAMES, VectorReference, fit_reference, image_statistics, save_reference, vector_names

LABELS = ("good", "pit", "scratch")


@dataclass
class Answer:
    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]


@pytest.fixture
def trained() -> tuple[NDArray[Any], NDArray[Any]]:
    """Embeddings [300, 40] around three class centres, and logits [300, 3] that tell them apart."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 300)
    centres = 4 * rng.normal(size=(3, 40))
    return centres[classes] + rng.normal(size=(300, 40)), 5.0 * np.eye(3)[classes]


@pytest.fixture
def reference(trained: tuple[NDArray[Any], NDArray[Any]]) -> VectorReference:
    embeddings, logits = trained
    return VectorReference.of(fit_reference(embeddings, logits, logits.argmax(axis=1), components=4))


def picture(seed: int = 0, shape: tuple[int, ...] = (96, 120, 3)) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    smooth = np.add.outer(np.linspace(60, 120, shape[0]), np.linspace(0, 40, shape[1]))
    frame = smooth[..., None] if len(shape) == 3 else smooth
    return np.clip(frame + rng.normal(0, 8, shape), 0, 255).astype(np.uint8)


def test_vector_has_one_finite_entry_for_every_name(
    reference: VectorReference, trained: tuple[NDArray[Any], NDArray[Any]]
) -> None:
    vector = reference.vector(picture(), Answer(trained[1][0], trained[0][0].astype(np.float32)))
    assert reference.names(LABELS) == vector_names(LABELS, 4)
    assert vector.shape == (len(reference.names(LABELS)),)
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()


def test_class_indicators_say_which_class_was_answered_and_leave_the_first_out(reference: VectorReference) -> None:
    for label in range(3):
        vector = reference.vector(picture(), Answer(np.eye(3, dtype=np.float32)[label], np.zeros(40, np.float32)))
        assert vector[-2:].tolist() == [float(label == 1), float(label == 2)]


def test_components_are_centred_and_white_on_the_training_images(
    reference: VectorReference, trained: tuple[NDArray[Any], NDArray[Any]]
) -> None:
    start = reference.names(LABELS).index("pc-01")
    parts = [
        reference.vector(picture(), Answer(logits, embedding.astype(np.float32)))[start : start + 4]
        for embedding, logits in zip(*trained, strict=True)
    ]
    assert np.mean(parts, axis=0) == pytest.approx(np.zeros(4), abs=0.02)
    assert np.cov(np.array(parts).T) == pytest.approx(np.eye(4), abs=0.05)


def test_mahalanobis_grows_with_the_distance_from_the_answered_class(
    reference: VectorReference, trained: tuple[NDArray[Any], NDArray[Any]]
) -> None:
    embeddings, logits = trained
    own = embeddings[logits.argmax(axis=1) == 0]
    at_centre = reference.vector(picture(), Answer(logits[0] * 0 + [5, 0, 0], own.mean(axis=0).astype(np.float32)))
    far = own.mean(axis=0) + 3 * (embeddings[logits.argmax(axis=1) == 1].mean(axis=0) - own.mean(axis=0))
    away = reference.vector(picture(), Answer(logits[0] * 0 + [5, 0, 0], far.astype(np.float32)))
    assert at_centre[1] < 0.2
    assert away[1] > 5.0


def test_reference_survives_its_file(
    reference: VectorReference, trained: tuple[NDArray[Any], NDArray[Any]], tmp_path: Path
) -> None:
    arrays = fit_reference(*trained, trained[1].argmax(axis=1), components=4)
    save_reference(arrays, tmp_path / "reference.safetensors")
    loaded = VectorReference.load(tmp_path / "reference.safetensors")
    assert arrays["projection"].dtype == np.float16
    assert np.array_equal(loaded.projection, reference.projection)


def test_few_images_give_fewer_components_instead_of_an_error() -> None:
    rng = np.random.default_rng(0)
    arrays = fit_reference(rng.normal(size=(6, 40)), np.eye(2)[[0, 1] * 3], np.array([0, 1] * 3), components=16)
    assert arrays["offset"].size == 4


def test_a_class_that_was_never_answered_keeps_the_overall_mean() -> None:
    rng = np.random.default_rng(0)
    arrays = fit_reference(rng.normal(size=(50, 8)), np.zeros((50, 3)), np.zeros(50, int), components=3)
    assert arrays["class_means"][1:].tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("rows", [3, 10])
def test_fit_refuses_what_cannot_be_referred_to(rows: int) -> None:
    with pytest.raises(ValueError, match=r"at least 4 images|all embeddings are equal"):
        fit_reference(np.ones((rows, 5)), np.zeros((rows, 2)), np.zeros(rows, int), components=2)


def test_damaged_reference_files_are_bundle_errors_that_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "reference.safetensors"
    path.write_bytes(b"not safetensors")
    with pytest.raises(BundleError, match=r"reference\.safetensors"):
        VectorReference.load(path)
    with pytest.raises(BundleError, match="cannot read"):
        VectorReference.load(tmp_path / "missing")
    save_file({"offset": np.zeros(2, np.float32)}, path)
    with pytest.raises(BundleError, match="lacks"):
        VectorReference.load(path)


def test_arrays_that_do_not_fit_or_are_not_finite_are_refused(trained: tuple[NDArray[Any], NDArray[Any]]) -> None:
    arrays = fit_reference(*trained, trained[1].argmax(axis=1), components=4)
    with pytest.raises(BundleError, match="shapes"):
        VectorReference.of({**arrays, "offset": np.zeros(3, np.float32)})
    with pytest.raises(BundleError, match="not finite"):
        VectorReference.of({**arrays, "offset": np.full(4, np.nan, np.float32)})


def statistics(image: NDArray[np.uint8]) -> dict[str, float]:
    return dict(zip(IMAGE_NAMES, (float(value) for value in image_statistics(image)), strict=True))


def test_image_statistics_move_with_what_they_are_named_after() -> None:
    plain = picture()
    before = statistics(plain)
    assert statistics((plain * 0.8).astype(np.uint8))["mean"] < 0.85 * before["mean"]
    blurred = np.asarray(Image.fromarray(plain).filter(ImageFilter.GaussianBlur(2)))
    assert statistics(blurred)["sharpness"] < before["sharpness"] - 0.5
    veiled = (0.5 * plain + 100).astype(np.uint8)
    assert statistics(veiled)["contrast"] < 0.6 * before["contrast"]
    dirty = plain.copy()
    dirty[3:40, 3:40] //= 3
    assert statistics(dirty)["evenness"] > 1.5 * before["evenness"]


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 3, 3), (5, 1), (97, 131, 3), (600, 801, 3), (300, 300)])
def test_image_statistics_are_finite_for_any_shape(shape: tuple[int, ...]) -> None:
    assert np.isfinite(image_statistics(picture(shape=shape))).all()


def test_large_pictures_look_like_small_ones() -> None:
    tall = np.kron(picture(shape=(100, 100, 3)), np.ones((5, 5, 1), np.uint8))
    assert statistics(tall)["mean"] == pytest.approx(statistics(picture(shape=(100, 100, 3)))["mean"], rel=0.02)


def plain_statistics(image: NDArray[np.uint8]) -> list[float]:
    """As they are defined, in NumPy's own reductions of 64 bits."""
    height, width = image.shape[:2]
    down, right = -(-height // 128), -(-width // 128)
    grey = (image if image.ndim == 3 else image[:, :, np.newaxis]).mean(axis=2)[::down]
    columns = len(range(1, width, right)) or 1
    here = grey[:, ::right][:, :columns]
    steps = np.abs(here - (grey[:, 1::right] if width > 1 else here))

    def blocks(values: NDArray[np.float64]) -> NDArray[np.float64]:
        rows, across = values.shape[0] // 4, values.shape[1] // 4
        if rows == 0 or across == 0:
            return values.mean(keepdims=True)
        return values[: 4 * rows, : 4 * across].reshape(4, rows, 4, across).mean(axis=(1, 3))

    level, focus = here.mean(), np.log(blocks(steps) + 0.5)
    evenness = blocks(here).std() / (level + 8)
    return [level / 255, here.std() / 255, float(np.log(steps.mean() + 0.5)), evenness, focus.std()]


@pytest.mark.parametrize("channels", [(), (1,), (3,)], ids=str)
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 9), (9, 1), (3, 300), (8, 8), (129, 257), (240, 320), (1088, 1936)], ids=str
)
def test_image_statistics_are_those_of_the_definition(size: tuple[int, int], channels: tuple[int, ...]) -> None:
    image = picture(shape=(*size, *channels))
    assert image_statistics(image) == pytest.approx(plain_statistics(image), rel=1e-5, abs=2e-6)


def test_statistics_of_real_photographs_are_those_of_the_definition(data_folder: Path) -> None:
    files = sorted(data_folder.rglob("*.jpg"))
    for file in files[:: max(1, len(files) // 6)]:
        with Image.open(file) as opened:
            image = np.asarray(opened.convert("RGB"))
        for each in (image, image[:, :, 1], image[::3, ::5]):
            assert image_statistics(each) == pytest.approx(plain_statistics(each), rel=1e-5, abs=2e-6)
