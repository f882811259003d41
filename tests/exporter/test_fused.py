"""What onnxruntime really runs in int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from exporter.fused import fused
from exporter.quantise import quantise, sensitive_stem
from exporter.source import Source, tensors


@pytest.fixture(scope="module")
def images(source: Source) -> list[NDArray[np.float32]]:
    return list(tensors(source.train[:4], source.preprocessing))


def test_float_file_runs_nothing_in_int8(simplified: Path) -> None:
    found = fused(simplified)
    assert not found.int8
    assert found.float_share == pytest.approx(1.0)
    assert found.told().startswith("0 of 4 convolutions in int8; in float: ")


def test_quantised_file_runs_every_convolution_in_int8(
    simplified: Path, images: list[NDArray[np.float32]], tmp_path: Path
) -> None:
    quantise(simplified, tmp_path / "int8.onnx", images)
    found = fused(tmp_path / "int8.onnx")
    assert found.told() == "4 of 4 convolutions in int8"
    assert found.float_share == 0.0
    assert found.operators["QLinearConv"] == 4


def test_convolutions_kept_in_float_are_named_with_their_share_of_the_multiplications(
    simplified: Path, images: list[NDArray[np.float32]], tmp_path: Path
) -> None:
    quantise(simplified, tmp_path / "int8.onnx", images, keep_float=sensitive_stem(simplified))
    found = fused(tmp_path / "int8.onnx")
    assert len(found.int8) == 2
    stem, depthwise = 24 * 24 * 16 * 3 * 9, 24 * 24 * 16 * 9  # values of the output times weights of a channel
    rest = 24 * 24 * 16 * 16 + 24 * 24 * 24 * 16
    assert [each.share for each in found.floating] == pytest.approx(
        [stem / (stem + depthwise + rest), depthwise / (stem + depthwise + rest)]
    )
    assert all(each.name in found.told() for each in found.floating)
