"""A network with everything that has a rule: ReLU, ReLU6, hard-swish, squeeze-excite, depthwise, residual, pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exporter.qat.body import rounding, settle
from exporter.qat.write import write_symmetric
from runtime.session import Signature

SIDE, WIDTH = 32, 24
SIGNATURE = Signature(labels=3, height=SIDE, width=SIDE, embedding_width=WIDTH)

Answer = Callable[..., list[NDArray[np.float32]]]


class EveryKind(nn.Module):
    """x [b, 3, 32, 32] -> (logits [b, 3], embedding [b, 24])."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.pool = nn.MaxPool2d(2)
        self.depth = nn.Sequential(
            nn.Conv2d(16, 16, 3, 1, 1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU6()
        )  # fmt: skip
        self.flat = nn.Sequential(nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16))
        self.squeeze = nn.Sequential(nn.Conv2d(16, 8, 1), nn.ReLU(), nn.Conv2d(8, 16, 1), nn.Hardsigmoid())
        self.curved = nn.Sequential(nn.Conv2d(16, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish())
        self.meet = nn.Sequential(nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16))
        self.top = nn.Sequential(nn.Conv2d(16, WIDTH, 1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU6())
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.pool(self.stem(x))
        x = x + self.flat(self.depth(x))
        x = x * self.squeeze(x.mean((2, 3), keepdim=True))
        x = self.curved(x)
        x = nn.functional.relu(x + self.meet(x))
        embedding = self.top(x).mean((2, 3))
        return self.head(embedding), embedding


def images(count: int, *, seed: int) -> Tensor:
    """[count, 3, 32, 32] float32."""
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="session")
def network() -> nn.Module:
    """In eval mode, its normalisation fitted to random images."""
    torch.manual_seed(0)
    made = EveryKind().train()
    with torch.no_grad():
        for seed in range(4):
            made(images(16, seed=seed))
        made.top[1].bias += 5.0  # so that its ReLU6 has something to cut off
        made.depth[1].weight *= 4.0
    return made.eval()


@pytest.fixture(scope="session")
def rounded(network: nn.Module) -> nn.Module:
    """The network with its rounding, ranges settled on `images(16, seed=9)`. Do not change it."""
    made = nn.Sequential(rounding([network], (3, SIDE, SIDE))).eval()
    settle(made, [images(16, seed=9)])
    return made


@pytest.fixture(scope="session")
def symmetric(rounded: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its symmetric graph."""
    path = tmp_path_factory.mktemp("symmetric") / "symmetric.onnx"
    write_symmetric(rounded, SIGNATURE, path)
    return path


@pytest.fixture(scope="session")
def float_stemmed(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The symmetric graph of the same network, its first and its depthwise convolution in float."""
    made = nn.Sequential(rounding([network], (3, SIDE, SIDE), float_stem=True)).eval()
    settle(made, [images(16, seed=9)])
    path = tmp_path_factory.mktemp("float_stemmed") / "symmetric.onnx"
    write_symmetric(made, SIGNATURE, path)
    return path


@pytest.fixture
def model(symmetric: Path) -> onnx.ModelProto:
    """The symmetric graph, to be changed."""
    return onnx.load(symmetric)


@pytest.fixture(scope="session")
def answer() -> Answer:
    """Outputs of a graph for images, operator by operator: nothing fused, so that only the graph itself counts."""

    def run(model: onnx.ModelProto, batch: Tensor, outputs: Sequence[str] | None = None) -> list[NDArray[np.float32]]:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )  # fmt: skip
        name = session.get_inputs()[0].name
        rows: list[list[Any]] = [session.run(outputs, {name: image[None].numpy()}) for image in batch]
        return [np.concatenate(parts) for parts in zip(*rows, strict=True)]

    return run
