"""The second stage: the network's tail and head follow the images, the stem stays as it was pretrained."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from trainer.evidence import standard_error
from trainer.features import Features, Maps
from trainer.head import Head
from trainer.heads import location_losses, severity_losses
from trainer.marks import TileLesson
from trainer.network import Network
from trainer.strategy import Recipe
from trainer.tasks import CLASS, LOCATION, SEVERITY, TaskLesson
from trainer.threshold import best_temperature

_DROPOUT = 0.2
_WEIGHT_DECAY = 0.05
_BATCH = 32
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


@dataclass(frozen=True)
class Check:
    """One look at the averaged weights. `held_out_loss` is at the best temperature, so that it tells how well the
    images are told apart and not how sure the network sounds; infinite without held-out images. `beside`: name ->
    losses [n] of the further tasks, counted in it."""

    step: int
    loss: float
    held_out_loss: float
    logits: Tensor
    beside: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Tuned:
    """The network at its best check, and all checks; `best` is the one whose weights were kept. `hurried`: the clock
    ended it, not the images."""

    network: Network
    best: Check
    checks: tuple[Check, ...]
    hurried: bool = False


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
) -> Tuned:
    """Train the stages from `cut` on and the head, which starts as `head`; the input network is not changed.

    AdamW with a one-cycle schedule, dropout before the head, weights averaged over the steps (Polyak), bfloat16 where
    the processor computes with it (`precision`). As often as the recipe says the averaged weights answer the held-out
    images (plain views): those with the lowest weighted loss are kept (see `_Kept`), and `recipe.patience` checks in a
    row that are not kept end the training, as does the clock at `until` (seconds of `time.monotonic`). With no held-out
    image the last weights stay.
    """
    model = copy.deepcopy(network).eval()
    adopt(model, head)
    averaged = copy.deepcopy(model)
    pairs = list(zip(_followed(averaged, cut), _followed(model, cut), strict=True))
    steps = steps_of(recipe, len(lesson))
    optimizer = _optimizer(model, cut, recipe)
    rates = [group["lr"] for group in optimizer.param_groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, pct_start=0.2)
    if recipe.learns_statistics:
        model.stages[cut:].train()
    checks = [_check(averaged, held_out, cut, 0, math.nan)]
    kept = _Kept(recipe, held_out, checks[0], checks[0], copy.deepcopy(averaged))
    losses: list[float] = []
    hurried = False
    torch.manual_seed(seed)  # dropout
    for step, rows in enumerate(_batches(len(lesson), steps, seed), start=1):
        losses.append(_step(model, optimizer, lesson.rows(rows), cut))
        schedule.step()
        follow(pairs, min(recipe.memory, (step + 1) / (step + 10)))
        if step % math.ceil(steps / recipe.checks) and step < steps:
            continue
        checks.append(_check(averaged, held_out, cut, step, sum(losses) / len(losses)))
        losses = []
        kept.look(checks[-1], averaged)
        tick(step / steps)
        hurried = time.monotonic() > until and step < steps and kept.stale < recipe.patience
        if kept.stale >= recipe.patience or hurried:
            break
    return Tuned(kept.network, kept.best, tuple(checks), hurried)


@dataclass
class _Kept:
    """Which weights to keep: those of the `lowest` held-out loss, or where the recipe says so the latest that are not
    worse than them by more than one standard error over groups. The schedule ends at a rate of zero, and a loss that
    has few images of a rare class is lowest where chance wants it."""

    recipe: Recipe
    held_out: Lesson
    lowest: Check
    best: Check
    network: Network
    stale: int = 0  # checks since the kept one

    def look(self, check: Check, averaged: Network) -> None:
        """At the latest weights."""
        lower = check.held_out_loss < self.lowest.held_out_loss or not len(self.held_out)
        if lower:
            self.lowest = check
        if lower or (self.recipe.keeps_latest and self._as_good(check)):
            self.best, self.network, self.stale = check, copy.deepcopy(averaged), 0
        else:
            self.stale += 1

    def _as_good(self, check: Check) -> bool:
        difference = self._losses(check) - self._losses(self.lowest)
        error = standard_error(difference, self.held_out.groups)
        return math.isfinite(error) and float(difference.mean()) <= error  # a single group tells nothing

    def _losses(self, check: Check) -> Tensor:
        losses = losses_of(check.logits, self.held_out.targets, self.held_out.weights)
        if self.held_out.tasks is None:
            return losses
        pull = self.held_out.tasks.pull or {}
        beside = [pull.get(name, 1.0) * each.double() for name, each in check.beside.items()]
        return torch.stack([pull.get(CLASS, 1.0) * losses, *beside]).sum(0)


def steps_of(recipe: Recipe, images: int) -> int:
    """How long the schedule is."""
    return max(recipe.fewest_steps, min(recipe.most_steps, recipe.passes * math.ceil(images / _BATCH)))


def step_seconds(network: Network, lesson: Lesson, *, cut: int, recipe: Recipe) -> float:
    """What a step over a batch takes on this machine: the faster of two, on a copy of the network."""
    model = copy.deepcopy(network).eval()
    optimizer = _optimizer(model, cut, recipe)
    times = []
    for _ in range(2):
        began = time.monotonic()
        _step(model, optimizer, lesson, cut)
        times.append(time.monotonic() - began)
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


def follow(pairs: Sequence[tuple[Tensor, Tensor]], memory: float) -> None:
    """Each first tensor moves by 1 - memory towards its second."""
    with torch.no_grad():
        for average, latest in pairs:
            average.lerp_(latest, 1 - memory)


def answers(network: Network, maps: Maps, cut: int) -> Tensor:
    """Logits [n, k] of the images as they are."""
    if not len(maps):
        return torch.empty(0, network.head.out_features)
    with torch.inference_mode():
        parts = [
            network.united(
                network.classify(network.embed(network.run(maps.rows(rows).plain(), cut, len(network.stages))))
            )
            for rows in torch.split(torch.arange(len(maps)), max(1, 64 // network.inputs))
        ]
    return torch.cat(parts).clone()


def losses_of(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """[n] float64: weighted cross-entropy of logits [n, k] at the temperature that suits them best, for targets [n, k]
    that are probabilities."""
    temperature, _ = best_temperature(logits, targets, weights)
    return (cross_entropy(logits / temperature, targets) * weights).double()


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """[n], for targets [n, k] that are probabilities."""
    return -(targets * nn.functional.log_softmax(logits, dim=1)).sum(1)


def precision(cut: int) -> torch.autocast:
    """bfloat16 where the whole network is trained and the processor computes with it; float32 otherwise."""
    fast = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=cut == 0 and fast)


def _trained(network: Network, cut: int) -> list[nn.Parameter]:
    body = [parameter for stage in network.stages[cut:] for parameter in stage.parameters()]
    return [*body, *network.head.parameters(), *(network.heads.parameters() if network.heads else ())]


def _followed(network: Network, cut: int) -> list[Tensor]:
    """What is averaged over the steps: the trained weights and the statistics of their BatchNorm layers."""
    statistics = [buffer for stage in network.stages[cut:] for buffer in stage.buffers() if buffer.is_floating_point()]
    return [*_trained(network, cut), *statistics]


def _optimizer(network: Network, cut: int, recipe: Recipe) -> torch.optim.Optimizer:
    network.requires_grad_(False)
    for parameter in _trained(network, cut):
        parameter.requires_grad_(True)
    top = recipe.rate or 0.01 / math.sqrt(network.head.in_features)
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
    optimizer.step()
    return total


def _loss(network: Network, lesson: Lesson, cut: int) -> Tensor:
    if lesson.tasks is None:
        maps, moves = lesson.features.maps.drawn(), None  # [b, c, h, w]
    else:
        maps, moves = lesson.features.maps.moved()
    with precision(cut):
        last = network.run(maps, cut, len(network.stages))
        embedding = network.embed(last).float()
    embedding = nn.functional.dropout(embedding - network.centre, _DROPOUT) + network.centre
    logits = network.classify(embedding)  # [b * t, k]
    loss = (cross_entropy(network.united(logits), lesson.targets) * lesson.weights).mean()
    if lesson.tiles is not None:
        targets, weights = lesson.tiles.targets.flatten(0, 1), lesson.tiles.weights.flatten()
        loss = loss + (cross_entropy(logits, targets) * weights).mean()
    if lesson.tasks is None or network.heads is None or moves is None:
        return loss
    beside = _beside(network, network.beside(last.float(), embedding, logits), lesson.tasks, moves)
    return network.heads.united(
        {CLASS: loss, **{name: each.mean() for name, each in beside.items()}}, lesson.tasks.pull
    )


def _beside(network: Network, answers: Sequence[Tensor], lesson: TaskLesson, moves: Tensor) -> dict[str, Tensor]:
    """Losses [n] by task, of what `network.beside` answers to inputs that were moved."""
    found, left = {}, list(answers)
    if network.heads is not None and network.heads.tasks.severity is not None:
        found[SEVERITY] = severity_losses(left.pop(0), lesson)
    if left:
        found[LOCATION] = location_losses(left[0], left[1], lesson, moves)
    return found


def _check(network: Network, held_out: Lesson, cut: int, step: int, loss: float) -> Check:
    logits = answers(network, held_out.features.maps, cut)
    if not len(held_out):
        return Check(step, loss, math.inf, logits)
    _, held_out_loss = best_temperature(logits, held_out.targets, held_out.weights)
    if held_out.tasks is None:
        return Check(step, loss, held_out_loss, logits)
    beside, pull = _losses_beside(network, held_out, cut), held_out.tasks.pull or {}
    held_out_loss *= pull.get(CLASS, 1.0)
    held_out_loss += sum(pull.get(name, 1.0) * float(each.mean()) for name, each in beside.items())
    return Check(step, loss, held_out_loss, logits, beside)


def _losses_beside(network: Network, held_out: Lesson, cut: int) -> dict[str, Tensor]:
    """Losses [n] by further task, of the images as they are."""
    parts: list[dict[str, Tensor]] = []
    still = torch.eye(2, 3)
    with torch.inference_mode():
        for rows in torch.split(torch.arange(len(held_out)), max(1, 64 // network.inputs)):
            part = held_out.rows(rows)
            last = network.run(part.features.maps.plain(), cut, len(network.stages))
            embedding = network.embed(last)
            said = network.beside(last, embedding, network.classify(embedding))
            if part.tasks is not None:
                parts.append(_beside(network, said, part.tasks, still.expand(len(last), 2, 3)))
    return {name: torch.cat([part[name] for part in parts]).clone() for name in parts[0]} if parts else {}
