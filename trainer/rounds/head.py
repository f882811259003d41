"""The first stage: a regularised logistic head on embeddings of the frozen backbone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Regularisation:
    """How a head is fitted: the `penalty` on its weights, per example, and the `temperature` that its logits are then
    divided by: a strong penalty finds the direction, and sounds more modest than it need be."""

    penalty: float
    temperature: float = 1.0


@dataclass(frozen=True)
class Head:
    """`logits = (embedding - centre) * scale @ weight.T + bias`; weight [k, d]."""

    centre: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor

    def logits(self, embeddings: Tensor) -> Tensor:
        """[n, d] -> [n, k]."""
        return (embeddings - self.centre) * self.scale @ self.weight.T + self.bias

    def sharpened(self, temperature: float) -> Head:
        """With logits divided by `temperature`."""
        return replace(self, weight=self.weight / temperature, bias=self.bias / temperature)


def fit_head(embeddings: Tensor, targets: Tensor, weights: Tensor, *, penalty: float) -> Head:
    """The head that minimises weighted cross-entropy + penalty / 2 * |weight|^2 (convex, so found by L-BFGS from zero).

    embeddings [n, d] float32, targets [n, k] probabilities, weights [n] of mean 1; `penalty` per example.
    """
    centre = embeddings.mean(0)
    spread = embeddings.std(0, correction=0)
    scale = 1.0 / spread.clamp_min(0.1 * float(spread.mean()) + 1e-6)
    inputs = ((embeddings - centre) * scale).double()
    width = inputs.shape[1]
    parameters = torch.zeros(targets.shape[1], width + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([parameters], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-6)
    soft, weighted = targets.double(), weights.double() / weights.double().sum()

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = inputs @ parameters[:, :width].T + parameters[:, width]
        cross = -(soft * nn.functional.log_softmax(logits, dim=1)).sum(1)  # [n]
        value = (cross * weighted).sum() + penalty / 2 * (parameters[:, :width] ** 2).sum()
        torch.autograd.backward(value)
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    found = parameters.detach().float()
    return Head(centre, scale, found[:, :width].contiguous(), found[:, width].contiguous())
