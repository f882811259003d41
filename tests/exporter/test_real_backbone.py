"""The ImageNet backbone on real images: the hard case for eight bits (grey, smooth pictures, depthwise kernels)."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from contracts.bundle import Licence, Lineage
from contracts.preprocessing import Preprocessing
from contracts.thresholds import Thresholds
from exporter.export import export_source
from exporter.graph import export_graph
from exporter.quantise import quantise, sensitive_stem, simplify
from exporter.settings import ExportSettings
from exporter.source import Source, tensors
from lineside.models import chosen_base
from tests.simulators.small_network import Picture
from trainer.bases.backbone import load_base_model
from trainer.network import Network

PER_CLASS = 40


@pytest.fixture(scope="module")
def source(data_folder: Path) -> Source:
    """MobileNetV2 with a linear head fitted to the frozen features of mono solar cells."""
    folder = data_folder / "elpv"
    with (folder / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["site"] == "mono"]
    by_label = {label: [r for r in rows if r["label"] == label] for label in ("defective", "functional")}
    chance = np.random.default_rng(0)
    drawn = {label: chance.permutation(len(found))[: 2 * PER_CLASS] for label, found in by_label.items()}
    pictures = {
        label: [Picture(folder / by_label[label][index]["path"], label) for index in indices]
        for label, indices in drawn.items()
    }
    base = chosen_base(weights=data_folder / "weights" / "mobilenetv2_100_same.in1k.safetensors")
    backbone, found = load_base_model(base)
    train = [picture for members in pictures.values() for picture in members[:PER_CLASS]]
    test = [picture for members in pictures.values() for picture in members[PER_CLASS:]]
    made = Source(
        module=Network(backbone, 2).eval(),
        site="mono",
        product="cell",
        labels=tuple(pictures),
        good_labels=("functional",),
        preprocessing=Preprocessing(width=base.width, height=base.height, mean=base.mean, std=base.std),
        thresholds=Thresholds(ng=0.5, review_from=0.5),
        temperature=1.0,
        embedding_width=1280,
        licence=Licence(production=False),
        lineage=Lineage(
            snapshot_hash="a" * 64,
            split_hash="b" * 64,
            base_model=base.id,
            base_model_licence="Apache-2.0",
            base_model_sha256=found,
            code_version="0",
        ),
        train=train,
        validation=[],
        test=test,
    )
    fit(made)
    return made


def fit(source: Source) -> None:
    """Ridge regression on standardised features, as steep as a trained head."""
    network = source.module
    assert isinstance(network, Network)
    with torch.inference_mode():
        rows = [network(torch.from_numpy(tensor))[1][0] for tensor in tensors(source.train, source.preprocessing)]
        features = torch.stack(rows)
        network.centre.copy_(features.mean(0))
        network.scale.copy_(1.0 / (features.std(0) + 1e-3))
        inputs = (features - network.centre) * network.scale  # [n, 1280]
        wanted = torch.tensor([[4.0 if label == p.label else -4.0 for label in source.labels] for p in source.train])
        kernel = inputs @ inputs.T
        ridge = 0.1 * kernel.trace() / len(rows) * torch.eye(len(rows))
        network.head.weight.data.copy_((inputs.T @ torch.linalg.solve(kernel + ridge, wanted)).T)
        network.head.bias.data.zero_()


def test_int8_of_the_imagenet_backbone_stays_close_on_smooth_grey_pictures(source: Source, tmp_path: Path) -> None:
    settings = ExportSettings(calibration_images=48, correction_images=24, latency_runs=5, fault_images=0)
    bundle = export_source(source, tmp_path / "bundle", settings=settings)
    by_name = {each.variant: each for each in bundle.manifest.certificates}
    int8, fp32 = by_name["onnxruntime-cpu/int8"], by_name["onnxruntime-cpu/fp32"]
    assert bundle.manifest.default_variant.endswith("/int8")
    assert fp32.argmax_agreement == 1.0
    assert fp32.max_probability_difference < 0.01
    assert int8.argmax_agreement >= 0.93  # without the correction of the biases it is about 0.7
    assert int8.metrics.auroc is not None
    assert int8.reference_metrics.auroc is not None
    assert int8.metrics.auroc >= int8.reference_metrics.auroc - 0.01


def test_all_but_the_stem_runs_in_int8(source: Source, tmp_path: Path) -> None:
    images = list(tensors(source.train[:2], source.preprocessing))
    export_graph(source.module, source.signature, tmp_path / "float.onnx")
    simplify(tmp_path / "float.onnx", tmp_path / "simplified.onnx")
    kept = sensitive_stem(tmp_path / "simplified.onnx")
    quantise(tmp_path / "simplified.onnx", tmp_path / "int8.onnx", images, keep_float=kept)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(tmp_path / "int8.onnx", options, providers=["CPUExecutionProvider"])
    fused = Counter(node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node)
    assert (fused["QLinearConv"], fused["QLinearAdd"], fused["Conv"]) == (50, 10, 2)
