"""Figures name their machine and nothing about its owner."""

from __future__ import annotations

import json
import platform

import onnxruntime

from runtime.machine import describe_machine


def test_machine_says_what_figures_depend_on() -> None:
    machine = describe_machine()
    assert machine["cores"] >= 1
    assert machine["onnxruntime"] == onnxruntime.__version__
    assert isinstance(machine["flags"], list)


def test_machine_is_plain_json_and_names_no_host() -> None:
    text = json.dumps(describe_machine())
    assert platform.node() not in text or not platform.node()
