"""How well a base model's features fit a site's images, before anything is trained.

`logme` ranks base models by the evidence that their features give for the labels. `domain_distance` says how far the
site's images lie from what the weights were made for, without needing those pictures: every BatchNorm layer remembers
mean and variance of its inputs.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer.device import device_of

_MOST_STEPS, _CLOSE = 50, 1e-4


def logme(features: NDArray[np.float64], classes: NDArray[np.int64]) -> float:
    """Logarithm of the maximum evidence, a label and image: higher is better, comparable between base models on the
    same images only (You, Liu, Wang & Long: LogME, ICML 2021; the fixed point as in their algorithm 3).

    features [n, d], classes [n] from 0 on; at least two classes, each with an image. Raises ValueError otherwise.

    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(100) % 2
    >>> told_apart = rng.normal(size=(100, 8)) + 3 * y[:, None]
    >>> logme(told_apart, y) > logme(rng.normal(size=(100, 8)), y)
    True
    """
    kinds = np.unique(classes)
    if len(kinds) < 2 or len(features) != len(classes):
        raise ValueError("logme needs one class for each row of features, and at least two classes")
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    return float(np.mean([_evidence(left, singular**2, features.shape, classes == kind) for kind in kinds]))


def _evidence(
    left: NDArray[np.float64], squared: NDArray[np.float64], shape: tuple[int, ...], target: NDArray[np.bool_]
) -> float:
    """For one class against the others; `left` [n, k] and `squared` [k] from the singular value decomposition."""
    count, width = shape
    values = target.astype(np.float64)
    along = (left.T @ values) ** 2  # [k]
    across = max(float(values @ values - along.sum()), 0.0)  # what no feature can explain
    alpha, beta = 1.0, 1.0
    for _ in range(_MOST_STEPS):
        ratio = alpha / beta
        effective = float((squared / (squared + ratio)).sum())
        weight = float((squared * along / (squared + ratio) ** 2).sum())
        residual = float((along / (1 + squared / ratio) ** 2).sum()) + across
        alpha, beta = effective / (weight + 1e-12), (count - effective) / (residual + 1e-12)
        if abs(alpha / beta - ratio) <= _CLOSE * ratio:
            break
    ratio = alpha / beta
    weight = float((squared * along / (squared + ratio) ** 2).sum())
    residual = float((along / (1 + squared / ratio) ** 2).sum()) + across
    zero = width - len(squared)  # directions without data
    determinant = float(np.log(alpha + beta * squared).sum()) + zero * np.log(alpha)
    return float(
        (count * np.log(beta) + width * np.log(alpha) - count * np.log(2 * np.pi)
         - beta * residual - alpha * weight - determinant) / (2 * count)
    )  # fmt: skip


def domain_distance(network: nn.Module, batches: Iterable[Tensor]) -> float | None:
    """How far the activations of these images lie from the statistics that the BatchNorm layers remember: the mean over
    layers and channels of the 2-Wasserstein distance between two normal distributions (Dowson & Landau, 1982), in
    standard deviations of the remembered one. 0 is home; None without BatchNorm, or without an image.

    batches: inputs [b, 3, h, w] of the network, which is used in eval mode. Running statistics as a description of a
    domain: Li et al., Revisiting Batch Normalization for Practical Domain Adaptation, 2016.
    """
    seen: dict[nn.Module, list[Tensor]] = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        maps = inputs[0].double()  # [b, c, h, w]
        moments = torch.stack([maps.mean((0, 2, 3)), (maps**2).mean((0, 2, 3))])  # [2, c]
        seen.setdefault(layer, []).append(moments)

    layers = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    with torch.inference_mode():
        for batch in batches:
            network(batch.to(device_of(network)))
    for hook in hooks:
        hook.remove()
    return float(np.mean([_layer_distance(layer, found) for layer, found in seen.items()])) if seen else None


def _layer_distance(layer: nn.Module, found: list[Tensor]) -> float:
    remembered = layer.state_dict()
    mean, square = torch.stack(found).mean(0)
    spread = (square - mean**2).clamp_min(0).sqrt()
    home_mean, home_spread = remembered["running_mean"].double(), remembered["running_var"].double().add(1e-5).sqrt()
    distance = ((mean - home_mean) ** 2 + (spread - home_spread) ** 2).sqrt() / home_spread
    return float(distance.clamp_max(10.0).mean())
