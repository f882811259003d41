"""Which calibrator, which layers, how many: the decisions behind an int8 file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
import pytest

from exporter.graph import OPSET, export_graph
from exporter.mixed import Loss, loss, search
from exporter.quantise import OPERATORS, simplify
from exporter.ranges import CALIBRATORS, Observed, observe, ranges
from exporter.sensitivity import Layer, sensitivity
from exporter.source import Source, tensors

FLOAT = onnx.TensorProto.FLOAT
LAYERS = [Layer(str(number), (f"conv{number}", f"relu{number}"), 0.1, 0.01 * number) for number in range(8)]


class Attempts:
    """Loses one point for each of `spoilt` that is not in float; remembers what was tried last."""

    def __init__(self, spoilt: Collection[int]) -> None:
        self.spoilt = spoilt
        self.last: set[str] = set()
        self.count = 0

    def __call__(self, keep_float: Collection[str]) -> Loss:
        self.last, self.count = set(keep_float), self.count + 1
        return Loss(0.01 * sum(f"conv{number}" not in keep_float for number in self.spoilt), 0.0)


def test_fewest_layers_that_suffice_stay_in_float() -> None:
    attempt = Attempts({7, 6, 5})
    kept, found = search(LAYERS, attempt, most=0.005, budget=1.0)
    assert [layer.name for layer in kept] == ["7", "6", "5"]
    assert found.drop == 0.0
    assert attempt.last == {name for layer in kept for name in layer.nodes}


def test_budget_ends_the_search_with_the_least_loss() -> None:
    attempt = Attempts({7, 6, 5})
    kept, found = search(LAYERS, attempt, most=0.005, budget=0.2)
    assert [layer.name for layer in kept] == ["7", "6"]
    assert found == Loss(0.01, 0.0)
    assert attempt.last == {"conv7", "relu7", "conv6", "relu6"}


def test_nothing_stays_in_float_where_it_does_not_help() -> None:
    attempt = Attempts([])
    attempt.spoilt = [99]
    kept, found = search(LAYERS, attempt, most=0.005, budget=1.0)
    assert kept == []
    assert found.drop == pytest.approx(0.01)
    assert attempt.last == set()


def test_cheap_layer_goes_before_a_dear_one_of_the_same_error() -> None:
    dear, cheap = Layer("dear", ("dear",), 0.5, 0.1), Layer("cheap", ("cheap",), 0.01, 0.1)
    tried: list[Collection[str]] = []

    def attempt(keep_float: Collection[str]) -> Loss:
        tried.append(keep_float)
        return Loss(0.0 if keep_float else 1.0, 0.0)

    assert search([dear, cheap], attempt, most=0.0, budget=1.0)[0] == [cheap]


def test_toss_ups_are_not_taken_for_a_loss() -> None:
    defect = np.arange(40) < 20
    theirs, one, many = np.ones(40, bool), np.ones(40, bool), np.ones(40, bool)
    one[0], many[:8] = False, False
    assert loss(one, theirs, defect).within(0.005)
    assert not loss(many, theirs, defect).within(0.005)
    assert loss(theirs, many, defect).drop == pytest.approx(-0.2)


def test_loss_weighs_a_rare_kind_as_much_as_a_common_one() -> None:
    defect = np.arange(100) < 10
    wrong = np.ones(100, bool)
    wrong[0] = False
    assert loss(wrong, np.ones(100, bool), defect).drop == pytest.approx(0.5 / 10)


def observed(values: np.ndarray) -> Observed:  # type: ignore[type-arg]
    low, high = float(values.min()), float(values.max())
    return Observed(low, high, np.histogram(values, 2048, (low, high))[0])


def test_calibrators_differ_in_what_they_leave_out() -> None:
    values = np.append(np.random.default_rng(0).normal(size=100_000), [40.0])  # one outlier
    found = {name: ranges({"x": observed(values)}, name)["x"] for name in CALIBRATORS}
    assert found["minmax"] == (values.min(), values.max())
    assert found["minmax"][1] > found["mse"][1]
    assert found["percentile"][1] < 5
    assert all(low < 0 < high for low, high in found.values())


def test_mse_keeps_the_whole_range_of_even_values() -> None:
    values = np.linspace(0, 6, 100_000)
    assert ranges({"x": observed(values)}, "mse")["x"] == pytest.approx((0, 6))


def test_every_quantised_activation_is_observed_over_all_images(source: Source, tmp_path: Path) -> None:
    export_graph(source.module, source.signature, tmp_path / "float.onnx")
    simplify(tmp_path / "float.onnx", tmp_path / "simplified.onnx")
    images = list(tensors(source.train[:6], source.preprocessing))
    found = observe(tmp_path / "simplified.onnx", images, OPERATORS)
    assert found["image"].low == min(image.min() for image in images)
    assert found["image"].high == max(image.max() for image in images)
    alone = [observe(tmp_path / "simplified.onnx", [image], OPERATORS) for image in images]
    assert all(each.high == max(one[name].high for one in alone) for name, each in found.items())


def test_activation_that_hardly_varies_is_observed_too(tmp_path: Path) -> None:
    image, answer = (onnx.helper.make_tensor_value_info(name, FLOAT, [1, 3, 4, 4]) for name in ("image", "answer"))
    much = onnx.helper.make_tensor("much", FLOAT, [1], [1e7])  # float32 has steps of 1 there
    node = onnx.helper.make_node("Add", ["image", "much"], ["answer"])
    graph = onnx.helper.make_graph([node], "graph", [image], [answer], [much])
    opset = onnx.helper.make_opsetid("", OPSET)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), tmp_path / "add.onnx")
    some = np.zeros((1, 3, 4, 4), np.float32)
    some[0, 0, 0] = 2.0
    found = observe(tmp_path / "add.onnx", [some], OPERATORS)["answer"]
    assert (found.low, found.high) == (1e7, 1e7 + 2)
    assert (found.counts[0], found.counts[-1]) == (44, 4)


def test_layer_that_eight_bits_hurt_most_is_found(source: Source, tmp_path: Path) -> None:
    export_graph(source.module, source.signature, tmp_path / "float.onnx")
    simplify(tmp_path / "float.onnx", tmp_path / "simplified.onnx")
    images = list(tensors(source.train[:6], source.preprocessing))
    reached = ranges(observe(tmp_path / "simplified.onnx", images, OPERATORS), "minmax")
    before = sensitivity(tmp_path / "simplified.onnx", reached, images)
    assert len(before) == 4
    assert sum(layer.share for layer in before) == pytest.approx(1.0)
    spoilt = before[2].nodes[-1]
    wide = output_of(tmp_path, spoilt)
    coarse = {name: (100 * low, 100 * high) if name == wide else (low, high) for name, (low, high) in reached.items()}
    after = sensitivity(tmp_path / "simplified.onnx", coarse, images)
    assert max(after, key=lambda layer: layer.error).name == before[2].name
    assert after[2].error > 10 * before[2].error


def output_of(folder: Path, node: str) -> str:
    return next(each.output[0] for each in onnx.load(folder / "simplified.onnx").graph.node if each.name == node)
