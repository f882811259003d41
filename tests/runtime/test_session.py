"""A session answers what the bundle promises, or refuses the bundle."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from contracts.errors import BundleError
from runtime.bundle import Bundle
from runtime.preprocessing import prepare
from runtime.session import Session, Signature, runtime_name, softmax
from tests.simulators.small_bundle import SIDE, model_bytes, picture, write_small_bundle

SIGNATURE = Signature(labels=2, height=SIDE, width=SIDE, embedding_width=8)


def load(data: bytes, signature: Signature = SIGNATURE, temperature: float = 1.0) -> Session:
    return Session.of_model(data, variant="onnxruntime-cpu/fp32", signature=signature, temperature=temperature)


def image(seed: int = 0) -> NDArray[np.float32]:
    values: NDArray[np.float32] = np.random.default_rng(seed).normal(0, 1, (1, 3, SIDE, SIDE)).astype(np.float32)
    return values


def test_bright_is_a_scratch_and_dark_is_good(small_bundle: Bundle) -> None:
    session, spec = Session(small_bundle), small_bundle.manifest.preprocessing
    dark = session.infer(prepare(picture(60), spec))
    bright = session.infer(prepare(picture(200), spec))
    assert dark.probabilities[0] > 0.9
    assert bright.probabilities[1] > 0.9
    assert dark.logits.shape == (2,)
    assert dark.embedding.shape == (8,)
    assert {dark.logits.dtype, dark.probabilities.dtype, dark.embedding.dtype} == {np.dtype(np.float32)}


def test_probabilities_are_the_softmax_of_the_logits_over_the_temperature() -> None:
    warm, plain = load(model_bytes(4.0, 0), temperature=2.5), load(model_bytes(4.0, 0))
    answer = warm.infer(image())
    assert np.array_equal(answer.logits, plain.infer(image()).logits)
    assert answer.probabilities == pytest.approx(softmax(answer.logits / 2.5), abs=1e-6)
    assert answer.probabilities.sum() == pytest.approx(1.0)


def test_softmax_stands_large_logits() -> None:
    assert softmax(np.array([1e4, -1e4], np.float32)).tolist() == [1.0, 0.0]


def test_unknown_variant_names_those_there_are(small_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"no variant 'tensorrt/int8'.*onnxruntime-cpu/fp32"):
        Session(small_bundle, variant="tensorrt/int8")


def test_variant_for_another_runtime_is_refused(tmp_path: Path) -> None:
    variants = [{"target": "abacus", "precision": "fp32", "file": "model.onnx"}]
    bundle = write_small_bundle(tmp_path / "b", variants=variants, default_variant="abacus/fp32")
    with pytest.raises(BundleError, match=r"does run here: abacus/fp32: this version knows no target 'abacus'"):
        Session(bundle)
    with pytest.raises(BundleError, match=r"abacus/fp32 does not run here: this version knows no target"):
        Session(bundle, variant="abacus/fp32")


def test_variant_of_an_unknown_target_is_passed_over_for_one_that_runs(tmp_path: Path) -> None:
    variants = [
        {"target": "abacus", "precision": "int8", "file": "model.onnx"},
        {"target": "onnxruntime-cpu", "precision": "fp32", "file": "model.onnx"},
    ]
    bundle = write_small_bundle(tmp_path / "b", variants=variants, default_variant="abacus/int8")
    session = Session(bundle)
    assert session.variant == "onnxruntime-cpu/fp32"
    assert session.runtime == runtime_name()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": 3}, r"logits must be tensor\(float\) \[1, 3\]"),
        ({"embedding_width": 9}, r"embedding must be tensor\(float\) \[1, 9\]"),
        ({"width": 64}, r"image must be tensor\(float\) \[1, 3, 32, 64\]"),
    ],
)
def test_model_of_another_shape_is_refused(change: dict[str, int], message: str) -> None:
    values = {"labels": 2, "height": SIDE, "width": SIDE, "embedding_width": 8}
    with pytest.raises(BundleError, match=message):
        load(model_bytes(4.0, 0), Signature(**{**values, **change}))


def test_file_that_is_no_model_is_refused() -> None:
    with pytest.raises(BundleError, match="not an ONNX model"):
        load(b"\x00" * 100)


def broken_model(value: float = 1.0, operator: str = "Mul") -> bytes:
    """logits = image mean * value, or a node of an unknown kind."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
        helper.make_node(operator, ["embedding", "factor"], ["logits"]),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in ("logits", "embedding")]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])]
    weights = [numpy_helper.from_array(np.full((1, 3), value, np.float32), "factor")]
    graph = helper.make_graph(nodes, "broken", inputs, outputs, weights)
    data: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return data


def test_model_that_does_not_load_is_refused_in_one_line() -> None:
    with pytest.raises(BundleError, match="does not load") as caught:
        load(broken_model(operator="Gelu"), Signature(labels=3, height=SIDE, width=SIDE, embedding_width=3))
    assert "\n" not in str(caught.value)


def test_answer_that_is_not_finite_is_refused() -> None:
    session = load(broken_model(float("nan")), Signature(labels=3, height=SIDE, width=SIDE, embedding_width=3))
    with pytest.raises(BundleError, match="not finite"):
        session.infer(image())


@pytest.mark.parametrize("tensor", [np.zeros((1, 3, 8, 8), np.float32), np.zeros((1, 3, SIDE, SIDE), np.float64)])
def test_input_of_another_shape_or_type_is_refused(tensor: NDArray[np.float32]) -> None:
    with pytest.raises(BundleError, match="takes"):
        load(model_bytes(4.0, 0)).infer(tensor)


def slow_model(layers: int = 200) -> bytes:
    """Convolutions that take seconds altogether, each of them little."""
    kernel = np.random.default_rng(0).normal(0, 0.01, (64, 64, 3, 3)).astype(np.float32)
    first = np.random.default_rng(1).normal(0, 0.1, (64, 3, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["image", "first"], ["x0"], pads=[1, 1, 1, 1])]
    for number in range(layers):
        nodes.append(helper.make_node("Conv", [f"x{number}", "kernel"], [f"x{number + 1}"], pads=[1, 1, 1, 1]))
    nodes += [
        helper.make_node("GlobalAveragePool", [f"x{layers}"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
        helper.make_node("Relu", ["embedding"], ["logits"]),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in ("logits", "embedding")]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 256, 256])]
    weights = [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(first, "first")]
    graph = helper.make_graph(nodes, "slow", inputs, outputs, weights)
    data: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return data


def test_model_that_takes_too_long_is_stopped() -> None:
    session = load(slow_model(), Signature(labels=64, height=256, width=256, embedding_width=64))
    with pytest.raises(BundleError, match=r"does not answer within 0\.05 s"):
        session.infer(np.zeros((1, 3, 256, 256), np.float32), limit_seconds=0.05)


def test_limit_that_is_kept_leaves_no_thread_behind() -> None:
    import threading
    import time

    session = load(model_bytes(4.0, 0))
    before = threading.active_count()
    for _ in range(20):
        session.infer(image(), limit_seconds=60.0)
    patience = time.monotonic() + 10.0  # a cancelled timer's thread ends by itself, soon
    while threading.active_count() > before and time.monotonic() < patience:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_threads_that_share_a_session_get_their_own_answers() -> None:
    session = load(model_bytes(4.0, 0))
    images = [image(seed) for seed in range(64)]
    alone = [session.infer(each).logits for each in images]
    with ThreadPoolExecutor(8) as pool:
        together = [answer.logits for answer in pool.map(session.infer, images)]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_external_data_is_not_read_even_where_it_lies_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx

    made = onnx.load_model_from_string(model_bytes(4.0, 0))
    onnx.save_model(made, tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match="keeps weights in another file"):
        load((tmp_path / "model.onnx").read_bytes())


def test_runtime_is_named_with_its_version() -> None:
    assert runtime_name().startswith("onnxruntime-cpu 1.")
