"""A benchmark becomes figures that fit into a message, or an error that names what no device measures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contracts.benchmark import Benchmark
from contracts.errors import ConfigurationError
from contracts.figures import MOST_ROWS
from contracts.schema import EXAMPLE_FOLDER
from runtime.figures import figures


def found(**changes: Any) -> Benchmark:
    example = json.loads((EXAMPLE_FOLDER / "v1" / "benchmark.json").read_bytes())
    first = {**example["rows"][0], **changes.pop("row", {})}
    return Benchmark.model_validate({**example, "rows": [first, *example["rows"][1:]], **changes})


def test_figures_say_what_the_benchmark_said() -> None:
    told = figures(found(), remark="it goes on serving")
    assert [(row.variant, row.threads) for row in told.rows] == [
        ("onnxruntime-cpu/int8", 1),
        ("onnxruntime-cpu/fp32", 1),
    ]
    assert told.rows[0].p99_seconds == 0.042508164709342905
    assert (told.rows[0].golden_same, told.rows[0].golden_images) == (8, 8)
    assert [told.is_chosen(row) for row in told.rows] == [True, False]
    assert told.device_class == "x86-vnni"
    assert (told.machine.processor, told.machine.cores) == ("AMD EPYC", 2)
    assert told.remark == "it goes on serving"


def test_a_device_is_of_its_gpus_class_where_a_variant_ran_there() -> None:
    assert figures(found(row={"variant": "tensorrt/int8"}, chosen=None)).device_class == "nvidia"
    assert figures(found(machine={"processor": "unknown"})).device_class == "other"


def test_rows_with_several_callers_are_left_out() -> None:
    assert len(figures(found(row={"callers": 2}, chosen=None)).rows) == 1
    with pytest.raises(ConfigurationError, match="no row says that it may serve"):
        figures(found(row={"callers": 2}))


def test_reasons_are_cut_and_in_one_line() -> None:
    told = figures(found(skipped={"tensorrt/int8": "no GPU:\n\x1b[31m" + "x" * 500}))
    reason = told.skipped["tensorrt/int8"]
    assert reason.startswith("no GPU: [31mxxx")
    assert len(reason) == 200


def test_of_many_rows_the_first_are_taken() -> None:
    rows = [row for number in range(1, 60) for row in found(row={"threads": number}).rows[:1]]
    assert len(figures(found(rows=[row.model_dump() for row in rows])).rows) == MOST_ROWS


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"row": {"p50_seconds": 1e300, "p90_seconds": 1e300, "p99_seconds": 1e300}}, "rows.0.p50_seconds"),
        ({"row": {"p50_seconds": 1.0}}, "must not fall"),
        ({"row": {"variant": "../../etc"}}, "rows.0.variant"),
        ({"row": {"certified": False}}, "no row says that it may serve"),
        ({"rows": []}, "rows"),
        ({"machine": {"processor": "two\nlines"}}, "machine.processor"),
    ],
)
def test_what_no_device_measures_is_an_error(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        figures(found(**changes))
