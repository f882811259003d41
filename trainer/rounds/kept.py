"""What a round has to show: its checks, and the weights that are kept of them."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trainer.evidence import losses_of, standard_error
from trainer.network import Network
from trainer.strategy import Recipe
from trainer.tasks import CLASS


@dataclass(frozen=True)
class Check:
    """One look at the averaged weights. `held_out_loss` is at the best temperature, so that it tells how well the
    images are told apart and not how sure the network sounds; infinite without held-out images. `pace`: the schedule's
    rates were the recipe's times this; `beside`: name -> losses [n] of the further tasks, which are counted in it."""

    step: int
    loss: float
    held_out_loss: float
    logits: Tensor
    pace: float = 1.0
    beside: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Tuned:
    """The network at its best check, and all checks; `best` is the one whose weights were kept. `hurried`: the clock
    ended it, not the images. `jumps`: why its schedule was given up, once for the recipe's rates and once for half."""

    network: Network
    best: Check
    checks: tuple[Check, ...]
    hurried: bool = False
    jumps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judges:
    """What is known of the held-out images: targets [n, k] probabilities, weights [n], groups; `pull`: what the loss of
    each task counts, where there are several (1 where it is not named)."""

    targets: Tensor
    weights: Tensor
    groups: Sequence[str] = ()
    pull: Mapping[str, float] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def behind(self, check: Check, other: Check) -> tuple[float, float]:
        """How much higher the mean loss of a check is than the other's, and the standard error of that over groups."""
        difference = self._losses(check) - self._losses(other)
        groups = self.groups or [str(row) for row in range(len(self))]
        return float(difference.mean()), standard_error(difference, groups)

    def _losses(self, check: Check) -> Tensor:
        """[n] float64, of all tasks together."""
        losses = losses_of(check.logits, self.targets, self.weights)
        if not check.beside:
            return losses
        pull = self.pull or {}
        beside = [pull.get(name, 1.0) * each.double() for name, each in check.beside.items()]
        return torch.stack([pull.get(CLASS, 1.0) * losses, *beside]).sum(0)


@dataclass
class Kept:
    """Which weights to keep: those of the `lowest` held-out loss, or where the recipe says so the latest that are not
    worse than them by more than one standard error over groups. The schedule ends at a rate of zero, and a loss that
    has few images of a rare class is lowest where chance wants it."""

    recipe: Recipe
    judges: Judges
    lowest: Check
    best: Check
    network: Network
    stale: int = 0  # checks since the kept one

    def look(self, check: Check, averaged: Network) -> None:
        """At the latest weights."""
        lower = check.held_out_loss < self.lowest.held_out_loss or not len(self.judges)
        if lower:
            self.lowest = check
        if lower or (self.recipe.keeps_latest and self._as_good(check)):
            self.best, self.network, self.stale = check, copy.deepcopy(averaged), 0
        else:
            self.stale += 1

    def _as_good(self, check: Check) -> bool:
        behind, error = self.judges.behind(check, self.lowest)
        return math.isfinite(error) and behind <= error  # a single group tells nothing
