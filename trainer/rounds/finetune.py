"""The second stage: the network's tail and head follow the images, the stem stays as it was pretrained."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor

from trainer.clock import now
from trainer.network import Network
from trainer.rounds import ranks
from trainer.rounds.averaging import follow, followed
from trainer.rounds.checking import check_of
from trainer.rounds.head import Head
from trainer.rounds.jump import jump
from trainer.rounds.kept import Check, Judges, Kept, Tuned
from trainer.rounds.learner import learner
from trainer.rounds.lesson import Lesson
from trainer.rounds.loss import loss_of
from trainer.rounds.midway import Midway
from trainer.rounds.standing import Standing
from trainer.rounds.unfreezing import first_released, release
from trainer.strategy import Recipe

_BATCH = 32
_WARM_UP = 0.2  # of the steps: the rates rise
_PACES = (1.0, 0.5)  # of the recipe's rates; the second after a jump


def finetune(
    network: Network,
    head: Head,
    lesson: Lesson,
    held_out: Lesson,
    *,
    cut: int,
    recipe: Recipe,
    seed: int,
    until: float = math.inf,
    tick: Callable[[float], None] = lambda _: None,
    midway: Midway | None = None,
) -> Tuned:
    """Train the stages from `cut` on and the head, which starts as `head`; the input network is not changed.

    AdamW with a one-cycle schedule, dropout before the head, weights averaged over the steps (Polyak), bfloat16 as
    `device.precision` says. As often as the recipe says the averaged weights answer the held-out images (plain views):
    those with the lowest weighted loss are kept (see `Kept`), and `recipe.patience` checks in a
    row that are not kept end the training, as does the clock at `until` (seconds of `trainer.clock`). With no held-out
    image the last weights stay. A curve that jumps (see `jump`) begins anew once, at half the rates; if it jumps again,
    the best weights so far stay. Checks are written down `midway`, and a round that was killed goes on after the last.
    """
    begun = copy.deepcopy(network).eval()
    adopt(begun, head)
    ranks.same_start(begun)
    checks = [check_of(begun, held_out, cut, 0, math.nan)]
    pull = held_out.tasks.pull if held_out.tasks else None
    judges = Judges(held_out.targets, held_out.weights, held_out.groups, pull)
    kept = Kept(recipe, judges, checks[0], checks[0], copy.deepcopy(begun))
    jumps: list[str] = []
    hurried = False
    written = midway.recall() if midway else None
    for pace in _PACES[len(written[1]["jumps"]) if written else 0 :]:
        standing = _begin(begun, kept, checks, jumps, len(lesson), cut=cut, recipe=recipe, seed=seed, pace=pace)
        if written:
            standing.restore(*written)
            written = None
        why, hurried = _train(
            standing, lesson, held_out, cut=cut, recipe=recipe, seed=seed, until=until, tick=tick, midway=midway
        )
        if why is None:
            break
        jumps.append(why)
    return Tuned(kept.network, kept.best, tuple(checks), hurried, tuple(jumps))


def _begin(
    begun: Network, kept: Kept, checks: list[Check], jumps: list[str], images: int, *, cut: int, recipe: Recipe,
    seed: int, pace: float,
) -> Standing:  # fmt: skip
    """Before the first step of a schedule of `pace` times the recipe's rates."""
    model, averaged = copy.deepcopy(begun), copy.deepcopy(begun)
    optimizer = learner(model, cut, recipe, seed)
    rates = [group["lr"] * pace for group in optimizer.param_groups]
    steps = steps_of(recipe, images)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, pct_start=_WARM_UP)
    if recipe.learns_statistics:
        model.stages[cut:].train()
    kept.stale = 0
    torch.manual_seed(seed)  # dropout
    return Standing(model, averaged, optimizer, schedule, kept, checks, jumps, pace)


def _train(
    standing: Standing,
    lesson: Lesson,
    held_out: Lesson,
    *,
    cut: int,
    recipe: Recipe,
    seed: int,
    until: float,
    tick: Callable[[float], None],
    midway: Midway | None,
) -> tuple[str | None, bool]:
    """Step until the schedule, the images, the clock or a jump end it: why it jumped, and whether it was the clock."""
    model, kept = standing.model, standing.kept
    pairs = followed(standing.averaged, model, cut)
    steps = steps_of(recipe, len(lesson))
    losses: list[float] = []
    batches = islice(_batches(len(lesson), steps, seed), standing.step, None)
    for step, rows in enumerate(batches, start=standing.step + 1):
        if recipe.groups:
            release(model, first_released(step, steps, stages=len(model.stages), groups=recipe.groups))
        losses.append(_step(model, standing.optimizer, lesson.rows(rows), cut))
        standing.schedule.step()
        follow(pairs, min(recipe.memory, (step + 1) / (step + 10)))
        if step % math.ceil(steps / recipe.checks) and step < steps:
            continue
        check = check_of(standing.averaged, held_out, cut, step, sum(losses) / len(losses), standing.pace)
        standing.checks.append(check)
        standing.step, losses = step, []
        if why := jump(check, standing.checks[0], kept.judges, recipe, warm=step > _WARM_UP * steps):
            return why, False
        kept.look(check, standing.averaged)
        tick(step / steps)
        hurried = now() > until and step < steps and kept.stale < recipe.patience
        if ranks.agreed(kept.stale >= recipe.patience or hurried, model):
            return None, hurried
        if midway and step < steps:
            midway.keep(standing)
    return None, False


def steps_of(recipe: Recipe, images: int) -> int:
    """How long the schedule is."""
    steps = max(recipe.fewest_steps, min(recipe.most_steps, recipe.passes * math.ceil(images / _BATCH)))
    found = max(1, round(steps * recipe.steps_factor))
    return (
        found + 1 if found * _WARM_UP == 1 else found
    )  # torch divides by zero where the rates rise for one step alone


def step_seconds(network: Network, lesson: Lesson, *, cut: int, recipe: Recipe) -> float:
    """What a step over a batch takes on this machine: the faster of two, on a copy of the network."""
    model = copy.deepcopy(network).eval()
    optimizer = learner(model, cut, recipe, seed=0)
    times = []
    for _ in range(2):
        began = now()
        _step(model, optimizer, lesson, cut)
        times.append(now() - began)
    return min(times)


def frozen(network: Network, head: Head, held_out: Lesson, *, cut: int) -> Tuned:
    """The pretrained network under this head, nothing fine-tuned."""
    model = copy.deepcopy(network).eval()
    adopt(model, head)
    check = check_of(model, held_out, cut, 0, math.nan)
    return Tuned(model, check, (check,))


def adopt(network: Network, head: Head) -> None:
    """The network answers with this head from now on."""
    with torch.no_grad():
        network.centre.copy_(head.centre)
        network.scale.copy_(head.scale)
        network.head.weight.copy_(head.weight)
        network.head.bias.copy_(head.bias)


def _batches(count: int, steps: int, seed: int) -> Iterator[Tensor]:
    """`steps` batches of row numbers, each image once a pass."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        while len(left) < min(_BATCH, count):
            left = torch.cat([left, torch.randperm(count, generator=generator)])
        yield left[:_BATCH]
        left = left[_BATCH:]


def _step(network: Network, optimizer: torch.optim.Optimizer, lesson: Lesson, cut: int) -> float:
    """One step; the loss before it. Images of many inputs go through the network a few at a time."""
    optimizer.zero_grad()
    total = 0.0
    for rows in torch.split(torch.arange(len(lesson)), max(1, _BATCH // network.inputs)):
        loss = loss_of(network, lesson.rows(rows), cut) * (len(rows) / len(lesson))
        torch.autograd.backward(loss)
        total += loss.item()
    total = ranks.summed(optimizer, total)
    optimizer.step()
    return total
