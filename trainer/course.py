"""Both stages of training over one or several rounds: out come one network and honest answers to held-out images.

Where the validation split is large enough and nothing new was labelled, one round is trained and checked against it. A
small or a new set, and any that a head alone is fitted to, is parted instead: each round leaves out another part and is
checked against that part and the validation split; the rounds' weights are averaged (a model soup: Wortsman et al.,
ICML 2022). The answers to left-out images, none of them by a network that had seen the image, tell later where the
threshold lies.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from contracts.preprocessing import Preprocessing
from trainer.clock import now
from trainer.dataset import Example
from trainer.features import Features
from trainer.maps import Maps
from trainer.marks import tile_lesson
from trainer.network import Network, settle_statistics
from trainer.progress import Progress
from trainer.rounds import ranks
from trainer.rounds.checking import answers
from trainer.rounds.checkpoint import Checkpoint
from trainer.rounds.finetune import finetune, frozen
from trainer.rounds.head import Head, Regularisation, fit_head
from trainer.rounds.kept import Tuned
from trainer.rounds.lesson import Lesson
from trainer.rounds.midway import Midway
from trainer.settings import TrainingSettings
from trainer.split import folds, group_of
from trainer.strategy import recipe_of
from trainer.tasks import task_lesson
from trainer.threshold import best_temperature
from trainer.views import AS_IT_IS, Flip
from trainer.weighing import HOME, balanced_weights, condition_of, soft_targets

_ENOUGH = 25  # validation images of good and of defect each, from which on that split is believed by itself
_ROUNDS = 3
_PENALTIES = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
_TRIED_ON = 400  # images at most, for the choice of the penalty


@dataclass(frozen=True)
class Material:
    """Labelled images and their features."""

    examples: tuple[Example, ...]
    features: Features

    def rows(self, index: Sequence[int]) -> Material:
        """Some of them."""
        return Material(tuple(self.examples[row] for row in index), self.features.rows(torch.tensor(index).long()))

    def without(self, index: Sequence[int]) -> Material:
        """The others."""
        left_out = set(index)
        return self.rows([row for row in range(len(self.examples)) if row not in left_out])

    def plus(self, other: Material) -> Material:
        """Both, by their plain view alone: all that held-out images need."""
        return Material((*self.examples, *other.examples), self.features.plus(other.features))


@dataclass(frozen=True)
class Taught:
    """The network, and logits [n, k] of the `held_out` images by networks that were not trained on them."""

    network: Network
    held_out: tuple[Example, ...]
    logits: Tensor
    penalty: float
    rounds: tuple[Tuned, ...]
    hurried: bool = False  # the clock ended it before the images did


@dataclass(frozen=True)
class Course:
    """What stays the same over the rounds: the pretrained network, its cut, the classes, the settings and how images
    enter."""

    network: Network
    cut: int
    labels: tuple[str, ...]
    good: tuple[str, ...]
    settings: TrainingSettings
    spec: Preprocessing
    looks: tuple[Flip, ...] = AS_IT_IS  # that the line averages over

    def teach(
        self,
        train: Material,
        validation: Material,
        *,
        until: float,
        progress: Progress,
        checkpoint: Checkpoint | None = None,
    ) -> Taught:
        """All rounds; the one running at `until` (seconds of `trainer.clock`) ends at its next check, as the last.
        Rounds that the checkpoint has are taken from it, and one that it has in part goes on."""
        judges = validation.examples if recipe_of(self.settings) else ()  # a head alone costs nothing: always in rounds
        parts = held_out_parts(train.examples, judges, self.good, seed=self.settings.seed)
        fit = self.regularisation(train)
        rounds: list[Tuned] = []
        for number, part in enumerate(parts):
            began = now()
            if ranks.agreed(bool(rounds) and began >= until, self.network):
                break

            def tick(done: float, number: int = number) -> None:
                progress("training", 0.4 + 0.5 * (number + done) / len(parts), f"round {number + 1} of {len(parts)}")

            limit = began + (until - began) / (len(parts) - number)
            done = checkpoint.recall(number, copy.deepcopy(self.network)) if checkpoint else None
            if done is None:
                midway = checkpoint.midway(number) if checkpoint else None
                held_out = validation.plus(train.rows(part))
                done = self._round(train.without(part), held_out, fit, limit, tick, midway)
                if checkpoint and not done.hurried:
                    checkpoint.keep(number, done)
            rounds.append(done)
        said = [tuned.best.logits for tuned in rounds]
        if self.looks != AS_IT_IS:
            held_out_maps = (validation.plus(train.rows(part)).features.maps for part in parts)
            said = [self.answers(tuned.network, maps) for tuned, maps in zip(rounds, held_out_maps, strict=False)]
        images, logits = _gather(train, validation, parts[: len(rounds)], said)
        hurried = len(rounds) < len(parts) or any(tuned.hurried for tuned in rounds)
        network = self._united(rounds, train)
        network.looks = self.looks
        return Taught(network, images, logits, fit.penalty, tuple(rounds), hurried)

    def answers(self, network: Network, maps: Maps) -> Tensor:
        """Logits [n, k], the mean over the looks that the line will have."""
        return torch.stack([answers(network, maps.mirrored(look), self.cut) for look in self.looks]).mean(0)

    def _united(self, rounds: Sequence[Tuned], train: Material) -> Network:
        """One network of all rounds. From random weights the rounds have little in common: the best one stays."""
        if self.settings.strategy == "scratch":
            return min(rounds, key=lambda tuned: tuned.best.held_out_loss).network
        soup = averaged([tuned.network for tuned in rounds])
        recipe = recipe_of(self.settings)
        if len(rounds) > 1 and recipe is not None and recipe.learns_statistics:
            order = torch.randperm(len(train.examples), generator=torch.Generator().manual_seed(0))
            parts = torch.split(order, max(1, 32 // soup.inputs))
            maps = train.features.maps
            settle_statistics(soup, (maps.rows(part).plain() for part in parts if len(part) * soup.inputs > 1))
        return soup

    def _round(
        self, learned: Material, held_out: Material, fit: Regularisation, until: float, tick: Callable[[float], None],
        midway: Midway | None,
    ) -> Tuned:  # fmt: skip
        lesson, test = self.full_lesson(learned), self.full_lesson(held_out)
        head = self.head(lesson, fit)
        recipe = recipe_of(self.settings)
        if recipe is None:
            return frozen(self.network, head, test, cut=self.cut)
        return finetune(
            self.network,
            head,
            lesson,
            test,
            cut=self.cut,
            recipe=recipe,
            seed=self.settings.seed,
            until=until,
            tick=tick,
            midway=midway,
        )

    def good_mask(self) -> Tensor:
        """[k] bool, in the order of the logits."""
        return torch.tensor([label in self.good for label in self.labels])

    def lesson(self, material: Material) -> Lesson:
        """What the labels say, with balanced weights."""
        targets = soft_targets(material.examples, self.labels, self.good, noise=self.settings.label_noise)
        passes = torch.tensor([example.label in self.good for example in material.examples], dtype=torch.bool)
        groups = tuple(map(group_of, material.examples))
        weights = balanced_weights(material.examples, self.good)
        tiles = tile_lesson(material.features.shown, targets, passes, weights)
        return Lesson(material.features, targets, weights, tiles, groups)

    def full_lesson(self, material: Material) -> Lesson:
        """The lesson, and what the manifest says for the network's further heads."""
        lesson = self.lesson(material)
        if self.network.heads is None:
            return lesson
        tasks, weights = self.network.heads.tasks, self.settings.task_weights
        spec = None if tasks.location is None else self.spec
        pull = None if weights == "learned" else {str(name): weight for name, weight in weights.items()}
        beside = task_lesson(
            material.examples, lesson.weights, self.good, scale=tasks.severity, spec=spec, pull=pull
        )  # fmt: skip
        return replace(lesson, tasks=beside)

    def head(self, lesson: Lesson, fit: Regularisation) -> Head:
        """The logistic head on each input's embedding, averaged over its views (those with grafts by themselves), where
        tiles are known, and else on that of the image, averaged over its tiles."""
        sides = [_taught(lesson, seen) for seen in lesson.features.seen().unbind(1)]
        inputs, targets, weights = (torch.cat(parts) for parts in zip(*sides, strict=True))
        found = fit_head(inputs, targets, weights / weights.mean(), penalty=fit.penalty)
        return found.sharpened(fit.temperature)

    def says(self, head: Head, features: Features, *, view: int = 0) -> Tensor:
        """Logits [n, k] of a head on the untrained network's answers to one view."""
        return self.network.united(head.logits(features.embeddings[:, view].flatten(0, 1)))

    def regularisation(self, train: Material) -> Regularisation:
        """Penalty and temperature of the head with the lowest loss on images of other groups (three grouped folds).
        Each penalty is judged at the temperature that suits it: a strong one sounds modest and would win or lose by
        that alone. The head is sharpened to it and never flattened: what is too sure is calibrated where the line is
        drawn. Found for two thirds of some images a penalty is stated for all, since the sum counts and not each
        image's share. The strongest where there are too few images."""
        tried = train.rows(range(0, len(train.examples), max(1, -(-len(train.examples) // _TRIED_ON))))
        parts = [part for part in folds(tried.examples, _ROUNDS, seed=self.settings.seed) if part]
        if len(parts) < 2:
            return Regularisation(_PENALTIES[0])
        judged = self.lesson(tried.rows([row for part in parts for row in part]))

        def loss(penalty: float) -> tuple[float, Regularisation]:
            said = self._left_out(tried, parts, penalty)
            temperature, lowest = best_temperature(said, judged.targets, judged.weights)
            return lowest, Regularisation(penalty * learned / len(train.examples), min(1.0, temperature))

        learned = len(tried.examples) * (1 - 1 / len(parts))
        return min(map(loss, _PENALTIES), key=lambda found: found[0])[1]

    def _left_out(self, material: Material, parts: Sequence[Sequence[int]], penalty: float) -> Tensor:
        """Logits [n, k] of the images of all parts, in their order, by heads that have not seen the image's part."""
        heads = [self.head(self.lesson(material.without(part)), Regularisation(penalty)) for part in parts]
        return torch.cat(
            [self.says(head, material.rows(part).features) for head, part in zip(heads, parts, strict=True)]
        )


def held_out_parts(
    train: Sequence[Example], validation: Sequence[Example], good: Sequence[str], *, seed: int
) -> list[list[int]]:
    """Rows of `train` that each round leaves out: none in a single round, where the validation split suffices."""
    kinds = [example.label in good for example in validation]
    enough = min(kinds.count(True), kinds.count(False)) >= _ENOUGH
    rows = [row for row, example in enumerate(train) if not enough or condition_of(example) != HOME]
    if not rows:
        return [[]]
    parts = folds([train[row] for row in rows], _ROUNDS, seed=seed)
    return [[rows[number] for number in part] for part in parts if part]


def _taught(lesson: Lesson, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings [m, d], targets [m, k] and weights [m] that a head is fitted to, of `seen` [n, t, d]."""
    if lesson.tiles is None:
        return seen.mean(1), lesson.targets, lesson.weights
    known = lesson.tiles.weights > 0  # [n, t]
    whole = ~known.any(1)
    scale = lesson.weights[~whole].sum() / lesson.tiles.weights.sum()  # tiles share their image's weight
    inputs = torch.cat([seen[known], seen[whole].mean(1)])
    targets = torch.cat([lesson.tiles.targets[known], lesson.targets[whole]])
    return inputs, targets, torch.cat([lesson.tiles.weights[known] * scale, lesson.weights[whole]])


def averaged(networks: Sequence[Network]) -> Network:
    """The network of the mean weights. All come from the same pretrained weights, so the mean is a sensible one."""
    soup = copy.deepcopy(networks[0])
    states = [network.state_dict() for network in networks]
    mean = {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(tensor.dtype)
        for name, tensor in states[0].items()
    }
    soup.load_state_dict(mean)
    return soup.requires_grad_(False).eval()


def _gather(
    train: Material, validation: Material, parts: Sequence[Sequence[int]], said: Sequence[Tensor]
) -> tuple[tuple[Example, ...], Tensor]:
    """Validation images under the mean of the rounds' answers, then every left-out image under its own round's."""
    count = len(validation.examples)
    shared = torch.stack([logits[:count] for logits in said]).mean(0)
    own = [logits[count:] for logits in said]
    left_out = tuple(train.examples[row] for part in parts for row in part)
    return (*validation.examples, *left_out), torch.cat([shared, *own])
