"""Answers over mirrorings: the bundle gives the mean, whichever way the part comes, and the line is drawn for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from contracts.errors import ConfigurationError
from exporter.export import export
from runtime.preprocessing import decode, prepare
from runtime.session import Session
from tests.trainer.conftest import shorten
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.evaluate import predict
from trainer.network import Network
from trainer.run import load_run, train
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot
from trainer.trained import TrainedModel
from trainer.views import FLIPS, flipped


@pytest.fixture(scope="module")
def averaging(snapshot: Snapshot, small_base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch, "full", fewest_steps=24, most_steps=24, passes=1)
        settings = TrainingSettings(strategy="full", flips="square", average=True)
        return train(snapshot, small_base, settings=settings, out=tmp_path_factory.mktemp("averaging"))


def test_a_mirrored_part_gets_the_same_answer(small_base: BaseModel) -> None:
    torch.manual_seed(0)
    backbone, _ = load_base_model(small_base)
    plain = Network(backbone, 2).eval()
    steady = Network(backbone, 2, looks=FLIPS["square"]).eval()
    steady.head = plain.head
    x = torch.randn(3, 3, 48, 48)
    with torch.inference_mode():
        logits, embedding = steady(x)
        each = [plain(flipped(x, look)) for look in FLIPS["square"]]
        assert torch.allclose(logits, torch.stack([one for one, _ in each]).mean(0), atol=1e-5)
        assert torch.allclose(embedding, torch.stack([one for _, one in each]).mean(0), atol=1e-5)
        assert torch.allclose(steady(flipped(x, "tv"))[0], logits, atol=1e-5)
        assert not torch.allclose(plain(flipped(x, "tv"))[0], plain(x)[0], atol=1e-5)


def test_tiles_of_each_mirroring_make_one_answer(small_base: BaseModel) -> None:
    torch.manual_seed(0)
    backbone, _ = load_base_model(small_base)
    tiled = Network(backbone, 2, inputs=2, good=[True, False], looks=("", "h")).eval()
    x = torch.randn(6, 3, 48, 48)  # three images
    with torch.inference_mode():
        logits, embedding = tiled(x)
        assert logits.shape == (3, 2)
        assert embedding.shape[0] == 3
        alone = torch.cat([tiled(x[row : row + 2])[0] for row in (0, 2, 4)])
        assert torch.allclose(logits, alone, atol=1e-5)


def test_run_keeps_its_looks_and_draws_its_line_for_them(averaging: TrainedModel) -> None:
    again = load_run(averaging.folder)
    assert again.record.looks == FLIPS["square"]
    test, spec = again.snapshot.of("test"), again.record.preprocessing
    assert torch.equal(predict(again.module, test, spec), predict(averaging.module, test, spec))


def test_card_says_over_how_many_looks(averaging: TrainedModel) -> None:
    said = (averaging.folder / "card.md").read_text(encoding="utf-8")
    assert f"the mean over {len(averaging.record.looks)} mirrorings" in said


def test_bundle_answers_with_the_mean(averaging: TrainedModel, tmp_path: Path) -> None:
    bundle = export(averaging, tmp_path / "bundle")
    session, spec = Session(bundle, variant="onnxruntime-cpu/fp32"), bundle.manifest.preprocessing
    tensor = prepare(decode(averaging.snapshot.of("test")[0].path.read_bytes(), spec), spec)
    with torch.inference_mode():
        expected = averaging.module(torch.from_numpy(tensor))[0][0].numpy()
    assert session.infer(tensor).logits == pytest.approx(expected, abs=1e-3)
    turned = np.ascontiguousarray(tensor[:, :, ::-1])
    assert session.infer(turned).logits == pytest.approx(expected, abs=1e-3)


def test_it_is_said_where_there_was_nothing_to_average_over(
    snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, "full", fewest_steps=2, most_steps=2, passes=1)
    settings = TrainingSettings(strategy="full", flips="none", average=True)
    model = train(snapshot, small_base, settings=settings, out=tmp_path)
    assert any("nothing to average over" in sentence for sentence in model.record.cannot_promise)


def test_strategy_without_pixels_cannot_average(snapshot: Snapshot, small_base: BaseModel, tmp_path: Path) -> None:
    for name in ("tail", "auto"):
        settings = TrainingSettings(strategy="tail" if name == "tail" else "auto", average=True)
        with pytest.raises(ConfigurationError, match=rf"not {name}.*--strategy full"):
            train(snapshot, small_base, settings=settings, out=tmp_path)
