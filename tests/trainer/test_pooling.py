"""The generalised mean: what a small part of a picture does to the embedding, from training to the bundle."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from exporter.export import export
from runtime.preprocessing import decode, prepare
from runtime.session import Session
from tests.trainer.conftest import shorten
from trainer.attempt import preprocessing
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.evaluate import predict
from trainer.network import Network
from trainer.run import load_run, train
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot
from trainer.stem import Stem
from trainer.trained import TrainedModel
from trainer.views import View


@pytest.fixture(scope="module")
def pooled(snapshot: Snapshot, small_base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch, "full", fewest_steps=24, most_steps=24, passes=1)
        settings = TrainingSettings(strategy="full", flips="square", pooling="gem")
        return train(snapshot, small_base, settings=settings, out=tmp_path_factory.mktemp("pooled"))


def test_what_stands_out_moves_the_generalised_mean_more(small_base: BaseModel) -> None:
    backbone, _ = load_base_model(small_base)
    width = backbone.num_features
    even = torch.ones(1, width, 7, 7)
    spotted = even.clone()
    spotted[:, :, 3, 3] = 8.0
    mean, gem = Network(backbone, 2), Network(backbone, 2, pooling="gem")
    assert torch.allclose(mean.embed(even), gem.embed(even))
    assert torch.allclose(gem.embed(spotted), torch.full((1, width), ((48 + 8**3) / 49) ** (1 / 3)))
    assert (gem.embed(spotted) - gem.embed(even)).min() > 6 * (mean.embed(spotted) - mean.embed(even)).max()


def test_black_map_has_a_gradient_that_can_be_followed(small_base: BaseModel) -> None:
    gem = Network(load_base_model(small_base)[0], 2, pooling="gem")
    maps = torch.zeros(1, gem.head.in_features, 7, 7)
    maps[:, :, 0, 0] = 0.01
    maps.requires_grad_()
    gem.embed(maps).sum().backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()
    assert 0 < maps.grad.max() < 1


def test_kept_features_of_one_pooling_are_not_taken_for_those_of_the_other(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path
) -> None:
    examples, spec = snapshot.of("test"), preprocessing(small_base, TrainingSettings())
    backbone, _ = load_base_model(small_base)
    found = [
        Stem(Network(backbone, 2, pooling=pooling).eval(), 2, spec, base="same", folder=tmp_path)
        .features(examples, (View(0),))
        .embeddings
        for pooling in ("mean", "gem", "mean")
    ]
    assert torch.equal(found[0], found[2])
    assert not torch.allclose(found[0], found[1], atol=1e-3)


def test_run_keeps_its_pooling(pooled: TrainedModel) -> None:
    again = load_run(pooled.folder)
    assert again.record.pooling == "gem"
    test, spec = again.snapshot.of("test"), again.record.preprocessing
    assert torch.equal(predict(again.module, test, spec), predict(pooled.module, test, spec))
    again.module.pooling = "mean"
    assert not torch.allclose(predict(again.module, test, spec), predict(pooled.module, test, spec), atol=1e-3)


def test_card_says_how_it_pools(pooled: TrainedModel) -> None:
    assert "generalised mean" in (pooled.folder / "card.md").read_text(encoding="utf-8")


def test_bundle_pools_alike(pooled: TrainedModel, tmp_path: Path) -> None:
    bundle = export(pooled, tmp_path / "bundle")
    spec = bundle.manifest.preprocessing
    tensor = prepare(decode(pooled.snapshot.of("test")[0].path.read_bytes(), spec), spec)
    with torch.inference_mode():
        logits, embedding = (part[0].numpy() for part in pooled.module(torch.from_numpy(tensor)))
    found = Session(bundle, variant="onnxruntime-cpu/fp32").infer(tensor)
    assert found.logits == pytest.approx(logits, abs=1e-3)
    assert found.embedding == pytest.approx(embedding, abs=1e-3)
    certificate = next(item for item in bundle.manifest.certificates if item.variant == "onnxruntime-cpu/int8")
    assert certificate.passed
