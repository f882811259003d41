"""Every runtime answers the same and keeps the same promises, or says why it is not there."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from contracts.errors import BundleError
from runtime.cuda import CudaError, driver
from runtime.session import Session, Signature
from runtime.targets import Builds, Model, Target, find, onnxruntime_cpu, targets, why_not
from tests.runtime.test_session import SIGNATURE, broken_model, image, slow_model
from tests.simulators.small_bundle import SIDE, model_bytes

NAMES = sorted(targets())
DIRECT = [name for name in NAMES if not isinstance(targets()[name], Builds)]
_INSTALLED = {"onnxruntime-cpu", "openvino-cpu"}  # by `lineside[all]`; the others need a device


@pytest.fixture(
    params=[name if name in _INSTALLED else pytest.param(name, marks=pytest.mark.optional) for name in DIRECT]
)
def target(request: pytest.FixtureRequest) -> Target:
    """Each target that runs here; the others skip with their reason."""
    reason = why_not(request.param)
    if reason is not None:
        pytest.skip(f"{request.param}: {reason}")
    return targets()[request.param]


def load(target: Target, data: bytes, signature: Signature = SIGNATURE) -> Session:
    return Session.of_model(data, variant=f"{target.name}/fp32", signature=signature)


def test_targets_are_found_by_listing_the_package() -> None:
    modules = {path.stem for path in Path("runtime/targets").glob("*.py")} - {"__init__"}
    assert {name.replace("-", "_") for name in NAMES} == modules
    assert "onnxruntime-cpu" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_target_that_is_not_there_says_what_to_do(name: str) -> None:
    reason = why_not(name)
    if reason is None:
        assert find(name).version()[0].isdigit()
    else:
        assert "install" in reason
        with pytest.raises(BundleError, match="install"):
            find(name)


def test_answers_are_those_of_onnxruntime(target: Target) -> None:
    mine, other = load(target, model_bytes(4.0, 0)), load(targets()["onnxruntime-cpu"], model_bytes(4.0, 0))
    for seed in range(5):
        one, two = mine.infer(image(seed)), other.infer(image(seed))
        assert one.logits == pytest.approx(two.logits, abs=1e-4)
        assert one.embedding == pytest.approx(two.embedding, abs=1e-4)
    assert mine.runtime == f"{target.name} {target.version()}"


@pytest.mark.parametrize("threads", [1, 2])
def test_what_was_loaded_in_the_background_answers_as_before(target: Target, threads: int) -> None:
    data = model_bytes(4.0, 0)
    runner = target.open(Model(data, "m", "fp32", threads, background=True))
    assert np.array_equal(runner.run(image(), None)["logits"][0], load(target, data).infer(image()).logits)


@pytest.mark.optional
def test_openvino_compiles_behind_the_line_only_where_its_threads_do_not_compute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if (reason := why_not("openvino-cpu")) is not None:
        pytest.skip(reason)
    from runtime.targets import openvino_cpu

    behind: list[int] = []
    monkeypatch.setattr(openvino_cpu, "behind", lambda call: (behind.append(threads), call())[1])
    for threads, background in ((1, True), (2, True), (1, False)):
        find("openvino-cpu").open(Model(model_bytes(4.0, 0), "m", "fp32", threads, background=background))
    assert behind == [1]


def test_another_signature_is_refused(target: Target) -> None:
    with pytest.raises(
        BundleError, match=r"embedding must be tensor\(float\) \[1, 9\], it is tensor\(float\) \[1, 8\]"
    ):
        load(target, model_bytes(4.0, 0), Signature(labels=2, height=SIDE, width=SIDE, embedding_width=9))


def test_a_foreign_operator_is_refused_before_the_runtime_sees_it(target: Target) -> None:
    with pytest.raises(BundleError, match="not among those a bundle may use"):
        load(target, broken_model(operator="Loop"))


def test_a_graph_that_does_not_load_is_refused_in_one_line(target: Target) -> None:
    with pytest.raises(BundleError, match="does not load") as caught:
        load(target, broken_model(operator="Gelu"), Signature(labels=3, height=SIDE, width=SIDE, embedding_width=3))
    assert "\n" not in str(caught.value)


def test_a_slow_model_is_stopped_and_the_next_answer_is_right(target: Target) -> None:
    session = load(target, slow_model(), Signature(labels=64, height=256, width=256, embedding_width=64))
    with pytest.raises(BundleError, match=r"does not answer within 0\.05 s"):
        session.infer(np.zeros((1, 3, 256, 256), np.float32), limit_seconds=0.05)
    quick = load(target, model_bytes(4.0, 0))
    assert np.array_equal(quick.infer(image(), limit_seconds=60.0).logits, quick.infer(image()).logits)


def test_threads_get_their_own_answers(target: Target) -> None:
    session = load(target, model_bytes(4.0, 0))
    images = [image(seed) for seed in range(64)]
    alone = [session.infer(each).logits for each in images]
    with ThreadPoolExecutor(8) as pool:
        together = [answer.logits for answer in pool.map(session.infer, images)]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_an_answer_stays_what_it_was_when_the_next_image_comes(target: Target) -> None:
    session = load(target, model_bytes(4.0, 0))
    first = session.infer(image(1))
    kept: NDArray[np.float32] = first.logits.copy()
    session.infer(image(2))
    assert np.array_equal(first.logits, kept)


@pytest.mark.optional
def test_tensorrt_that_is_not_there_neither_finds_nor_builds_an_engine(tmp_path: Path) -> None:
    if why_not("tensorrt") is None:
        pytest.skip("TensorRT is here")
    tensorrt = targets()["tensorrt"]
    assert isinstance(tensorrt, Builds)
    assert tensorrt.device_class() == "nvidia"
    with pytest.raises(BundleError, match="tensorrt/int8 does not run here: TensorRT is not installed"):
        Session.of_model(model_bytes(4.0, 0), variant="tensorrt/int8", signature=SIGNATURE)


@pytest.mark.optional
def test_without_a_driver_cuda_says_what_to_do() -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("there is a device")
    with pytest.raises(CudaError, match=r"install NVIDIA's driver|cuInit"):
        driver()


@pytest.mark.optional
def test_tensorrt_builds_an_engine_and_answers_from_it(tmp_path: Path) -> None:
    if (reason := why_not("tensorrt")) is not None:
        pytest.skip(reason)
    tensorrt, data = targets()["tensorrt"], model_bytes(4.0, 0)
    assert isinstance(tensorrt, Builds)
    with pytest.raises(BundleError, match="has no TensorRT engine on this device yet"):
        tensorrt.open(Model(data, "m", "fp32", 1, engines=tmp_path / "engines"))
    phases: list[str] = []

    def progress(phase: str, share: float) -> bool:
        phases.append(phase)
        return 0.0 <= share <= 1.0

    tensorrt.build(data, precision="fp32", file="m", engines=tmp_path / "engines", progress=progress)
    assert phases
    assert tensorrt.built(data, precision="fp32", engines=tmp_path / "engines")
    session = Session.of_model(data, variant="tensorrt/fp32", signature=SIGNATURE, engines=tmp_path / "engines")
    other = load(targets()["onnxruntime-cpu"], data)
    assert session.infer(image()).logits == pytest.approx(other.infer(image()).logits, abs=1e-4)


def test_openvino_computes_fp32_in_fp32_and_says_so_otherwise() -> None:
    if (reason := why_not("openvino-cpu")) is not None:
        pytest.skip(reason)
    from runtime.machine import flags
    from runtime.targets import openvino_cpu

    data = slow_model(3)
    compiled = openvino_cpu._compile(data, 1, "f32")
    assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
    assert not openvino_cpu.precisions_of(compiled) & {"bf16", "f16"}
    if "avx512_bf16" not in flags():
        with pytest.raises(BundleError, match="does not compute in bf16 here"):
            find("openvino-cpu").open(Model(data, "m", "bf16", 1))
        return
    assert "bf16" in openvino_cpu.precisions_of(openvino_cpu._compile(data, 1, "bf16"))


def test_openvino_that_computes_more_coarsely_than_asked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    if (reason := why_not("openvino-cpu")) is not None:
        pytest.skip(reason)
    from runtime.targets import openvino_cpu

    monkeypatch.setattr(openvino_cpu, "precisions_of", lambda model: {"f32", "bf16"})
    with pytest.raises(BundleError, match="would compute in bf16 although f32 was asked for"):
        find("openvino-cpu").open(Model(model_bytes(4.0, 0), "m", "fp32", 1))


@pytest.mark.parametrize(("largest", "exact"), [(65, True), (64, False), (-65, True), (-64, False)])
def test_products_are_exact_where_the_weights_could_saturate(
    largest: int, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[onnxruntime.SessionOptions] = []
    monkeypatch.setattr(onnxruntime_cpu, "saturates_int8", lambda: True)
    monkeypatch.setattr(onnxruntime_cpu, "OnnxRunner", lambda data, options, *_, **__: asked.append(options))
    find("onnxruntime-cpu").open(Model(int8_weights(largest), "m", "int8", 1))
    if exact:
        assert asked[0].get_session_config_entry("session.x64quantprecision") == "1"
    else:
        with pytest.raises(RuntimeError, match="x64quantprecision"):  # nobody asked for it
            asked[0].get_session_config_entry("session.x64quantprecision")


def int8_weights(largest: int) -> bytes:
    """A model with one int8 kernel whose largest value by magnitude is this one."""
    kernel = numpy_helper.from_array(np.array([[[[1, largest]]]], np.int8), "kernel")
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("Identity", ["image"], ["embedding"])]
    graph = helper.make_graph(
        nodes, "g", [value("image", TensorProto.FLOAT, [1])], [value("embedding", TensorProto.FLOAT, [1])], [kernel]
    )  # fmt: skip
    made: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]).SerializeToString()
    return made


def test_openvino_does_not_compute_int8_where_its_products_saturate(monkeypatch: pytest.MonkeyPatch) -> None:
    if (reason := why_not("openvino-cpu")) is not None:
        pytest.skip(reason)
    target = find("openvino-cpu")
    monkeypatch.setattr("runtime.targets.openvino_cpu.saturates_int8", lambda: False)
    assert target.precisions[:2] == ("int8", "fp32")
    assert why_not("openvino-cpu", "int8") is None
    monkeypatch.setattr("runtime.targets.openvino_cpu.saturates_int8", lambda: True)
    assert "int8" not in target.precisions
    assert "not in int8; use another variant" in (why_not("openvino-cpu", "int8") or "")
    with pytest.raises(BundleError, match="adds int8 products in 16 bits on this processor"):
        target.open(Model(model_bytes(4.0, 0), "m", "int8", 1))


WATCHED = """
import os, sys

def watch(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen"}:
        print("REACHED OUT", event, arguments[1:], file=sys.stderr)
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event in {"os.mkdir", "os.rename"}:
        print("WROTE", event, arguments[:2], file=sys.stderr)

sys.addaudithook(watch)
sys.dont_write_bytecode = True
import numpy
from runtime.session import Session, Signature
session = Session.of_model(open(sys.argv[1], "rb").read(), variant=sys.argv[2],
                           signature=Signature(labels=2, height=32, width=32, embedding_width=8))
print(session.infer(numpy.zeros((1, 3, 32, 32), numpy.float32)).logits.shape)
"""


@pytest.mark.parametrize("variant", ["onnxruntime-cpu/fp32", "openvino-cpu/fp32"])
def test_nothing_is_sent_or_written_by_a_runtime(variant: str, tmp_path: Path) -> None:
    if (reason := why_not(variant.partition("/")[0])) is not None:
        pytest.skip(reason)
    home, folder = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    folder.mkdir()
    (tmp_path / "model.onnx").write_bytes(model_bytes(4.0, 0))
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(tmp_path / "model.onnx"), variant],
        cwd=folder,
        env={"HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "(2,)" in done.stdout
    assert "REACHED OUT" not in done.stderr
    assert "WROTE" not in done.stderr
    assert list(home.iterdir()) == list(folder.iterdir()) == []
