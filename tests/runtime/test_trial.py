"""A bundle is tried in a process of its own: whatever that does, one clear error arrives here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, helper, load_model_from_string, numpy_helper

from contracts.errors import BundleError
from runtime import trial
from runtime.bundle import Bundle
from runtime.trial import Limits, Trials, try_bundle
from tests.simulators.small_bundle import model_bytes, write_small_bundle


def test_sound_bundle_passes_and_says_what_it_took(small_bundle: Bundle) -> None:
    answer = try_bundle(small_bundle)
    assert answer.reason == ""
    assert answer.peak_bytes > 20_000_000


def test_reason_of_the_other_process_arrives(tmp_path: Path) -> None:
    bundle = write_small_bundle(tmp_path / "b", golden_shift=0.2)
    with pytest.raises(BundleError, match=r"golden/1\.png 0\.200 away from the certified answer"):
        try_bundle(bundle)


def test_unknown_variant_is_refused_before_anything_runs(small_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="no variant 'x/int8'"):
        try_bundle(small_bundle, variant="x/int8")


def test_bundle_that_changes_before_the_trial_is_refused(tmp_path: Path) -> None:
    bundle = write_small_bundle(tmp_path / "b")
    (bundle.path / "manifest.json").write_text("{}")
    with pytest.raises(BundleError, match="expected"):
        try_bundle(bundle)


def greedy_bundle(folder: Path, elements: int) -> Bundle:
    """Answers rightly, and makes a tensor of `elements` float32 whose size is computed while it runs."""
    made: ModelProto = load_model_from_string(model_bytes(4.0, 0))
    made.graph.node[-1].output[0] = "right"
    weights = {"times": np.array([0, 0, 0, elements // 32], np.int64), "nothing": np.zeros((), np.float32)}
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    made.graph.node.extend(
        [
            helper.make_node("Shape", ["image"], ["sides"]),
            helper.make_node("Mul", ["sides", "times"], ["much"]),
            helper.make_node("Pad", ["embedding", "much"], ["grown"]),
            helper.make_node("ReduceMax", ["grown"], ["one"], keepdims=0),
            helper.make_node("Mul", ["one", "nothing"], ["added"]),
            helper.make_node("Add", ["right", "added"], ["logits"]),
        ]
    )
    return write_small_bundle(folder, model=made.SerializeToString())


def test_tensor_whose_size_is_computed_is_stopped_by_the_memory_limit(tmp_path: Path) -> None:
    bundle = greedy_bundle(tmp_path / "b", 2**26)  # a quarter of a gibibyte
    with pytest.raises(BundleError, match=r"model\.onnx of bundle"):
        try_bundle(bundle, limits=Limits(memory_bytes=400_000_000))
    assert try_bundle(bundle).peak_bytes > 250_000_000


def test_trial_that_takes_too_long_is_ended(small_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="did not end in 0 s"):
        try_bundle(small_bundle, limits=Limits(seconds=0.05))


def test_trial_that_computes_too_long_is_ended(
    small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(monkeypatch, tmp_path, "while True: pass", limited=True)
    with pytest.raises(BundleError, match="more than 1 s of processor time"):
        try_bundle(small_bundle, limits=Limits(cpu_seconds=1))


def planted(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str, *, limited: bool = False) -> None:
    """Let the process of the trial run `code` instead, within the real limits where `limited`."""
    root = folder / "planted"
    (root / "runtime").mkdir(parents=True)
    (root / "runtime" / "__init__.py").touch()
    limits = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\n    " if limited else ""
    (root / "runtime" / "trial.py").write_text(f"import os, signal, sys\ndef answer():\n    {limits}{code}\n")
    monkeypatch.setattr(trial, "_ROOT", root)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"crashed \(SIGSEGV\)"),
        ("os.abort()", r"crashed \(SIGABRT\)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed for its memory"),
        ("sys.exit(3)", "ended with status 3"),
        ("raise ValueError", "ended with status 1"),
        ("pass", "left no answer"),
        ("print('{\"reason\": 5}')", "left no answer"),
        ("os.write(1, b'x' * 10_000_000)", "killed"),
        ("os.write(1, b'\\xff')", "left no answer"),
    ],
)
def test_whatever_the_process_does_is_one_clear_error(
    small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    planted(monkeypatch, tmp_path, code)
    with pytest.raises(BundleError, match=f"model.onnx of bundle {small_bundle.hash[:12]}.*{reason}") as caught:
        try_bundle(small_bundle)
    assert "\n" not in str(caught.value)


def test_process_takes_nothing_from_folder_or_environment(
    small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("import os; os._exit(9)")
    (tmp_path / "runtime.py").write_text("import os; os._exit(9)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert try_bundle(small_bundle).reason == ""


def test_what_passed_is_remembered(small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = Trials(tmp_path / "trials.json")
    trials.check(small_bundle)
    planted(monkeypatch, tmp_path, "sys.exit(1)")
    trials.check(small_bundle)
    Trials(tmp_path / "trials.json").check(small_bundle)
    with pytest.raises(BundleError, match="ended with status 1"):
        trials.check(small_bundle, threads=2)


def test_what_was_refused_is_not_remembered(tmp_path: Path) -> None:
    bundle, file = write_small_bundle(tmp_path / "b", golden_shift=0.2), tmp_path / "trials.json"
    for _ in range(2):
        with pytest.raises(BundleError, match="away from the certified answer"):
            Trials(file).check(bundle)
    assert not file.exists()


def test_another_machine_or_version_is_tried_anew(
    small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trials(tmp_path / "trials.json").check(small_bundle)
    monkeypatch.setattr(trial, "describe_machine", lambda: {"onnxruntime": "0.1"})
    planted(monkeypatch, tmp_path, "sys.exit(1)")
    with pytest.raises(BundleError, match="ended with status 1"):
        Trials(tmp_path / "trials.json").check(small_bundle)


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}", b"[1, null]", b"[" * 100_000])
def test_memory_that_cannot_be_read_costs_another_trial(small_bundle: Bundle, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "trials.json"
    file.write_bytes(content)
    Trials(file).check(small_bundle)
    assert len(json.loads(file.read_bytes())) >= 1


def test_folder_that_cannot_be_written_refuses_nothing(small_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "closed").touch()  # a file where the folder should be
    Trials(tmp_path / "closed" / "trials.json").check(small_bundle)
