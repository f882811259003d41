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

from contracts.certificate import Certificate
from contracts.errors import BundleError, ConfigurationError, DatasetError
from contracts.signatures import FAMILIES
from drift.vector import VectorReference
from exporter.export import COARSER, _default, export, export_source
from exporter.reference import SHARED_SHIFT
from exporter.settings import ExportSettings, Limits
from exporter.source import Source, tensors
from exporter.variants import planned
from runtime.bundle import Bundle, open_bundle
from runtime.machine import device_class
from runtime.metrics import task_metrics
from runtime.preprocessing import decode, prepare
from runtime.probe import probe
from runtime.session import Session
from runtime.targets.openvino_cpu import OpenvinoCpu
from tests.simulators.small_network import LABELS, SIDE, Picture, small_network
from trainer.image import pixels_of

INT8, FP32 = "onnxruntime-cpu/int8", "onnxruntime-cpu/fp32"
OTHER_INT8, OTHER_FP32 = (
    [each.name for each in planned({precision: "model.onnx"}) if not each.name.startswith("onnxruntime-cpu/")]
    for precision in ("int8", "fp32")
)
QUICK = ExportSettings(calibration_images=8, correction_images=4, latency_runs=2, reference_images=20, fault_images=0)


def test_bundle_opens_and_every_variant_passes_its_probe(exported: tuple[Bundle, list[str]]) -> None:
    bundle = open_bundle(exported[0].path, expected_hash=exported[0].hash)
    names = [variant.name for variant in bundle.manifest.variants]
    assert names == [INT8, *OTHER_INT8, FP32, *OTHER_FP32]
    for name in names:
        probe(bundle, Session(bundle, variant=name))


def test_a_variant_that_passes_serves_and_its_figures_are_the_bundles(exported: tuple[Bundle, list[str]]) -> None:
    manifest = exported[0].manifest
    assert all(each.passed and each.reasons == () for each in manifest.certificates)
    default = manifest.certificate(manifest.default_variant)
    assert default is not None
    assert manifest.test_metrics == default.metrics


def certificate(variant: str, *, passed: bool, example: Certificate) -> Certificate:
    reasons = () if passed else ("it answers otherwise",)
    return example.model_copy(update={"variant": variant, "passed": passed, "reasons": reasons})


def test_the_fastest_that_passes_serves(exported: tuple[Bundle, list[str]]) -> None:
    example = exported[0].manifest.certificates[0]
    seconds = {"a": [1.0] * 9, "b": [0.97] * 9, "c": [0.7] * 9, "d": [0.1] * 9}
    certificates = [certificate(name, passed=name != "d", example=example) for name in seconds]
    assert _default(certificates, seconds)[0].variant == "c"
    assert _default(certificates[:2], seconds)[0].variant == "a"
    with pytest.raises(BundleError, match="no variant answers like the trained model: it answers otherwise"):
        _default(certificates[3:], seconds)


def test_without_openvino_the_same_files_serve_in_onnxruntime(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenvinoCpu, "unavailable", lambda self: "OpenVINO is not installed")
    bundle = export_source(source, tmp_path / "bundle", settings=QUICK)
    assert [variant.name for variant in bundle.manifest.variants] == [INT8, FP32]
    assert all("openvino" not in name for sample in bundle.manifest.golden_samples for name in sample.expected)


def test_certificate_is_for_this_class_of_devices_with_all_its_figures(exported: tuple[Bundle, list[str]]) -> None:
    by_name = {each.variant: each for each in exported[0].manifest.certificates}
    for each in by_name.values():
        assert each.device_class == device_class()
        assert each.machine["runtime"].startswith(each.variant.partition("/")[0])
        assert each.mean_probability_difference is not None
        assert each.mean_probability_difference <= each.max_probability_difference
        assert each.calibration is not None
        assert each.embedding_shift is not None
    assert by_name[FP32].embedding_shift < 1e-4 < by_name[INT8].embedding_shift < 0.2  # type: ignore[operator]
    assert abs(by_name[FP32].calibration.error - by_name[FP32].calibration.reference_error) < 1e-4  # type: ignore[union-attr]


def test_bundle_knows_what_camera_faults_do_to_its_own_pictures(exported: tuple[Bundle, list[str]]) -> None:
    reference = exported[0].manifest.drift_reference
    known = reference.signatures
    assert known is not None
    assert {fault.family for fault in known.faults} == set(FAMILIES)
    assert set(known.classes) == set(LABELS)
    mean = reference.names.index("mean")
    dark, bright = (np.array(fault.points)[:, mean] for fault in known.faults[:2])
    assert np.all(np.diff(dark) < 0.0)
    assert np.all(np.diff(bright) > 0.0)
    assert dark[0] < 0.0 < bright[0]
    assert len(known.model_dump_json()) < 64_000


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
    serving, means = bundle.manifest.default_variant, {}  # of equally fast ones, whichever was measured first
    other = INT8 if serving.endswith("/fp32") else FP32
    for name in (serving, other):
        session = Session(bundle, variant=name)
        vectors = [
            reference.vector(decode(each.path.read_bytes(), source.preprocessing), session.infer(tensor))
            for each, tensor in zip(source.train, tensors(source.train, source.preprocessing), strict=True)
        ]
        assert vectors[0].shape == (len(names),)
        first = names.index("pc-01")
        means[name] = np.abs(np.mean(vectors, axis=0)[first : first + reference.components]).max()
    assert means[serving] < 1e-3 < means[other]


def test_every_variant_has_a_reference_that_its_own_embeddings_fit(
    exported: tuple[Bundle, list[str]], source: Source
) -> None:
    bundle = exported[0]
    default = bundle.manifest.drift_reference
    for variant in bundle.manifest.variants:
        mine = bundle.manifest.drift_reference_of(variant.name)
        assert mine.names == default.names
        reference = VectorReference.load(bundle.path / mine.file)
        session = Session(bundle, variant=variant.name)
        answers = np.stack([session.infer(each).embedding for each in tensors(source.train, source.preprocessing)])
        away = np.abs((answers @ reference.projection - reference.offset).mean(axis=0)).max()
        assert away < 2 * SHARED_SHIFT, variant.name
    files = {bundle.manifest.drift_reference_of(each.name).file for each in bundle.manifest.variants}
    assert len(files) < len(bundle.manifest.variants)  # fp32 is the same on every runtime


def test_progress_tells_the_story_in_order(exported: tuple[Bundle, list[str]]) -> None:
    said = exported[1]
    assert said[0] == "writing the float model as ONNX"
    assert said[-1] == "bundle written"
    assert any(f"{exported[0].manifest.default_variant} serves: " in line for line in said)


def test_a_float_variant_serves_with_the_reason_when_int8_does_not_pass(source: Source, tmp_path: Path) -> None:
    strict = Limits(agreement=1.0, agreement_at_least=1.0)
    settings = QUICK.model_copy(update={"limits": strict, "float_budget": 0.0})
    bundle = export_source(replace(source, module=fragile(source)), tmp_path / "bundle", settings=settings)
    for each in bundle.manifest.certificates:
        assert each.passed == (not each.variant.endswith("/int8"))
        if not each.passed:
            assert "most probable class is that of the float model on" in each.reasons[0]
            assert "held-out images" in each.reasons[-1]
    coarser = {each.name for each in planned(COARSER)}
    assert {each.variant for each in bundle.manifest.certificates} == {INT8, *OTHER_INT8, FP32, *OTHER_FP32, *coarser}
    assert bundle.manifest.default_variant in {FP32, *OTHER_FP32, *coarser}
    for name in coarser:
        certificate = bundle.manifest.certificate(name)
        assert certificate is not None
        assert certificate.embedding_shift > 1e-4  # type: ignore[operator]  # it does compute in bfloat16


def test_layers_that_eight_bits_would_spoil_stay_in_float_and_are_named(source: Source, tmp_path: Path) -> None:
    bundle = export_source(replace(source, module=fragile(source)), tmp_path / "bundle", settings=QUICK)
    made = bundle.manifest.quantisation
    assert made is not None
    certificate = bundle.manifest.certificate(INT8)
    assert certificate is not None
    assert certificate.passed
    assert made.drop - made.drop_error <= made.max_drop
    assert 0 < made.float_share <= QUICK.float_budget
    kept = {layer.name for layer in made.layers if layer.kept_float}
    assert kept <= set(made.kept_float)
    assert made.layers[0].name in kept  # the one that eight bits hurt most


def test_export_says_how_its_int8_file_was_made(exported: tuple[Bundle, list[str]], source: Source) -> None:
    made = exported[0].manifest.quantisation
    assert made is not None
    errors = {each.calibrator: each.error for each in made.calibrators}
    assert set(errors) == {"minmax", "percentile", "mse"}
    assert errors[made.calibrator] == min(errors.values())
    assert made.images == len(source.validation)  # every training image calibrated; none is of the test split
    assert made.layers == ()  # int8 keeps within its drop, so nobody had to look
    assert made.reasons == ()


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
