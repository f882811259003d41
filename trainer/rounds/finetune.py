"""The second stage: the network's tail and head follow the images, the stem stays as it was pretrained."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from trainer.clock import now
from trainer.device import device_of, precision
from trainer.evidence import cross_entropy
from trainer.features import Features, Maps
from trainer.marks import TileLesson
from trainer.network import Network
from trainer.rounds import ranks
from trainer.rounds.averaging import follow, followed
from trainer.rounds.head import Head
from trainer.rounds.heads import losses_beside
from trainer.rounds.jump import jump
from trainer.rounds.kept import Check, Judges, Kept, Tuned
from trainer.rounds.lora import adapt, hold_base
from trainer.rounds.midway import Midway
from trainer.rounds.standing import Standing
from trainer.rounds.unfreezing import first_released, release
from trainer.strategy import Recipe
from trainer.tasks import CLASS, TaskLesson
from trainer.threshold import best_temperature

_DROPOUT = 0.2
_WEIGHT_DECAY = 0.05
_BATCH = 32
_WARM_UP = 0.2  # of the steps: the rates rise
_PACES = (1.0, 0.5)  # of the recipe's rates; the second after a jump
_FRESH = 0.1  # rate of heads that start from nothing, over the root of their width
_SPREAD = 0.05  # rate of learned weights: there are few, and they have far to go


@dataclass(frozen=True)
class Lesson:
    """What is learned from: features of n images, targets [n, k] probabilities, weights [n]; where an image is several
    inputs, what is known of each of them; `tasks` beside the class, where there are any."""

    features: Features
    targets: Tensor
    weights: Tensor
    tiles: TileLesson | None = None
    groups: tuple[str, ...] = ()  # of the images, where they are known
    tasks: TaskLesson | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def rows(self, index: Tensor) -> Lesson:
        """The lesson of some images."""
        tiles = self.tiles.rows(index) if self.tiles else None
        groups = tuple(self.groups[row] for row in index.tolist()) if self.groups else ()
        tasks = self.tasks.rows(index) if self.tasks else None
        return Lesson(self.features.rows(index), self.targets[index], self.weights[index], tiles, groups, tasks)


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
    checks = [_check(begun, held_out, cut, 0, math.nan)]
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
    optimizer = _learner(model, cut, recipe, seed)
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
        check = _check(standing.averaged, held_out, cut, step, sum(losses) / len(losses), standing.pace)
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
    optimizer = _learner(model, cut, recipe, seed=0)
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
    check = _check(model, held_out, cut, 0, math.nan)
    return Tuned(model, check, (check,))


def adopt(network: Network, head: Head) -> None:
    """The network answers with this head from now on."""
    with torch.no_grad():
        network.centre.copy_(head.centre)
        network.scale.copy_(head.scale)
        network.head.weight.copy_(head.weight)
        network.head.bias.copy_(head.bias)


def answers(network: Network, maps: Maps, cut: int) -> Tensor:
    """Logits [n, k] of the images as they are."""
    if not len(maps):
        return torch.empty(0, network.head.out_features)
    with torch.inference_mode():
        parts = [
            network.united(
                network.classify(
                    network.embed(network.run(maps.rows(rows).plain().to(device_of(network)), cut, len(network.stages)))
                )
            )
            for rows in torch.split(torch.arange(len(maps)), max(1, 64 // network.inputs))
        ]
    return torch.cat(parts).cpu().clone()


def _trained(network: Network, cut: int) -> list[nn.Parameter]:
    body = [parameter for stage in network.stages[cut:] for parameter in stage.parameters()]
    return [*body, *network.head.parameters(), *(network.heads.parameters() if network.heads else ())]


def _learner(model: Network, cut: int, recipe: Recipe, seed: int) -> torch.optim.Optimizer:
    """The optimizer of what the recipe trains: the weights themselves, or adapters that are put on them."""
    if not recipe.rank:
        return _optimizer(model, cut, recipe)
    adapt(model.stages[cut:], rank=recipe.rank, seed=seed)
    optimizer = _optimizer(model, cut, recipe)
    hold_base(model.stages[cut:])
    return optimizer


def _optimizer(network: Network, cut: int, recipe: Recipe) -> torch.optim.Optimizer:
    network.requires_grad_(False)
    for parameter in _trained(network, cut):
        parameter.requires_grad_(True)
    top = recipe.rate_factor * (recipe.rate or 0.01 / math.sqrt(network.head.in_features))
    stages = list(network.stages[cut:])
    groups = []
    for number, stage in enumerate(stages, start=1):
        rate = top * recipe.deepest ** ((len(stages) - number) / max(1, len(stages) - 1))
        groups.append({"params": list(stage.parameters()), "lr": rate})
    groups.append({"params": list(network.head.parameters()), "lr": top * recipe.head})
    if network.heads is not None:
        spread = network.heads.uncertainty
        fresh = [parameter for parameter in network.heads.parameters() if parameter is not spread]
        groups.append({"params": fresh, "lr": _FRESH / math.sqrt(network.head.in_features)})
        groups.append({"params": [spread], "lr": _SPREAD, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, weight_decay=_WEIGHT_DECAY)


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
        loss = _loss(network, lesson.rows(rows), cut) * (len(rows) / len(lesson))
        torch.autograd.backward(loss)
        total += loss.item()
    total = ranks.summed(optimizer, total)
    optimizer.step()
    return total


def _loss(network: Network, lesson: Lesson, cut: int) -> Tensor:
    device = device_of(network)
    if lesson.tasks is None:
        drawn, moves = lesson.features.maps.drawn(), None  # [b * t, c, h, w]
    else:
        drawn, moves = lesson.features.maps.moved()
    noise = nn.functional.dropout(torch.ones(len(drawn), network.head.in_features), _DROPOUT)
    images = ranks.share(len(lesson))
    inputs = slice(images.start * network.inputs, images.stop * network.inputs)
    maps = drawn[inputs].to(device)
    with precision(device, whole=cut == 0):
        last = network.run(maps, cut, len(network.stages))
        embedding = network.embed(last).float()
    embedding = (embedding - network.centre) * noise[inputs].to(device) + network.centre
    logits = network.classify(embedding)  # [b * t, k]
    targets, weights = lesson.targets[images].to(device), lesson.weights[images].to(device)
    loss = (cross_entropy(network.united(logits), targets) * weights).sum() / len(lesson)
    if lesson.tiles is not None:
        targets = lesson.tiles.targets[images].flatten(0, 1).to(device)
        weights = lesson.tiles.weights[images].flatten().to(device)
        loss = loss + (cross_entropy(logits, targets) * weights).sum() / len(drawn)
    if lesson.tasks is None or network.heads is None or moves is None:
        return loss
    answered = network.beside(last.float(), embedding, logits)
    mine = torch.arange(len(lesson))[images]
    beside = losses_beside(network.heads, answered, lesson.tasks.rows(mine), moves[inputs])
    each = {name: losses.sum() / len(lesson) for name, losses in beside.items()}
    return network.heads.united({CLASS: loss, **each}, lesson.tasks.pull, share=len(mine) / len(lesson))


def _check(network: Network, held_out: Lesson, cut: int, step: int, loss: float, pace: float = 1.0) -> Check:
    logits = answers(network, held_out.features.maps, cut)
    if not len(held_out):
        return Check(step, loss, math.inf, logits, pace)
    _, held_out_loss = best_temperature(logits, held_out.targets, held_out.weights)
    if held_out.tasks is None:
        return Check(step, loss, held_out_loss, logits, pace)
    beside, pull = _answers_beside(network, held_out, cut), held_out.tasks.pull or {}
    held_out_loss *= pull.get(CLASS, 1.0)
    held_out_loss += sum(pull.get(name, 1.0) * float(each.mean()) for name, each in beside.items())
    return Check(step, loss, held_out_loss, logits, pace, beside)


def _answers_beside(network: Network, held_out: Lesson, cut: int) -> dict[str, Tensor]:
    """Losses [n] by further task, of the images as they are."""
    parts: list[dict[str, Tensor]] = []
    still = torch.eye(2, 3)
    with torch.inference_mode():
        for rows in torch.split(torch.arange(len(held_out)), max(1, 64 // network.inputs)):
            part = held_out.rows(rows)
            last = network.run(part.features.maps.plain().to(device_of(network)), cut, len(network.stages))
            embedding = network.embed(last)
            said = network.beside(last, embedding, network.classify(embedding))
            if part.tasks is not None and network.heads is not None:
                parts.append(losses_beside(network.heads, said, part.tasks, still.expand(len(last), 2, 3)))
    return {name: torch.cat([part[name] for part in parts]).clone() for name in parts[0]} if parts else {}
