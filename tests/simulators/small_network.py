"""A network that trains in no time and quantises like the real ones: depthwise, residual, ReLU6, normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from contracts.bundle import Licence, Lineage
from contracts.preprocessing import Preprocessing
from contracts.thresholds import Thresholds
from exporter.source import Labelled, Source, tensors

SIDE = 48
LABELS = ("blue", "green", "red")
WIDTH = 24


@dataclass(frozen=True)
class Picture:
    """A labelled file."""

    path: Path
    label: str


class SmallNetwork(nn.Module):
    """x [b, 3, 48, 48] -> (logits [b, 3], embedding [b, 24])."""

    def __init__(self, *, depthwise: bool = True, loud: float = 1.0) -> None:
        super().__init__()
        groups = 16 if depthwise else 1
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.depth = nn.Sequential(
            nn.Conv2d(16, 16, 3, 1, 1, groups=groups, bias=False), nn.BatchNorm2d(16), nn.ReLU6()
        )
        self.wide = nn.Sequential(nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16))
        self.top = nn.Sequential(nn.Conv2d(16, WIDTH, 1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU())
        self.head = nn.Linear(WIDTH, len(LABELS))
        self.loud = loud

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        x = x + self.wide(self.depth(x)) * self.loud
        embedding = self.top(x).mean((2, 3))
        return self.head(embedding), embedding


def small_network(*, depthwise: bool = True, seed: int = 0) -> SmallNetwork:
    """Random weights with a normalisation fitted to random images, in eval mode."""
    torch.manual_seed(seed)
    network = SmallNetwork(depthwise=depthwise)
    network.train()
    with torch.no_grad():
        for _ in range(4):
            network(torch.randn(16, 3, SIDE, SIDE))
    return network.eval()


def write_pictures(folder: Path, count: int, *, seed: int = 0) -> list[Picture]:
    """Noisy pictures of three colours in turn, as PNG."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    pictures = []
    for number in range(count):
        label = LABELS[number % 3]
        pixels = generator.integers(20, 120, (64, 80, 3))
        pixels[:, :, 2 - number % 3] += generator.integers(10, 90)
        path = folder / f"{number:03d}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        pictures.append(Picture(path, label))
    return pictures


def small_source(folder: Path, network: nn.Module, *, train: int = 90, test: int = 45) -> Source:
    """A source over `network`, whose head is fitted to the training pictures by least squares where it has one."""
    spec = Preprocessing(width=SIDE, height=SIDE, mean=(0.3, 0.3, 0.3), std=(0.2, 0.2, 0.2))
    source = Source(
        module=network,
        site="test-site",
        product="tile",
        labels=LABELS,
        good_labels=("blue",),
        preprocessing=spec,
        thresholds=Thresholds(ng=0.5, review_from=0.4),
        temperature=1.5,
        embedding_width=WIDTH,
        licence=Licence(owner="nobody", licence="CC0", permitted_use="any"),
        lineage=Lineage(
            snapshot_hash="a" * 64,
            split_hash="b" * 64,
            base_model="small",
            base_model_licence="Apache-2.0",
            base_model_sha256=None,
            code_version="0",
        ),
        train=write_pictures(folder / "train", train, seed=1),
        validation=write_pictures(folder / "validation", 15, seed=2),
        test=write_pictures(folder / "test", test, seed=3),
    )
    fit_head(network, source, source.train)
    return source


def fit_head(network: nn.Module, source: Source, pictures: Sequence[Labelled]) -> None:
    """Least squares from embedding to the classes, scaled to confident answers."""
    head = network.head
    assert isinstance(head, nn.Linear)
    with torch.inference_mode():
        rows = [network(torch.from_numpy(tensor))[1][0] for tensor in tensors(pictures, source.preprocessing)]
        inputs = torch.cat([torch.stack(rows), torch.ones(len(rows), 1)], 1)  # [n, 25]
        wanted = torch.tensor([[8.0 * (label == p.label) for label in LABELS] for p in pictures])
        solution = torch.linalg.lstsq(inputs, wanted).solution
    head.weight.data.copy_(solution[:-1].T)
    head.bias.data.copy_(solution[-1])
