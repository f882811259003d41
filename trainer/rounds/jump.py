"""When a schedule is given up: its loss is not a number any more, or what the network knew at the start is being lost.

Ordinary curves rise a little before they fall, and wander where few images are held out. A jump is larger than both:
half of what the start was better than always the same answer, at least a tenth of a nat, and two standard errors over
groups.
"""

from __future__ import annotations

import math

import torch

from trainer.rounds.kept import Check, Judges
from trainer.strategy import Recipe

_SHARE, _LEAST = 0.5, 0.1  # of the start's lead over a constant answer; nats
_ERRORS = 2.0


def jump(check: Check, start: Check, judges: Judges, recipe: Recipe, *, warm: bool) -> str | None:
    """Why this check ends its schedule, or None. Only a loss that is not finite does so before the rates are `warm`, or
    where the recipe starts from random weights, which have nothing to lose."""
    if check.step and not math.isfinite(check.loss):
        return f"the training loss is not finite at step {check.step}"
    if not len(judges):
        return None
    if not math.isfinite(check.held_out_loss):
        return f"the held-out loss is not finite at step {check.step}"
    if not warm or recipe.from_random or check.held_out_loss - start.held_out_loss <= _allowed(start, judges):
        return None
    behind, error = judges.behind(check, start)
    if behind <= _ERRORS * error:
        return None
    return f"held-out loss {check.held_out_loss:.3f} at step {check.step}, {start.held_out_loss:.3f} at the start"


def _allowed(start: Check, judges: Judges) -> float:
    """By how much the held-out loss may rise above the start's."""
    shares = (judges.targets * judges.weights.unsqueeze(1)).sum(0) / judges.weights.sum()
    constant = float(-torch.xlogy(shares, shares).sum())  # the loss of answering with the classes' shares
    return max(_LEAST, _SHARE * (constant - start.held_out_loss))
