"""Quantisation-aware training of a small run: what is learned from, what stays, and when its file is taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch

from contracts.bundle import Licence
from contracts.errors import BundleError
from exporter.export import export
from exporter.qat.learn import Learned, learn, lesson_of
from exporter.qat.rounding import ActivationRounding
from exporter.qat.route import Judged, choose, quantise_by_training
from exporter.qat.settings import QatSettings
from exporter.qat.tensorrt_rules import offences
from exporter.settings import ExportSettings, Limits
from exporter.source import Source, source_of
from runtime.session import Session
from tests.simulators.small_network import small_network
from tests.trainer.conftest import draw_plate, make_small_base, shorten
from trainer.dataset import read_manifest
from trainer.network import Network
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import take_snapshot
from trainer.trained import TrainedModel

BRIEF = QatSettings(fewest_steps=10, most_steps=10, rate=1e-3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """Of 80 plates, hardly trained."""
    folder = tmp_path_factory.mktemp("plates")
    rows = ["path,label,group,split"]
    for number in range(80):
        draw_plate(folder / f"{number}.png", spotted=number % 2 == 1, seed=number)
        split = ("train", "train", "train", "validation", "test")[number % 5]
        rows.append(f"{number}.png,{'spot' if number % 2 else 'good'},lot-{number},{split}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    snapshot = take_snapshot(read_manifest(folder / "manifest.csv"), licence=Licence(), seed=0)
    settings = TrainingSettings(strategy="tail", flips="both")
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch, "tail", fewest_steps=10, most_steps=10)
        return train(snapshot, make_small_base(), settings=settings, out=folder / "run")


@pytest.fixture(scope="module")
def source(run: TrainedModel) -> Source:
    return source_of(run)


@pytest.fixture(scope="module")
def learned(source: Source) -> Learned:
    return learn(source, BRIEF, calibration=16)


def weights(network: Network) -> list[torch.Tensor]:
    return [parameter.detach() for parameter in network.parameters()]


def test_what_is_kept_is_no_worse_on_the_validation_images_than_the_start(learned: Learned) -> None:
    start = learned.tuned.checks[0]
    assert start.step == 0
    assert learned.tuned.best.held_out_loss <= start.held_out_loss
    assert learned.tuned.best.held_out_loss == min(check.held_out_loss for check in learned.tuned.checks)


def test_the_float_network_is_not_changed(source: Source, learned: Learned) -> None:
    assert isinstance(source.module, Network)
    assert not [each for each in source.module.modules() if isinstance(each, ActivationRounding)]
    assert len(source.module.stages) > 1
    assert len(learned.network.stages) == 1


def test_the_same_source_and_seed_give_the_same_weights(source: Source, learned: Learned) -> None:
    again = learn(source, BRIEF, calibration=16)
    assert all(torch.equal(*pair) for pair in zip(weights(again.network), weights(learned.network), strict=True))


def test_where_learning_brings_nothing_the_start_is_kept(source: Source) -> None:
    spoiled = learn(source, BRIEF.model_copy(update={"rate": 30.0}), calibration=16)
    assert spoiled.tuned.best.step == 0


def test_the_time_limit_ends_it(source: Source) -> None:
    said: list[float] = []
    hurried = learn(source, BRIEF.model_copy(update={"max_seconds": 1e-6}), calibration=16, tick=said.append)
    assert hurried.tuned.hurried
    assert len(said) == 1


def test_without_validation_images_the_last_weights_stay(source: Source) -> None:
    blind = learn(replace(source, validation=[]), BRIEF, calibration=16)
    assert blind.tuned.best is blind.tuned.checks[-1]
    assert blind.tuned.best.step == 10


def test_auto_keeps_plain_quantisation_where_no_image_can_tell(source: Source, tmp_path: Path) -> None:
    (tmp_path / "int8.onnx").write_bytes(b"plain")
    choice = quantise_by_training(
        replace(source, validation=[]), tmp_path / "int8.onnx", tmp_path, way="auto", settings=BRIEF, calibration=16,
        tell=lambda _: None,
    )  # fmt: skip
    assert choice.taken == "ptq"
    assert "no validation image" in choice.reason
    assert (tmp_path / "int8.onnx").read_bytes() == b"plain"


def test_the_lesson_is_the_trainers(source: Source) -> None:
    lesson = lesson_of(source, source.train)
    assert len(lesson) == len(source.train)
    assert torch.allclose(lesson.targets.sum(1), torch.ones(len(lesson)))
    first = source.labels.index(source.train[0].label)
    assert lesson.targets[0].argmax() == first


def test_a_model_of_no_training_run_is_refused(source: Source) -> None:
    other = replace(source, module=small_network())
    with pytest.raises(BundleError, match="needs the network of a training run, not SmallNetwork"):
        learn(other, BRIEF, calibration=16)


def test_auto_keeps_plain_quantisation_unless_the_loss_is_lower() -> None:
    judged = {"ptq": Judged(0.5, 0.9), "qat": Judged(0.5, 0.9), "qat, whole range": Judged(0.4, 0.9)}
    choice = choose(judged, "auto", learned=True)
    assert choice.taken == "ptq"
    assert "brought nothing" in choice.reason
    assert choose(judged, "qat", learned=False).taken == "qat"


def test_auto_takes_what_was_trained_where_the_loss_is_lower() -> None:
    judged = {"ptq": Judged(0.5, 0.9), "qat": Judged(0.49, 0.9), "qat, whole range": Judged(0.4, 0.901)}
    assert choose(judged, "auto", learned=True).taken == "qat"


def test_a_second_calibration_is_taken_for_more_than_a_fifth_of_a_point() -> None:
    judged = {"ptq": Judged(0.5, 0.9), "qat": Judged(0.49, 0.9), "qat, whole range": Judged(0.48, 0.903)}
    assert choose(judged, "auto", learned=True).taken == "qat, whole range"


def test_a_second_calibration_with_a_higher_loss_leaves_the_first_one_its_place() -> None:
    judged = {"ptq": Judged(0.5, 0.9), "qat": Judged(0.49, 0.91), "qat, whole range": Judged(0.51, 0.92)}
    assert choose(judged, "auto", learned=True).taken == "qat"
    assert choose(judged, "qat", learned=True).taken == "qat, whole range"


def test_a_start_that_was_kept_leaves_plain_quantisation() -> None:
    judged = {"ptq": Judged(0.5, 0.9), "qat": Judged(0.4, 0.95), "qat, whole range": Judged(0.4, 0.95)}
    assert choose(judged, "auto", learned=False).taken == "ptq"
    assert choose(judged, "auto", learned=True).taken == "qat"


def test_an_export_certifies_the_file_that_learned(run: TrainedModel, tmp_path: Path) -> None:
    said: list[str] = []
    quick = ExportSettings(fault_images=0,
        quantisation="qat", qat=BRIEF, calibration_images=16, correction_images=4, latency_runs=2,
        certificate_images_at_least=10, components=4, limits=Limits(agreement=0.5),
    )  # fmt: skip
    bundle = export(run, tmp_path / "bundle", settings=quick, progress=said.append)
    assert any(each.startswith("trained with rounding: loss ptq") for each in said)
    certificate = next(each for each in bundle.manifest.certificates if each.variant == "onnxruntime-cpu/int8")
    assert certificate.passed
    plain = export(run, tmp_path / "plain", settings=quick.model_copy(update={"quantisation": "ptq"}))
    assert Session(bundle, variant="onnxruntime-cpu/int8").threads == 1
    assert plain.read("model.int8.onnx") != bundle.read("model.int8.onnx")
    assert plain.read("model.fp32.onnx") == bundle.read("model.fp32.onnx")
    made, without = bundle.manifest.quantisation, plain.manifest.quantisation
    assert made is not None
    assert without is not None
    assert (made.way, made.calibrator, without.way) == ("qat", "learned", "ptq")
    assert made.way_reason in said
    file = bundle.manifest.variant("tensorrt/int8").file
    assert not offences(onnx.load_from_string(bundle.read(file)))
    assert "tensorrt/int8" not in {each.variant for each in bundle.manifest.certificates}
    assert "tensorrt/int8" not in {each.name for each in plain.manifest.variants}
