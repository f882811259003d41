"""A finished model becomes a bundle that proves what it says, or nothing at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from contracts.errors import BundleError, ConfigurationError, DatasetError
from drift.vector import VectorReference
from exporter.export import export, export_source
from exporter.settings import ExportSettings, Limits
from exporter.source import Source, tensors
from runtime.bundle import Bundle, open_bundle
from runtime.metrics import task_metrics
from runtime.preprocessing import decode, prepare
from runtime.probe import probe
from runtime.session import Session
from tests.simulators.small_network import LABELS, SIDE, Picture, small_network
from trainer.image import pixels_of

INT8, FP32 = "onnxruntime-cpu/int8", "onnxruntime-cpu/fp32"
QUICK = ExportSettings(calibration_images=8, correction_images=4, latency_runs=2, reference_images=20)


def test_bundle_opens_and_every_variant_passes_its_probe(exported: tuple[Bundle, list[str]]) -> None:
    bundle = open_bundle(exported[0].path, expected_hash=exported[0].hash)
    assert [variant.name for variant in bundle.manifest.variants] == [INT8, FP32]
    for name in (INT8, FP32):
        probe(bundle, Session(bundle, variant=name))


def test_int8_serves_when_it_passes(exported: tuple[Bundle, list[str]]) -> None:
    manifest = exported[0].manifest
    int8 = next(each for each in manifest.certificates if each.variant == INT8)
    assert int8.passed
    assert int8.reasons == ()
    assert manifest.default_variant == INT8
    assert manifest.test_metrics == int8.metrics


def test_manifest_carries_what_the_run_said(exported: tuple[Bundle, list[str]], source: Source) -> None:
    manifest = exported[0].manifest
    assert (manifest.site, manifest.product, manifest.labels) == ("test-site", "tile", LABELS)
    assert (manifest.thresholds, manifest.temperature) == (source.thresholds, 1.5)
    assert (manifest.licence, manifest.lineage) == (source.licence, source.lineage)
    assert manifest.preprocessing == source.preprocessing


def test_fp32_answers_like_torch(exported: tuple[Bundle, list[str]], source: Source) -> None:
    session = Session(exported[0], variant=FP32)
    for tensor in list(tensors(source.test, source.preprocessing))[:10]:
        with torch.inference_mode():
            logits, embedding = source.module(torch.from_numpy(tensor))
        answer = session.infer(tensor)
        assert answer.logits == pytest.approx(logits[0].numpy(), abs=1e-3)
        assert answer.embedding == pytest.approx(embedding[0].numpy(), abs=1e-3)


def test_certificate_is_what_anyone_measures_again(exported: tuple[Bundle, list[str]], source: Source) -> None:
    bundle = exported[0]
    session = Session(bundle, variant=INT8)
    answers = np.stack([session.infer(tensor).probabilities for tensor in tensors(source.test, source.preprocessing)])
    certificate = next(each for each in bundle.manifest.certificates if each.variant == INT8)
    assert certificate.metrics == task_metrics(answers, [each.label for each in source.test], bundle.manifest)
    assert certificate.metrics.examples == len(source.test)


def test_small_test_split_is_filled_up_for_the_comparison(exported: tuple[Bundle, list[str]]) -> None:
    assert {certificate.images for certificate in exported[0].manifest.certificates} == {100}


def test_certificates_name_reference_machine_and_threads(exported: tuple[Bundle, list[str]]) -> None:
    for certificate in exported[0].manifest.certificates:
        assert certificate.reference == "torch/fp32"
        assert certificate.machine["onnxruntime"]
        assert certificate.machine["torch"] == torch.__version__
        assert certificate.latency.threads == 1
        assert certificate.latency.p50_seconds > 0


def test_int8_file_holds_uint8_activations_and_int8_weights_per_channel(exported: tuple[Bundle, list[str]]) -> None:
    graph = onnx.load(exported[0].path / "model.int8.onnx").graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    quantised = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert len(quantised) >= 3
    assert {weights[node.input[2]].data_type for node in quantised} == {TensorProto.UINT8}
    scales = {node.input[0]: weights[node.input[1]] for node in graph.node if node.op_type == "DequantizeLinear"}
    kernels = [name for name in scales if name in weights and weights[name].data_type == TensorProto.INT8]
    assert kernels
    for name in kernels:
        assert scales[name].dims[0] == weights[name].dims[0]
        assert np.abs(numpy_helper.to_array(weights[name]).astype(int)).max() <= 127


def test_golden_samples_are_balanced_pictures_with_the_answers_of_both(
    exported: tuple[Bundle, list[str]], source: Source
) -> None:
    bundle = exported[0]
    samples = bundle.manifest.golden_samples
    assert len(samples) == 8
    sessions = {name: Session(bundle, variant=name) for name in (INT8, FP32)}
    counts = dict.fromkeys(LABELS, 0)
    for sample in samples:
        assert sample.file.endswith(".png")
        image = decode(bundle.read(sample.file), source.preprocessing)
        same = [each.label for each in source.test if np.array_equal(pixels_of(each.path, source.preprocessing), image)]
        counts[same[0]] += 1
        for name, session in sessions.items():
            answer = session.infer(prepare(image, source.preprocessing)).probabilities
            assert sample.expected[name] == pytest.approx(answer.tolist(), abs=1e-6)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_large_pictures_are_stored_smaller(source: Source, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "large").mkdir()
    large = []
    for each in source.test[:9]:
        path = tmp_path / "large" / each.path.name
        Image.open(each.path).resize((800, 640)).save(path)
        large.append(Picture(path, each.label))
    bundle = export_source(replace(source, test=large), tmp_path / "bundle", settings=QUICK)
    sizes = {decode(bundle.read(each.file), source.preprocessing).shape for each in bundle.manifest.golden_samples}
    assert sizes == {(2 * SIDE, round(800 * 2 * SIDE / 640), 3)}


def test_drift_reference_was_fitted_on_the_serving_variant(exported: tuple[Bundle, list[str]], source: Source) -> None:
    bundle = exported[0]
    reference = VectorReference.load(bundle.path / bundle.manifest.drift_reference.file)
    names = bundle.manifest.drift_reference.names
    means = {}
    for name in (INT8, FP32):
        session = Session(bundle, variant=name)
        vectors = [
            reference.vector(decode(each.path.read_bytes(), source.preprocessing), session.infer(tensor))
            for each, tensor in zip(source.train, tensors(source.train, source.preprocessing), strict=True)
        ]
        assert vectors[0].shape == (len(names),)
        first = names.index("pc-01")
        means[name] = np.abs(np.mean(vectors, axis=0)[first : first + reference.components]).max()
    assert means[INT8] < 1e-3 < means[FP32]


def test_progress_tells_the_story_in_order(exported: tuple[Bundle, list[str]]) -> None:
    said = exported[1]
    assert said[0] == "writing the float model as ONNX"
    assert said[-1] == "bundle written"
    assert f"{INT8} serves; fitting the drift reference" in said


def test_fp32_serves_with_the_reason_when_int8_does_not_pass(source: Source, tmp_path: Path) -> None:
    settings = QUICK.model_copy(update={"limits": Limits(agreement=1.0, agreement_at_least=1.0)})
    bundle = export_source(replace(source, module=fragile(source)), tmp_path / "bundle", settings=settings)
    int8, fp32 = bundle.manifest.certificates
    assert not int8.passed
    assert "most probable class is that of the float model on" in int8.reasons[0]
    assert fp32.passed
    assert bundle.manifest.default_variant == FP32
    assert bundle.manifest.test_metrics == fp32.metrics


class Fragile(nn.Module):
    """What tells the classes apart is hidden under one loud channel, so that eight bits cannot hold both."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.mix = nn.Conv2d(3, 3, 1, bias=False)
        self.unmix = nn.Conv2d(3, 3, 1, bias=False)
        weight = torch.eye(3)[:, :, None, None]
        loud = torch.tensor([1.0, 1.0, 3000.0])[:, None, None, None]
        self.mix.weight.data.copy_(weight * loud)
        self.unmix.weight.data.copy_(weight / loud)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        out: tuple[Tensor, Tensor] = self.inner(self.unmix(self.mix(x)))
        return out


def fragile(source: Source) -> nn.Module:
    return Fragile(source.module).eval()


def test_existing_bundle_is_never_overwritten(source: Source, exported: tuple[Bundle, list[str]]) -> None:
    with pytest.raises(BundleError, match="exists already and is not empty"):
        export_source(source, exported[0].path)
    open_bundle(exported[0].path, expected_hash=exported[0].hash)


def test_failure_on_the_way_leaves_nothing_behind(source: Source, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    broken = [*source.test, Picture(tmp_path / "broken.png", LABELS[0])]
    out = tmp_path / "bundles" / "bundle"
    with pytest.raises(DatasetError, match=r"broken\.png"):
        export_source(replace(source, test=broken), out, settings=QUICK)
    assert list(out.parent.iterdir()) == []


def test_image_that_went_missing_is_named(source: Source, tmp_path: Path) -> None:
    gone = [*source.test, Picture(tmp_path / "gone.png", LABELS[0])]
    with pytest.raises(DatasetError, match=r"gone\.png.*bring the image back"):
        export_source(replace(source, test=gone), tmp_path / "bundle", settings=QUICK)


class Undecided(nn.Module):
    """Its way depends on the image."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.sum() > 0:
            return x.mean((2, 3)), x.mean((2, 3))
        return x.amax((2, 3)), x.amax((2, 3))


def test_network_that_has_no_graph_is_refused(source: Source, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be written as ONNX"):
        export_source(replace(source, module=Undecided(), embedding_width=3), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


class Repeated(nn.Module):
    """Answers through an operator that a bundle may not hold."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embedding = torch.cumsum(x.mean((2, 3)), 1)
        return embedding, embedding * 2


def test_network_with_an_operator_off_the_list_is_refused(source: Source, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="CumSum"):
        export_source(replace(source, module=Repeated(), embedding_width=3), tmp_path / "bundle")


def test_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a finished training run"):
        export(tmp_path, tmp_path / "bundle")


def test_torch_keeps_its_number_of_threads(source: Source, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    export_source(source, tmp_path / "bundle", threads=before + 1, settings=QUICK)
    assert torch.get_num_threads() == before


def test_ordinary_network_is_exported_too(source: Source, tmp_path: Path) -> None:
    bundle = export_source(replace(source, module=small_network(depthwise=False)), tmp_path / "bundle", settings=QUICK)
    graph = onnx.load(bundle.path / "model.int8.onnx").graph
    assert [node.op_type for node in graph.node if graph.input[0].name in node.input] == ["QuantizeLinear"]


def test_export_prints_nothing(source: Source, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    export_source(source, tmp_path / "bundle", settings=QUICK)
    assert capfd.readouterr() == ("", "")
