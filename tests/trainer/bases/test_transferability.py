"""Before any training: which features fit, and how far from home the images lie."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from contracts.bundle import Licence
from trainer.bases.backbone import BaseModel
from trainer.bases.ranking import Ranked, rank
from trainer.bases.transferability import domain_distance, logme
from trainer.dataset import Dataset, gather


def features(signal: float, width: int = 20, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    classes = np.arange(count) % 3
    found = rng.normal(size=(count, width))
    found[np.arange(count), classes] += signal
    return found, classes


def test_evidence_grows_with_what_the_features_tell() -> None:
    scores = [logme(*features(signal)) for signal in (0.0, 1.0, 2.0, 4.0)]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0] + 0.2


@pytest.mark.parametrize("width", [5, 120, 400])
def test_evidence_is_that_of_the_best_precisions(width: int) -> None:
    """Against the logarithm of the marginal likelihood, searched for on a grid of both precisions."""
    found, classes = features(1.5, width)
    best = []
    for kind in range(3):
        target = (classes == kind).astype(float)
        values = [
            evidence(found, target, 10.0**alpha, 10.0**beta)
            for alpha in np.arange(-2, 4.1, 0.1)
            for beta in np.arange(-1, 3.1, 0.1)
        ]
        best.append(max(values))
    assert logme(found, classes) == pytest.approx(np.mean(best), abs=0.01)


def evidence(found: np.ndarray, target: np.ndarray, alpha: float, beta: float) -> float:
    covariance = np.eye(len(target)) / beta + found @ found.T / alpha
    _, determinant = np.linalg.slogdet(covariance)
    fit = target @ np.linalg.solve(covariance, target)
    return float(-0.5 * (len(target) * np.log(2 * np.pi) + determinant + fit) / len(target))


def test_one_class_alone_has_no_evidence() -> None:
    with pytest.raises(ValueError, match="two classes"):
        logme(np.ones((4, 2)), np.zeros(4, dtype=int))


def test_distance_is_zero_at_home_and_grows_with_the_shift() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.BatchNorm2d(3)).eval()
    layer = network[0]
    assert isinstance(layer, nn.BatchNorm2d)
    home = torch.randn(64, 3, 16, 16)
    near, far = (domain_distance(network, [shift + home]) for shift in (0.0, 2.0))
    assert near == pytest.approx(0, abs=0.02)
    assert far == pytest.approx(2, abs=0.05)
    assert domain_distance(network, [3 * home]) == pytest.approx(2, abs=0.05)
    assert domain_distance(nn.Conv2d(3, 3, 1), [home]) is None


def test_weights_that_know_the_images_rank_first(plates: Dataset, small_base: BaseModel, data_folder: Path) -> None:
    weights = data_folder / "weights" / "mobilenetv2_100_same.in1k.safetensors"
    pretrained = BaseModel(
        id="imagenet", model_args={"pad_type": "same"}, weights=weights, licence=Licence(), width=96, height=96
    )
    examples = gather(data_folder / "elpv" / "manifest.csv").examples
    first, second = rank([small_base, pretrained], examples[:120])
    assert first.base.id == "imagenet"
    assert first.helps
    assert first.distance is not None
    assert second.evidence == second.evidence_random, "random weights are no better than random weights"


def test_negative_transfer_is_seen() -> None:
    assert not Ranked(BaseModel(id="x"), evidence=-0.5, evidence_random=-0.4, distance=None).helps
