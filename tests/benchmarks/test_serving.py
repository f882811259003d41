"""The serving benchmark: what its ratios are made of, its processes, and a load that says what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.serving.load import load
from benchmarks.serving.over_http import _figures
from benchmarks.serving.servers import bare, lineside
from contracts.errors import ConfigurationError
from runtime.bundle import Bundle
from tests.simulators.small_bundle import encoded, picture

FP32 = "onnxruntime-cpu/fp32"


def runs(**changes: list[float]) -> dict[str, list[float]]:
    names = ("lineside", "minimal", "litserve")
    values = {
        f"{name}_{clients}_{what}": [1.0, 1.0]
        for name in names
        for clients in (1, 8)
        for what in ("per_second", "p50", "p99", "cpu_per_image", "client_share")
    }
    values |= {f"bare_{kind}_{what}": [1.0, 1.0] for kind in ("lineside", "opencv") for what in ("per_second", "p50")}
    return values | {"lineside_8_errors": [0.0, 0.0]} | changes


def test_ratios_are_taken_within_a_round() -> None:
    measured = runs(
        lineside_8_per_second=[100.0, 10.0],
        minimal_8_per_second=[50.0, 5.0],
        bare_lineside_per_second=[100.0, 10.0],
        lineside_1_p50=[0.03, 0.3],
        bare_lineside_p50=[0.02, 0.2],
    )
    found = {figure.name: figure.value for figure in _figures(measured, {"lineside": 7})}
    assert found["against_minimal"] == pytest.approx(2.0)
    assert found["against_two_cores"] == pytest.approx(0.5)
    assert found["p50_against_bare"] == pytest.approx(1.5)
    assert found["resident"] == 7


def test_without_litserve_its_figure_is_missing() -> None:
    measured = {name: values for name, values in runs().items() if not name.startswith("litserve")}
    assert "against_litserve" not in {figure.name for figure in _figures(measured, {"lineside": 7})}


def test_refused_images_count() -> None:
    found = {figure.name: figure.value for figure in _figures(runs(lineside_8_errors=[2.0, 1.0]), {"lineside": 7})}
    assert found["errors"] == 3


def test_bare_loop_runs_when_it_is_asked_to(small_bundle: Bundle, tmp_path: Path) -> None:
    image = tmp_path / "part.png"
    image.write_bytes(encoded(picture(100)))
    with bare("lineside", small_bundle.path, [image], variant=FP32) as loop:
        for _ in range(2):
            per_second, middle = loop.run(0.2)
            assert per_second > 0
            assert 0 < middle < 1


def test_station_that_is_measured_answers(small_bundle: Bundle, tmp_path: Path) -> None:
    with lineside(small_bundle.path, small_bundle.hash, tmp_path, variant=FP32) as server:
        assert server.url.endswith("/v1/inspect")
        assert server.resident_bytes() > 10_000_000
        assert server.cpu_seconds() > 0
    assert server.process.poll() is not None


def test_load_without_wrk_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="apt-get install wrk"):
        load("http://127.0.0.1:9/", [], clients=1, seconds=1)
