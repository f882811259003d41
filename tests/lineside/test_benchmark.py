"""`lineside benchmark` shows what a bundle costs here, and writes what was asked for."""

from __future__ import annotations

import getpass
import json
import socket
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from contracts.benchmark import Benchmark
from contracts.errors import BundleError, ConfigurationError, DatasetError
from lineside.benchmark import Options, evidence, run_benchmark
from lineside.benchmark_plot import plot
from runtime.bundle import Bundle
from runtime.machine import device_class
from tests.simulators.small_bundle import encoded, picture, write_small_bundle

EXAMPLE = Path(__file__).resolve().parents[2] / "contracts" / "examples" / "v1" / "benchmark.json"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def found() -> Benchmark:
    return Benchmark.model_validate_json(EXAMPLE.read_bytes())


def certified(folder: Path) -> Bundle:
    metrics = {
        "examples": 1, "accuracy": 1, "balanced_accuracy": 1, "auroc": 1, "best_constant": 1, "recall_good": 1,
        "recall_defect": 1,
    }  # fmt: skip
    certificate = {
        "variant": "onnxruntime-cpu/fp32", "device_class": device_class(), "images": 1,
        "argmax_agreement": 1.0, "max_probability_difference": 0.0,
        "metrics": metrics, "reference_metrics": metrics, "passed": True,
        "latency": {"p50_seconds": 1, "p95_seconds": 1, "runs": 1, "threads": 1},
    }  # fmt: skip
    return write_small_bundle(folder, certificates=[certificate])


def write_images(folder: Path) -> Path:
    for number, (level, label) in enumerate([(60, "good"), (70, "good"), (200, "scratch"), (210, "scratch")]):
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{number}.png").write_bytes(encoded(picture(level, number)))
    return folder


def test_table_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = certified(tmp_path / "b")
    options = Options(
        bundle=bundle.path,
        threads=(1,),
        runs=10,
        images=write_images(tmp_path / "images"),
        json=tmp_path / "out" / "all.json",
        plot=tmp_path / "plot.svg",
        submit=tmp_path / "evidence.json",
    )
    found = run_benchmark(options)
    said = capsys.readouterr().out
    assert "serve onnxruntime-cpu/fp32 with 1 thread" in said
    assert "1/1 ±0.000" in said
    assert Benchmark.model_validate_json((tmp_path / "out" / "all.json").read_bytes()) == found
    assert Benchmark.model_validate_json((tmp_path / "evidence.json").read_bytes()) == evidence(found)
    assert found.rows[0].images is not None
    assert found.rows[0].images.balanced_accuracy == 1.0
    ElementTree.parse(tmp_path / "plot.svg")  # noqa: S314 our own


def test_evidence_names_nobody(tmp_path: Path) -> None:
    bundle = write_small_bundle(tmp_path / "secret-folder", site="secret-site")
    images = write_images(tmp_path / "images")
    options = Options(bundle=bundle.path, threads=(1,), runs=10, images=images, submit=tmp_path / "e.json")
    run_benchmark(options)
    text = (tmp_path / "e.json").read_text()
    for secret in ("secret", "scratch", str(tmp_path), socket.gethostname(), f'"{getpass.getuser()}"'):
        assert secret not in text
    told = json.loads(text)
    assert told["measured_at"].endswith("T00:00:00Z")
    assert told["rows"][0]["images"] is None
    assert told["machine"]["onnxruntime"]
    assert told["bundle_hash"] == bundle.hash


def test_reason_of_a_skipped_variant_is_not_in_the_evidence(found: Benchmark) -> None:
    named = found.model_copy(update={"skipped": {"tensorrt/int8": "not at /home/somebody"}})
    assert "somebody" not in evidence(named).model_dump_json()


def test_plot_marks_the_chosen_one_where_it_lies(found: Benchmark) -> None:
    picture = ElementTree.fromstring(plot(found))  # noqa: S314 our own
    circles = picture.findall(f"{SVG}circle")
    rings = [each for each in circles if each.get("class") == "chosen"]
    points = [each for each in circles if each.get("class") == "row"]
    assert (len(points), len(rings)) == (len(found.rows), 1)
    texts = [each.text or "" for each in picture.findall(f"{SVG}text")]
    for number, row in enumerate(found.rows, start=1):
        assert any(text.startswith(f"{number}  {row.variant}, {row.threads} thread") for text in texts)
    chosen = next(at for at, row in enumerate(found.rows) if row.variant == found.chosen)
    assert rings[0].get("cx") == points[chosen].get("cx")
    across = [float(each.get("cx", "")) for each in points]
    seconds = [row.p50_seconds for row in found.rows]
    assert (across[0] < across[1]) == (seconds[0] < seconds[1])


def test_plot_shows_the_best_known_accuracy(found: Benchmark) -> None:
    assert "1 - largest difference" in plot(found)  # no image answers of the second row, no certificates
    rows = [row.model_copy(update={"certified_accuracy": 0.9}) for row in found.rows]
    assert "balanced accuracy, certificate" in plot(found.model_copy(update={"rows": tuple(rows)}))
    rows = [row.model_copy(update={"images": found.rows[0].images}) for row in rows]
    assert "balanced accuracy, labelled images" in plot(found.model_copy(update={"rows": tuple(rows)}))


def test_plot_shows_what_a_machine_is_called(found: Benchmark) -> None:
    odd = found.model_copy(update={"machine": {"processor": "<A & B>"}})
    assert "&lt;A &amp; B&gt;" in plot(odd)


def test_damaged_bundle_is_a_clear_error(tmp_path: Path) -> None:
    bundle = write_small_bundle(tmp_path / "b")
    (bundle.path / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"model\.onnx differs from the manifest"):
        run_benchmark(Options(bundle=bundle.path))


def test_images_of_another_product_are_a_clear_error(small_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "images" / "crack").mkdir(parents=True)
    (tmp_path / "images" / "crack" / "1.png").write_bytes(encoded(picture(60)))
    with pytest.raises(ConfigurationError, match="does not know the label 'crack'"):
        run_benchmark(Options(bundle=small_bundle.path, images=tmp_path / "images"))
    with pytest.raises(DatasetError):
        run_benchmark(Options(bundle=small_bundle.path, images=tmp_path / "nothing"))


def test_command_needs_no_torch_and_shows_its_error_in_one_line(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'timm', 'sklearn', 'matplotlib'): sys.modules[name] = None\n"
        "from lineside.main import main; main()"
    )
    bundle = write_small_bundle(tmp_path / "b")
    command = [sys.executable, "-c", code, "benchmark", str(bundle.path), "--runs", "10", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "onnxruntime-cpu/fp32" in done.stdout
    (bundle.path / "manifest.json").write_text("{}")
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 1
    assert "error" in refused.stderr
    assert "Traceback" not in refused.stderr
