"""Figures name their machine and nothing about its owner."""

from __future__ import annotations

import json
import platform

import onnxruntime
import pytest

from runtime.machine import class_described, class_of, describe_machine, device_class


def test_machine_says_what_figures_depend_on() -> None:
    machine = describe_machine()
    assert machine["cores"] >= 1
    assert machine["onnxruntime"] == onnxruntime.__version__
    assert isinstance(machine["flags"], list)


def test_machine_is_plain_json_and_names_no_host() -> None:
    text = json.dumps(describe_machine())
    assert platform.node() not in text or not platform.node()


@pytest.mark.parametrize(
    ("machine", "instructions", "expected"),
    [
        ("x86_64", {"avx2", "avx512f"}, "x86-avx2"),
        ("x86_64", {"avx2", "avx_vnni"}, "x86-vnni"),
        ("AMD64", {"sse4_1"}, "other"),
        ("aarch64", {"asimddp"}, "aarch64"),
    ],
)
def test_class_of_a_processor(machine: str, instructions: set[str], expected: str) -> None:
    assert class_of(machine, instructions) == expected


def test_what_a_machine_wrote_about_itself_tells_its_class() -> None:
    assert class_described(describe_machine()) == device_class()
    assert class_described({}) is None
