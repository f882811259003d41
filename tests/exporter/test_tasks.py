"""Bundles of a model with further tasks: both variants answer them, and the certificate says how far from the model."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from PIL import Image

from contracts.bundle import Licence
from contracts.tasks import TaskCertificate
from exporter.export import export
from exporter.settings import ExportSettings, Limits
from exporter.task_certificate import task_objections
from runtime.bundle import Bundle, open_bundle
from runtime.preprocessing import prepare
from runtime.session import Session
from tests.trainer.conftest import make_small_base, shorten
from trainer.dataset import read_manifest
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import take_snapshot

INT8, FP32 = "onnxruntime-cpu/int8", "onnxruntime-cpu/fp32"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Of 40 bright and dark plates with a marked spot in the dark ones, in two tiles, hardly trained."""
    folder = tmp_path_factory.mktemp("tasks")
    rows = ["path,label,group,severity,bbox_xyxy"]
    for number in range(40):
        plate = np.random.default_rng(number).normal(130, 10, (48, 80, 3)).clip(0, 255).astype(np.uint8)
        if number % 2:
            plate[10:30, 40:60] = 30
        Image.fromarray(plate).save(folder / f"{number}.png")
        known = f"{number % 3 + 1},40 10 60 30" if number % 2 else "0,"
        rows.append(f"{number}.png,{'spot' if number % 2 else 'good'},lot-{number // 2},{known}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    snapshot = take_snapshot(read_manifest(folder / "manifest.csv"), licence=Licence(), seed=0)
    settings = TrainingSettings.model_validate({"tasks": ("severity", "location"), "tiles": "2x1", "flips": "none"})
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch, "tail", fewest_steps=6, most_steps=6)
        run = train(snapshot, make_small_base(), settings=settings, out=folder / "run")
    quick = ExportSettings(components=4, latency_runs=2, certificate_images_at_least=10, fault_images=4)
    return export(run, folder / "bundle", settings=quick)


def test_manifest_names_levels_and_grid(bundle: Bundle) -> None:
    tasks = open_bundle(bundle.path).manifest.tasks
    assert tasks is not None
    assert tasks.severity is not None
    assert tasks.severity.names == ("none", "1", "2", "3")
    assert tasks.location is not None
    assert (tasks.location.rows, tasks.location.columns) == (2, 2)


@pytest.mark.parametrize("variant", [INT8, FP32])
def test_both_variants_answer_every_task(bundle: Bundle, variant: str) -> None:
    spec = bundle.manifest.preprocessing
    answer = Session(bundle, variant=variant).infer(prepare(np.full((48, 80, 3), 90, np.uint8), spec))
    assert answer.severity is not None
    assert answer.severity.shape == (3,)
    assert answer.heat is not None
    assert answer.heat.shape == (2, 2, 2)
    assert answer.distances is not None
    assert answer.distances.shape == (2, 4, 2, 2)


def test_certificate_compares_the_tasks_with_the_trained_model(bundle: Bundle) -> None:
    by_name = {item.variant: item.tasks for item in bundle.manifest.certificates}
    exact, rounded = by_name[FP32], by_name[INT8]
    assert exact is not None
    assert rounded is not None
    assert (exact.severity_difference or 0) < 1e-4
    assert (exact.heat_difference or 0) < 1e-4
    assert (exact.smallest_overlap or 0) > 0.99
    assert (rounded.severity_difference or 0) > (exact.severity_difference or 0)
    assert rounded.reference_level_error == exact.level_error


def test_heads_stay_in_float(bundle: Bundle) -> None:
    graph = onnx.load(bundle.path / "model.int8.onnx").graph
    maker = {name: node for node in graph.node for name in node.output}
    for output in ("severity", "heat", "distances"):
        above, node = set(), maker[output]
        while node.op_type not in ("MatMul", "Gemm"):
            above.add(node.op_type)
            node = maker[next(name for name in node.input if name in maker)]
        assert "QuantizeLinear" not in above


def test_variant_whose_tasks_got_worse_does_not_pass() -> None:
    limits = Limits(task_drop=0.05)
    fine = TaskCertificate(level_error=0.4, reference_level_error=0.3, boxes_found=0.76, reference_boxes_found=0.8)
    assert task_objections(fine, 3, limits) == []
    worse = TaskCertificate(level_error=0.5, reference_level_error=0.3, boxes_found=0.7, reference_boxes_found=0.8)
    assert [text.split(" ")[0] for text in task_objections(worse, 3, limits)] == ["the", "10.0%"]
    assert task_objections(None, 1, limits) == []
