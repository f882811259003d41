"""The sister site whose release a model was made on top of: its test images, and what its own model says to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from safetensors.torch import load_file

from contracts.errors import ConfigurationError, DatasetError
from trainer.attempt import good_labels
from trainer.bases.backbone import BaseModel
from trainer.bases.verify import backbone_of
from trainer.dataset import Example
from trainer.forgetting import Judge, Kept, judge_of, kept_of
from trainer.snapshot import Snapshot, tested_images
from trainer.split import group_of
from trainer.trained import RunRecord, load_model
from trainer.workspace import runs_of


@dataclass(frozen=True)
class Sister:
    """`name` of its base model; `lost` of its test images are gone or changed, `learned` ones are this model's own to
    learn; neither is asked about. `good`: its classes that pass. `judge`: its own model, None where that is gone."""

    name: str
    test: tuple[Example, ...]
    lost: int
    learned: int
    good: tuple[str, ...]
    judge: Judge | None

    def remarks(self) -> list[str]:
        """What cannot be said about it."""
        found = []
        if self.lost:
            count = len(self.test) + self.learned + self.lost
            found.append(
                f"Of {count} test images of the sister site {self.name} {self.lost} are gone or changed: what is said "
                "about that site is without them."
            )
        if self.learned:
            found.append(
                f"{self.learned} test images of the sister site {self.name}, or others of their groups, were learned "
                "here: they tell nothing about that site."
            )
        return found


def sister_of(base: BaseModel, snapshot: Snapshot) -> Sister | None:
    """The site whose release the base model is, as seen by a model of that snapshot; None for any other base model, or
    where its snapshot is gone altogether."""
    if base.snapshot is None:
        return None
    try:
        test, lost = tested_images(base.snapshot)
    except DatasetError:
        return None
    learned = snapshot.of("train", "validation")
    known = {example.sha256 for example in learned} | {group_of(example) for example in learned}
    unseen = tuple(e for e in test if e.sha256 not in known and group_of(e) not in known)
    model = _own_model(base)
    good = model[0].good_labels if model else _usually_good(test)
    judge = judge_of(*model) if model else None
    return Sister(base.id, unseen, lost, len(test) - len(unseen), good, judge)


def on_sister(sister: Sister, parent: Judge | None, model: Judge) -> tuple[Kept, ...]:
    """On the sister's test images, for each site in them: against the parent where there is one, else against the
    sister's own model, else by itself. A class of the sister's that the model does not know passes where it passes at
    the sister, and else counts as a defect."""
    before, against = (parent, "parent") if parent else (sister.judge, "own")
    asked = _with_good(model, sister.good).answers(sister.test) if sister.test else None
    if asked is None:
        return ()
    told = _with_good(before, sister.good).answers(sister.test) if before else None
    names = [example.site or sister.name for example in sister.test]
    found = []
    for name in sorted(set(names)):
        rows = [row for row, each in enumerate(names) if each == name]
        kept = kept_of("sister", name, told.rows(rows) if told else None, asked.rows(rows))
        found.append(kept and kept.model_copy(update={"against": against if told else "nobody"}))
    return tuple(filter(None, found))


def _with_good(judge: Judge, good: Sequence[str]) -> Judge:
    more = tuple(name for name in good if name not in judge.rule.labels)
    return replace(judge, rule=replace(judge.rule, good_labels=(*judge.rule.good_labels, *more)))


def _usually_good(examples: Sequence[Example]) -> tuple[str, ...]:
    try:
        return good_labels(sorted({example.label for example in examples}))
    except ConfigurationError:
        return ()


def _own_model(base: BaseModel) -> tuple[RunRecord, torch.nn.Module] | None:
    """The run whose backbone the base model is; None where it is not found."""
    if base.snapshot is None or base.weights is None:
        return None
    wanted = load_file(base.weights)
    for folder in runs_of(base.snapshot):
        try:
            record, module = load_model(folder)
        except ConfigurationError:
            continue
        found = backbone_of(record, module)
        if found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted):
            return record, module
    return None
