"""What a successor has forgotten: its parent and it are asked about the parent's test images, pair by pair, and about
those of a sister site (see `sisters`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field
from torch import nn

from contracts.names import Wire
from contracts.preprocessing import Preprocessing
from runtime.decision import Rule
from trainer.dataset import Example
from trainer.evaluate import predict
from trainer.evaluation.figures import Answers, balanced_accuracy
from trainer.evaluation.paired import paired
from trainer.evaluation.report import Estimate
from trainer.trained import RunRecord, TrainedModel
from trainer.weighing import condition_of

_95 = 1.96  # standard errors on each side of an interval
_POINT = 0.01  # of balanced accuracy: less is no loss worth a word
HEAD = ("old test images", "count", "parent", "this model", "difference, paired")
UNKNOWN = "Whether it has forgotten what its parent knew is not known: the parent's run folder is not to be found."


By = Literal["all", "condition", "site", "sister"]


class Kept(Wire):
    """Some of the old test images, or of a sister site's: balanced accuracy before (of the parent, or of the sister's
    own model) and of the successor as each decides, and the paired difference (below 0: forgotten) with its interval
    over groups; None where nobody was there before."""

    by: By
    value: str = ""
    against: Literal["parent", "own", "nobody"] = "parent"
    images: int = Field(ge=0)
    before: float | None
    after: float
    difference: Estimate

    @property
    def lost(self) -> bool:
        """Worse by more than a point and by more than one standard error."""
        found = self.difference
        if found.value is None or found.low is None or found.high is None:
            return False
        return -found.value > max(_POINT, (found.high - found.low) / (2 * _95))


@dataclass(frozen=True)
class Judge:
    """A network and how it decides."""

    network: nn.Module
    spec: Preprocessing
    temperature: float
    rule: Rule

    def answers(self, examples: Sequence[Example]) -> Answers:
        """Probabilities for these images."""
        logits = predict(self.network, examples, self.spec) / self.temperature
        return Answers(tuple(examples), logits.double().softmax(1).numpy(), self.rule)


def judge_of(record: RunRecord, module: nn.Module) -> Judge:
    """A run as it decides."""
    rule = Rule(record.labels, record.good_labels, record.thresholds)
    return Judge(module, record.preprocessing, record.temperature, rule)


def forgetting(parent: TrainedModel, successor: Judge) -> tuple[Kept, ...]:
    """On all test images of the parent's snapshot, and by condition (the order that brought them) and site where there
    are several. Parts without a good and a defective image are left out."""
    old = parent.snapshot.of("test")
    before, after = judge_of(parent.record, parent.module).answers(old), successor.answers(old)
    found = [kept_of("all", "", before, after)]
    ways: dict[Literal["condition", "site"], Callable[[Example], str]] = {
        "condition": condition_of,
        "site": lambda example: example.site,
    }
    for by, value_of in ways.items():
        values = [value_of(example) for example in old]
        for value in sorted(set(values)) if len(set(values)) > 1 else ():
            rows = [row for row, each in enumerate(values) if each == value]
            found.append(kept_of(by, value, before.rows(rows), after.rows(rows)))
    return tuple(each for each in found if each is not None)


def kept_of(by: By, value: str, before: Answers | None, after: Answers) -> Kept | None:
    """Both answers to the same images beside each other; None without a good and a defective one."""
    everything = np.arange(len(after.examples))
    one, other = balanced_accuracy(before, everything) if before else None, balanced_accuracy(after, everything)
    if other is None:
        return None
    difference = paired(before, after, balanced_accuracy) if before else Estimate(value=None)
    return Kept(by=by, value=value, images=len(everything), before=one, after=other, difference=difference)


def losses_in_words(kept: Sequence[Kept]) -> list[str]:
    """A sentence for all old test images, or for every part of them, that the successor is worse on; and for a sister
    site that its own model still knows better."""
    return [_behind_sister(each) if each.against == "own" else _forgets(each) for each in kept if each.lost]


def _forgets(kept: Kept) -> str:
    which = "test images" if kept.by == "sister" else "old test images"
    return (
        f"FORGETS: on {kept.images} {which}{_where(kept)} balanced accuracy fell from {_share(kept.before)} to "
        f"{kept.after:.3f} ({_signed(kept.difference)}). Do the new labels contradict the old ones? Are all old images "
        "replayed?"
    )


def _behind_sister(kept: Kept) -> str:
    return (
        f"Not for {kept.value}: on {kept.images} test images{_where(kept)}, on whose release it is built, it reaches a "
        f"balanced accuracy of {kept.after:.3f}, that site's own model {_share(kept.before)} "
        f"({_signed(kept.difference)}). Let each site keep its own."
    )


def in_words(kept: Sequence[Kept]) -> list[str]:
    """The model card's part, in Markdown; nothing where nothing was measured."""
    old, sisters = [each for each in kept if each.by != "sister"], [each for each in kept if each.by == "sister"]
    before = "parent" if any(each.against == "parent" for each in sisters) else "that site's own model"
    return [
        *_table("What it has kept of its parent", "Balanced accuracy on the parent's test images:", HEAD, old),
        *_table(
            "What it has kept of its sister site",
            "Balanced accuracy on the test images of the site on whose release it is built:",
            ("test images", HEAD[1], before, *HEAD[3:]),
            sisters,
        ),
    ]


def rows_of(kept: Sequence[Kept]) -> list[tuple[str, ...]]:
    """A table's cells under `HEAD`."""
    return [
        (_where(each).strip() or "all", str(each.images), _share(each.before), f"{each.after:.3f}",
         _signed(each.difference))
        for each in kept
    ]  # fmt: skip


def _table(title: str, said: str, head: Sequence[str], kept: Sequence[Kept]) -> list[str]:
    if not kept:
        return []
    rows = [f"| {' | '.join(row)} |" for row in rows_of(kept)]
    return [f"## {title}", "", said, "", f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows, ""]


def _where(kept: Kept) -> str:
    kind = "sister site" if kept.by == "sister" else kept.by
    return "" if kept.by == "all" else f" of {kind} {kept.value or '(none)'}"


def _signed(found: Estimate) -> str:
    if found.value is None:
        return "not known"
    interval = "" if found.low is None or found.high is None else f", 95 %: {found.low:+.3f} to {found.high:+.3f}"
    return f"{found.value:+.3f}{interval}"


def _share(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"
