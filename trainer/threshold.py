"""Where the line between good and defect is drawn, and how sure the answers may sound.

Both come from held-out answers: a temperature for the logits, then Platt's two numbers for the defect score. The line
is drawn by moving the bias of the head, so that 0.5 is always the threshold and the most probable class agrees with
the decision. With more than two classes the slope sharpens all of them: one good class that is moved against the sum of
several flat defects would lose to each of them alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

_EVIDENCE = 150.0  # independent images that the held-out set counts for at most: neighbours and jittered copies repeat
_TEMPERATURES = [2 ** (step / 4) for step in range(-8, 9)]
_ENOUGH_TO_CARRY = 20  # images
_RAREST = 0.02  # share of a kind, at least: rarer ones say nothing about the other's line
_SLOPE_PRIOR, _OFFSET_PRIOR = 4.0, 0.3  # precision of slope around 1 and offset around 0
_FIRM = 1e4  # of a slope that stays


@dataclass(frozen=True)
class Calibration:
    """`logits / temperature`, those of good classes moved by `shift`, then softmax: 0.5 is the threshold. `slope`: how
    much surer of a defect one is, in log-odds, where the score is by one surer."""

    temperature: float = 1.0
    shift: float = 0.0
    slope: float = 1.0

    def probabilities(self, logits: Tensor, good: Tensor) -> Tensor:
        """[n, k] of logits [n, k]; `good` [k] bool tells the classes that pass."""
        return (logits / self.temperature + self.shift * good).softmax(1)


def calibrate(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    good: Tensor,
    *,
    mass: Tensor | None = None,
    groups: Sequence[str] = (),
    newest: Tensor | None = None,
    noise: float = 0.0,
    escape_to_reject: float = 1.0,
) -> Calibration:
    """From held-out logits [n, k], targets [n, k] and weights [n]; none of them: no change.

    Temperature: lowest weighted cross-entropy. Threshold: with p = softmax(a z + b + c) fitted to the classes, z the
    scaled logits, b and c added to those of defects (bias-corrected temperature scaling: Alexandari, Kundaje &
    Shrikumar, ICML 2020; for two classes J. Platt's, 1999; here with priors a ~ 1, b ~ 0), where c is the log-odds of
    the defects' share and a label is
    wrong with probability `noise`, whatever the image shows: parts far on the wrong side then pull no more than `noise`
    explains. With good and defect equally likely, the costs of errors are least at log-odds
    (log(reject/escape) - b) / a. More than two classes: a goes into the temperature, and the slope is 1.
    `mass` [n] is what each image counts for in that fit (default: all the same).
    Where `groups` [n] are named, all images of one count for no more than one beside the priors: what a module or a day
    looks like moves its scores together (design effect: Kish, Survey Sampling, 1965). Where some images are of the
    `newest` condition ([n] bool), b moves on to where these have it, as far as they are enough to outweigh its prior.
    """
    if not len(logits):
        return Calibration(shift=math.log(1 / escape_to_reject))
    temperature, _ = best_temperature(logits, targets, weights)
    scaled = (logits / temperature).double()
    label = _given(targets, good)
    mass = torch.ones(len(scaled)) if mass is None else mass
    names = groups or list(map(str, range(len(scaled))))
    slope, offset = _platt(scaled, label, good, _worth(mass, names), noise)
    if newest is not None and 0 < int(newest.sum()) < len(newest):
        names = [name for name, new in zip(names, newest.tolist(), strict=True) if new]
        called = slope * scaled[newest] + offset * ~good
        worth = _worth(torch.ones(len(names)), names)
        offset += _platt(called, label[newest], good, worth, noise, slope_prior=_FIRM)[1]
    line = math.log(1 / escape_to_reject) - offset
    if len(good) > 2:
        return Calibration(temperature / slope, line)
    return Calibration(temperature, line / slope, slope)


def carried(calibration: Calibration, rounds: Sequence[Tensor], averaged: Tensor, good: Tensor) -> Calibration:
    """The line that parts the `averaged` network's answers where `calibration` parts those of the rounds it came from.

    Averaged weights answer less extremely than each round does, so the same score means something else: the line's
    place among the rounds' mean answers, in order, is carried to the same place among the averaged network's (quantile
    to quantile, and in between along the straight line). Where they lie closer together, the same step of the score
    says more: the slope grows by as much. All logits [n, k] are of the same images, which no round was
    trained on and of which no label is needed. Too few of them, or all on one side: no change.
    """
    if len(rounds) < 2 or len(averaged) < _ENOUGH_TO_CARRY:
        return calibration
    own = _odds(averaged, calibration.temperature, good).sort().values
    single = torch.stack([_odds(logits, calibration.temperature, good) for logits in rounds]).mean(0).sort().values
    if not single[0] < calibration.shift < single[-1]:
        return calibration
    shift = float(np.interp(calibration.shift, single.numpy(), own.numpy()))
    return replace(calibration, shift=shift, slope=calibration.slope * _spread(single) / max(_spread(own), 1e-6))


def _spread(odds: Tensor) -> float:
    """Of sorted log-odds [n]: between the tenth and the ninetieth percentile."""
    return float(odds.quantile(0.9) - odds.quantile(0.1))


def best_temperature(logits: Tensor, targets: Tensor, weights: Tensor) -> tuple[float, float]:
    """The temperature (on a grid from 0.25 to 4) with the lowest weighted cross-entropy, and that."""

    def loss(temperature: float) -> float:
        cross = -(targets * nn.functional.log_softmax(logits / temperature, dim=1)).sum(1)  # [n]
        return float((cross * weights).sum() / weights.sum())

    lowest, _, temperature = min((round(loss(value), 9), abs(math.log(value)), value) for value in _TEMPERATURES)
    return temperature, lowest


def _odds(logits: Tensor, temperature: float, good: Tensor) -> Tensor:
    """[n] float64: log-odds of a defect."""
    scaled = (logits / temperature).double()
    return scaled[:, ~good].logsumexp(1) - scaled[:, good].logsumexp(1)


def _worth(mass: Tensor, groups: Sequence[str]) -> Tensor:
    """[n]: `mass` [n] in independent images."""
    return mass / mass.sum() * min(_EVIDENCE, len(set(groups)))


def _given(targets: Tensor, good: Tensor) -> Tensor:
    """[n] int64: the class that the targets [n, k] name, on the side, good or defect, that has more of them."""
    defect = targets[:, ~good].sum(1).round().bool()
    return torch.where(defect[:, None] == good, -torch.inf, targets).argmax(1)


def _platt(
    logits: Tensor, label: Tensor, good: Tensor, mass: Tensor, noise: float, *, slope_prior: float = _SLOPE_PRIOR
) -> tuple[float, float]:
    """Slope of logits [n, k] and offset of those of defects, by the `label` [n]; `mass` [n] in independent images."""
    mass, defects = mass.double(), (~good).double()
    share = float((mass * defects[label]).sum() / mass.sum())
    prior = torch.tensor((share - noise) / (1 - 2 * noise), dtype=torch.float64).clamp(_RAREST, 1 - _RAREST).logit()
    others = len(good) - 1
    found = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([found], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        own = (found[0] * logits + (found[1] + prior) * defects).softmax(1).gather(1, label[:, None]).squeeze(1)
        called = noise / others + (1 - noise - noise / others) * own
        fit = -(mass * called.clamp_min(1e-30).log()).sum()
        value = fit + slope_prior / 2 * (found[0] - 1) ** 2 + _OFFSET_PRIOR / 2 * found[1] ** 2
        torch.autograd.backward(value)
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    slope, offset = found.detach().tolist()
    return max(slope, 0.25), offset
