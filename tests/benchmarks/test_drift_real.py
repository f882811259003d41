"""The parts of the benchmark on real images, on tiny planted vectors and pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.drift.alone import best_of, figures
from benchmarks.drift.duel import BATCH, DETECTORS, MOST, RUN_LENGTH, chart_of, delays_of, duel
from benchmarks.drift.held_out import halves
from benchmarks.drift.plights import plight
from benchmarks.drift.record import CONTROL, Recorded
from benchmarks.drift.rivals import WINDOWS
from benchmarks.drift.spoiling import FAULTS, STRENGTHS, blur, crop, dirt, light, planted
from benchmarks.drift.streams import likeness, stream
from benchmarks.drift.watched import Served, WatchedLine
from contracts.bundle import MANIFEST_NAME, Manifest
from drift.bootstrap import blocks
from drift.vector import image_statistics, vector_names
from monitor.rules.action import Kind, OpenTicket
from monitor.rules.settings import RuleSettings
from tests.simulators.paper_bundle import write_paper_bundle
from trainer.dataset import Example

LABELS = ("defect", "good")
NAMES = vector_names(LABELS, 4)
A, B = "agent/camera-a/part", "agent/camera-b/part"


def vectors(rng: np.random.Generator, images: int = 60) -> np.ndarray:
    found = rng.normal(size=(images, len(NAMES))).astype(np.float32)
    found[:, -1] = rng.random(images) < 0.7
    return found


@pytest.fixture(scope="module")
def record() -> Recorded:
    control = vectors(np.random.default_rng(0))
    moved = np.array([name != "class-good" for name in NAMES], np.float32)
    parts = {CONTROL: control, "gross": control + 3 * moved, "none": control.copy()}
    return Recorded("planted", NAMES, ("defect", "functional"), parts, {}, {})


def picture(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(60, 200, size=(64, 96, 3), dtype=np.uint8)


def test_blocks_keep_what_neighbours_have_in_common() -> None:
    rng = np.random.default_rng(0)
    wander = np.cumsum(rng.normal(size=(400, 2)), axis=0)
    rows = blocks(rng, 400, (1, 20_000), 30.0)[0]
    assert np.bincount(rows, minlength=400).min() > 10
    assert ((np.diff(rows) % 400) == 1).mean() == pytest.approx(29 / 30, abs=0.01)
    assert likeness(wander[rows]) > 0.9 > 0.1 > abs(likeness(wander[rng.permutation(400)]))


@pytest.mark.parametrize("detector", ["hotelling", "KSDrift", "MMDDriftOnline", "CVMDriftOnline"])
def test_a_detector_is_set_to_its_run_length_and_finds_what_is_there_and_nothing_else(
    record: Recorded, detector: str
) -> None:
    found = duel(record, detector, "independent", seed=1, runs=8, images=120_000)
    for window, told in found.items():
        assert RUN_LENGTH / 4 < told["run_length"] < 4 * RUN_LENGTH, window
        (gross, _, missed), (none, _, nothing) = told["delays"]["gross"], told["delays"]["none"]
        assert gross <= 1.1 * int(window)
        assert missed == 0
        assert none > MOST / 3
        assert nothing > 0.3


def test_the_detector_of_single_images_is_commissioned_from_the_stream_and_finds_a_gross_shift_at_once(
    record: Recorded,
) -> None:
    rng, control = np.random.default_rng(1), record.parts[CONTROL].astype(np.float64)
    chart, scale = chart_of(rng, record, "sequential", 1, "independent")
    delays = delays_of(rng, chart, control, scale(record.parts["gross"]), "independent", 1.0, 8)
    assert delays.max() <= 3
    assert chart.of(control, stream(rng, "independent", len(control), (8, 500))).max() <= 1.0


def test_of_two_halves_one_is_learned_and_the_faults_of_the_other_are_watched(record: Recorded) -> None:
    control = record.parts[CONTROL]
    parts = {CONTROL: control, "blur-slight": control + 1, "poly": control[:7]}
    learned, watched = halves(replace(record, parts=parts), np.random.default_rng(0))
    assert set(learned.parts) == {CONTROL}
    both = np.concatenate([learned.parts[CONTROL], watched.parts[CONTROL]])
    assert np.array_equal(np.unique(both, axis=0), np.unique(control, axis=0))
    assert np.array_equal(watched.parts["blur-slight"], watched.parts[CONTROL] + 1)
    assert np.array_equal(watched.parts["poly"], parts["poly"])


def test_of_a_rival_the_best_window_counts_and_of_ours_the_one_that_was_named() -> None:
    def told(windows: dict[str, float]) -> dict[str, object]:
        return {
            window: {
                "run_length": 2e4,
                "low": 1e4,
                "high": 4e4,
                "by_its_own_limits": 2e4,
                "delays": {"s": [mean, 1, 0]},
            }
            for window, mean in windows.items()
        }

    means = {name: {str(window): 90.0 * (1 + i) for i, window in enumerate(WINDOWS[name])} for name in WINDOWS}
    ours = {"hotelling": {"30": 5.0, str(BATCH): 25.0}, "rolled": {"30": 300.0}, "sequential": {"1": 2.0}}
    cells = {
        f"alone/set/{kind}-{name}": told(ours.get(name) or means.get(name) or {str(BATCH): 50.0})
        for kind in ("independent", "autocorrelated")
        for name in DETECTORS
    }
    assert best_of(cells, "KSDrift")["set", "independent", "s"][0] == 90.0
    made = {figure.name: figure for figure in figures(cells)}
    assert made["three_times_shorter_than_KSDrift"].value == 1.0  # 25 against 90
    assert made["longer_than_KSDrift_by_roll_ups"].value == 1.0
    assert "3.3 times" in made["longer_than_KSDrift_by_roll_ups"].note
    assert made["three_times_shorter_than_plant_charts"].value == 0.0
    assert made["three_times_shorter_than_the_best_by_sequential"].value == 1.0
    assert made["delay_sequential_independent"].value == 2.0


def test_faults_do_to_a_picture_what_they_are_called() -> None:
    pixels = picture(np.random.default_rng(0))
    before = image_statistics(pixels)
    assert image_statistics(light(pixels, 0.7))[0] == pytest.approx(0.7 * before[0], rel=0.02)
    assert image_statistics(blur(pixels, 0.02))[2] < before[2] - 0.5
    dirty = dirt(pixels, 1, 8, 0.6)
    assert (dirty <= pixels).all()
    assert image_statistics(dirty)[3] > before[3]
    assert crop(pixels, 0.25, (0.0, 1.0)).shape == (48, 72, 3)
    assert (crop(pixels, 0.25, (0.0, 1.0)) == pixels[16:, :72]).all()


def test_a_stronger_fault_changes_more() -> None:
    pixels = picture(np.random.default_rng(0))
    for fault in FAULTS:
        changes = []
        for strength in STRENGTHS:
            spoilt = planted(fault, strength)(pixels)
            height, width = spoilt.shape[:2]
            changes.append(np.abs(spoilt.astype(float) - pixels[:height, :width]).mean() + 1000 * (64 - height))
        assert changes[0] < changes[1] < changes[2], fault


def test_a_higher_share_of_defects_shows_the_same_parts_more_often() -> None:
    parts = [Example(Path(f"{i}.png"), "scratch" if i < 20 else "good") for i in range(100)]
    parts = [Example(e.path, "functional" if e.label == "good" else e.label) for e in parts]
    befallen = plight(np.random.default_rng(0), "defect-rate", parts, ())
    assert befallen.both
    assert befallen.spoils is None
    assert befallen.weights.sum() == pytest.approx(1.0)
    assert 0.34 < befallen.weights[:20].sum() < 0.56


def test_a_new_class_is_seen_by_both_cameras_and_is_called_so() -> None:
    parts = [Example(Path(f"{i}.png"), "functional") for i in range(40)]
    befallen = plight(np.random.default_rng(0), "new-class", parts, ())
    pixels = picture(np.random.default_rng(1))
    assert befallen.spoils is not None
    touched = [bool((spoil(pixels) != pixels).any()) for spoil in befallen.spoils]
    assert touched == [label == "scratch" for label in befallen.truth]
    assert 8 < sum(touched) < 30


def test_a_line_of_recorded_vectors_takes_one_cameras_light_for_the_camera(tmp_path: Path) -> None:
    bundle_hash = write_paper_bundle(tmp_path / "bundle")
    manifest = Manifest.model_validate_json((tmp_path / "bundle" / MANIFEST_NAME).read_text("utf-8"))
    confusion = {"good": {"good": 67, "crack": 3}, "crack": {"good": 2, "crack": 28}}
    tested = manifest.test_metrics.model_copy(update={"confusion": confusion})
    manifest = manifest.model_copy(update={"test_metrics": tested})
    served = Served(manifest, bundle_hash, vector_names(manifest.labels, 4))
    settings = RuleSettings(commissioning_windows=40, commissioning_most_windows=40, commissioning_cycle_hours=0)
    line, rng = WatchedLine(served, settings), np.random.default_rng(0)
    line.serve()
    darker = np.array([-2.0 if name == "mean" else 0.0 for name in NAMES])
    pool = vectors(rng).astype(np.float64) + np.array([5.0 if name == "mean" else 0.0 for name in NAMES])
    for number in range(48):
        rows = pool[rng.integers(len(pool), size=(2, 50))]
        line.show({A: rows[0] + (darker if number >= 40 else 0.0), B: rows[1]})
    assert line.diagnosis(A) is Kind.SENSOR
    assert line.diagnosis(B) is None
    assert [ticket.camera for ticket in line.of(OpenTicket)] == [A]
    assert "darker" in line.of(OpenTicket)[0].symptoms
    assert served.answers(pool[:1]) == ["crack" if pool[0, -1] else "good"]
