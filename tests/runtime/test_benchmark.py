"""What a bundle costs on this machine, and which variant it should serve."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import pytest

from contracts.benchmark import GoldenAnswers, Row
from contracts.errors import BundleError, ConfigurationError
from runtime import runner
from runtime.benchmark import Labelled, Plan, benchmark
from runtime.bundle import Bundle
from runtime.choice import choose, paired_ratio
from runtime.energy import EnergyMeter
from runtime.runner import Runner
from tests.runtime.test_energy import zone
from tests.simulators.slow_variant import write_slow_and_fast
from tests.simulators.small_bundle import encoded, model_bytes, picture, write_small_bundle

FP32, INT8, OTHER = "onnxruntime-cpu/fp32", "onnxruntime-cpu/int8", "openvino-cpu/int8"


def two_variants(folder: Path, *, second: bytes | None = None, expected: tuple[float, float] | None = None) -> Bundle:
    """fp32 (the default) and a file called int8, which is the same network or `second`."""
    sound = write_small_bundle(folder / "sound")
    golden = sound.manifest.golden_samples[0].expected[FP32]
    variants = [
        {"target": "onnxruntime-cpu", "precision": precision, "file": file}
        for precision, file in (("fp32", "model.onnx"), ("int8", "int8.onnx"))
    ]
    samples = [{"file": "golden/1.png", "expected": {FP32: list(golden), INT8: list(expected or golden)}}]
    target = folder / "two"
    target.mkdir()
    (target / "int8.onnx").write_bytes(second or model_bytes(4.0, 0))
    made = folder / "made"
    made.mkdir()
    return _with_file(made / "b", target / "int8.onnx", variants=variants, golden_samples=samples)


def _with_file(folder: Path, file: Path, **changes: Any) -> Bundle:
    from runtime.bundle import open_bundle, write_bundle_manifest

    bundle = write_small_bundle(folder)
    (folder / file.name).write_bytes(file.read_bytes())
    fields = bundle.manifest.model_dump(mode="json", exclude={"files"})
    return open_bundle(folder, expected_hash=write_bundle_manifest(folder, {**fields, **changes}))


def test_every_variant_threads_and_callers_is_a_row(tmp_path: Path) -> None:
    bundle = two_variants(tmp_path)
    found = benchmark(bundle, Plan(threads=(1, 2), callers=(1, 2), runs=12, starts=1))
    assert [(row.variant, row.threads, row.callers, row.runs) for row in found.rows] == [
        (variant, threads, callers, 12 * callers)
        for variant in (FP32, INT8)
        for threads in (1, 2)
        for callers in (1, 2)
    ]
    assert found.reference == FP32
    assert found.bundle_hash == bundle.hash
    for row in found.rows:
        assert 0 < row.p50_seconds <= row.p90_seconds <= row.p99_seconds
        assert row.cold_start_seconds > row.p50_seconds
        assert row.images_per_second > 0
        assert row.peak_bytes > 20_000_000
        assert row.golden.within_tolerance
        assert row.golden.same_class == row.golden.images == 1
    assert [row.speedup for row in found.rows if row.variant == FP32] == [1.0] * 4
    assert found.rows[0].file_bytes == (bundle.path / "model.onnx").stat().st_size


def test_variant_that_does_not_run_is_skipped_with_its_reason(tmp_path: Path) -> None:
    found = benchmark(two_variants(tmp_path, second=b"no model at all"), Plan(runs=10, starts=1))
    assert {row.variant for row in found.rows} == {FP32}
    assert "int8.onnx" in found.skipped[INT8]
    assert "not an ONNX model" in found.skipped[INT8]


def test_variant_that_answers_otherwise_is_skipped(tmp_path: Path) -> None:
    found = benchmark(two_variants(tmp_path, expected=(0.1, 0.9)), Plan(runs=10, starts=1))
    assert "away from the certified answer" in found.skipped[INT8]


def test_in_the_background_the_trial_and_every_process_give_way(
    small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    popen = subprocess.Popen

    def noted(command: list[str], **options: Any) -> Any:
        started.append(command)
        assert not options.get("start_new_session")
        return popen(command, **options)

    monkeypatch.setattr(subprocess, "Popen", noted)
    benchmark(small_bundle, Plan(runs=3, starts=2, background=True))
    assert len(started) == 3
    assert all("give_way()" in command[-1] for command in started)


def test_incumbent_is_the_one_to_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which one wins among equally fast ones is chance here; `choose` has tests with fixed times."""
    beaten: list[str] = []

    def noted(incumbent: str, *rest: Any) -> Any:
        beaten.append(incumbent)
        return choose(incumbent, *rest)

    monkeypatch.setattr("runtime.benchmark.choose", noted)
    bundle, plan = write_slow_and_fast(tmp_path, slow=model_bytes(4.0, 0)), Plan(runs=20, starts=1)
    benchmark(bundle, plan)
    benchmark(bundle, dataclasses.replace(plan, incumbent=INT8))
    assert beaten == [FP32, INT8]


def test_bundle_of_which_nothing_runs_is_an_error(tmp_path: Path) -> None:
    bundle = write_small_bundle(tmp_path / "b", golden_shift=0.2)
    with pytest.raises(BundleError, match="no variant runs here: onnxruntime-cpu/fp32 answers golden sample"):
        benchmark(bundle, Plan(runs=10))


def test_unknown_variant_or_label_is_an_error_before_anything_runs(small_bundle: Bundle) -> None:
    with pytest.raises(ConfigurationError, match="no variant 'x/int8'"):
        benchmark(small_bundle, Plan(variants=("x/int8",)))
    with pytest.raises(ConfigurationError, match="does not know the label 'crack'"):
        benchmark(small_bundle, Plan(images=(Labelled(Path("a.png"), "crack"),)))


def test_labelled_images_are_judged_and_unreadable_ones_counted(small_bundle: Bundle, tmp_path: Path) -> None:
    images = []
    for number, (level, label) in enumerate([(60, "good"), (70, "good"), (200, "scratch"), (60, "scratch")]):
        path = tmp_path / f"{number}.png"
        path.write_bytes(encoded(picture(level, number)))
        images.append(Labelled(path, label))
    (tmp_path / "broken.png").write_bytes(b"none")
    images += [Labelled(tmp_path / "broken.png", "good"), Labelled(tmp_path / "missing.png", "good")]
    answers = benchmark(small_bundle, Plan(runs=10, starts=1, images=tuple(images))).rows[0].images
    assert answers is not None
    assert (answers.images, answers.unreadable) == (4, 2)
    assert answers.accuracy == 0.75
    assert answers.balanced_accuracy == 0.75
    assert answers.balanced_interval is not None
    assert answers.balanced_interval[0] < 0.75 < answers.balanced_interval[1]


def test_images_that_nobody_can_read_are_an_error(small_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="none of the labelled images can be read"):
        benchmark(small_bundle, Plan(runs=10, starts=1, images=(Labelled(tmp_path / "no.png", "good"),)))


def test_energy_stands_in_the_row_where_the_machine_tells(small_bundle: Bundle, tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 5)
    plan = Plan(runs=10, starts=1)
    told = benchmark(small_bundle, plan, meter=EnergyMeter(tmp_path))
    assert told.rows[0].joules_per_image == 0.0
    assert not told.remarks or "energy" not in " ".join(told.remarks)
    untold = benchmark(small_bundle, plan, meter=EnergyMeter(tmp_path / "none"))
    assert untold.rows[0].joules_per_image is None
    assert "no energy" in " ".join(untold.remarks)


def row(variant: str, p50: float, **changes: Any) -> Row:
    golden = GoldenAnswers(images=1, same_class=1, largest_difference=0.0, within_tolerance=True)
    values: dict[str, Any] = {
        "variant": variant, "threads": 1, "callers": 1, "cold_start_seconds": 1, "p50_seconds": p50, "p90_seconds": p50,
        "p99_seconds": p50, "runs": 20, "images_per_second": 1 / p50, "peak_bytes": 1, "file_bytes": 1, "speedup": 1.0,
        "golden": golden, "certified": True,
    }  # fmt: skip
    return Row(**{**values, **changes})


def chosen(*rows: Row, medians: dict[str, list[float]], default: str = INT8) -> tuple[str | None, list[str]]:
    by_key = {(each.variant, each.threads, each.callers): medians[each.variant] for each in rows}
    found, remarks = choose(default, rows, by_key)
    return (found.variant if found else None), remarks


def test_surely_faster_variant_is_chosen_and_said() -> None:
    medians = {INT8: [2.0] * 20, OTHER: [1.0] * 20}
    name, remarks = chosen(row(INT8, 2.0), row(OTHER, 1.0), medians=medians)
    assert name == OTHER
    assert OTHER in remarks[0]


def test_default_stays_where_the_difference_is_noise() -> None:
    mine = [1.0, 2.0] * 10
    other = [2.0, 0.9] * 10
    assert chosen(row(INT8, 1.5), row(OTHER, 1.4), medians={INT8: mine, OTHER: other}) == (INT8, [])


def test_default_stays_for_less_than_a_station_would_change_for() -> None:
    medians = {INT8: [1.04] * 20, OTHER: [1.0] * 20}
    assert chosen(row(INT8, 1.04), row(OTHER, 1.0), medians=medians) == (INT8, [])


def test_fastest_variant_without_certificate_or_right_answers_is_not_chosen() -> None:
    wrong = GoldenAnswers(images=1, same_class=0, largest_difference=0.4, within_tolerance=False)
    medians = {INT8: [2.0] * 20, OTHER: [1.0] * 20}
    for change in ({"certified": False}, {"golden": wrong}, {"callers": 2}):
        assert chosen(row(INT8, 2.0), row(OTHER, 1.0, **change), medians=medians)[0] == INT8


def test_nothing_is_chosen_where_nothing_may_serve() -> None:
    name, remarks = chosen(row(INT8, 2.0, certified=False), medians={INT8: [2.0] * 20})
    assert name is None
    assert "serve none" in remarks[0]


def test_interval_of_a_paired_ratio_holds_the_middle_of_the_rounds() -> None:
    ratio, interval = paired_ratio([float(value) for value in range(1, 21)], [1.0] * 20)
    assert ratio == 10.5
    assert interval == (6.0, 15.0)


def test_slow_rounds_that_hit_both_change_no_ratio() -> None:
    noise = [1.0, 50.0, 3.0, 1.0, 9.0, 1.0, 1.0, 20.0]
    ratio, interval = paired_ratio([2 * each for each in noise], noise)
    assert ratio == 2.0
    assert interval == (2.0, 2.0)


def test_process_that_dies_is_one_clear_error(small_bundle: Bundle) -> None:
    with Runner(small_bundle, FP32, threads=1) as asked:
        asked._process.kill()
        asked._process.wait()
        with pytest.raises(BundleError, match=f"{FP32} of bundle .* ended or said nothing"):
            asked.run(1)


def test_process_that_hangs_is_ended(small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    with Runner(small_bundle, FP32, threads=1) as asked:
        monkeypatch.setattr(runner, "LIMIT_SECONDS", 0.2)
        with pytest.raises(BundleError, match="said nothing"):
            asked.run(10_000_000)
    assert asked._process.returncode is not None
