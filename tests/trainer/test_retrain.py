"""A retrain order: the old images and the new labels make the successor; the gate's labels do nothing."""

from pathlib import Path

import pytest

from contracts.errors import ConfigurationError, OrderError
from tests.trainer.conftest import order_for, write_labels
from trainer.retrain import retrain
from trainer.trained import TrainedModel


@pytest.fixture(scope="module")
def second_model(first_model: TrainedModel, workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    folder = tmp_path_factory.mktemp("order")
    return retrain(order_for(write_labels(folder / "labels"), first_model), workspace, folder / "out")


def test_successor_knows_its_lineage(first_model: TrainedModel, second_model: TrainedModel) -> None:
    record = second_model.record
    assert record.lineage.order_id == "order-7"
    assert record.lineage.parent_bundle == "a" * 64
    assert second_model.snapshot.parent == first_model.snapshot.hash
    assert second_model.snapshot.of("test") == first_model.snapshot.of("test")


def test_successor_is_better_under_the_new_light(first_model: TrainedModel, second_model: TrainedModel) -> None:
    from runtime.metrics import task_metrics
    from trainer.evaluate import predict

    gate = second_model.snapshot.of("gate")
    assert len(gate) == 24

    def quality(model: TrainedModel) -> float:
        logits = predict(model.module, gate, model.record.preprocessing) / model.record.temperature
        metrics = task_metrics(logits.softmax(1).numpy(), [example.label for example in gate], model.record)
        return metrics.balanced_accuracy or 0.0

    assert quality(second_model) > quality(first_model)


def test_labels_of_the_gate_change_nothing(
    first_model: TrainedModel, second_model: TrainedModel, workspace: Path, tmp_path: Path
) -> None:
    labels = write_labels(tmp_path / "labels", gate_wrong=True)
    poisoned = retrain(order_for(labels, first_model), workspace, tmp_path / "out")
    assert poisoned.record.model_sha256 == second_model.record.model_sha256
    assert poisoned.snapshot.hash != second_model.snapshot.hash


def test_images_stay_when_the_buffer_forgets_them(second_model: TrainedModel, workspace: Path) -> None:
    new = [example for example in second_model.snapshot.examples if example.attributes.get("order") == "order-7"]
    assert len(new) == 48
    assert all(example.path.is_relative_to(workspace.resolve()) for example in new)


def test_order_without_trainable_labels_fails(first_model: TrainedModel, workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(OrderError, match="no label that may be trained on"):
        retrain(order_for(write_labels(tmp_path, only_gate=True), first_model), workspace, tmp_path / "out")


def test_order_in_an_empty_workspace_says_what_is_missing(first_model: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="train a first model"):
        retrain(order_for(tmp_path / "labels.csv", first_model), tmp_path, tmp_path / "out")
