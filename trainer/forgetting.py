"""What a successor has forgotten: its parent and it are asked about the parent's test images, pair by pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from contracts.names import Wire
from contracts.preprocessing import Preprocessing
from runtime.decision import Rule
from runtime.metrics import bootstrap_interval
from trainer.dataset import Example
from trainer.evaluate import predict
from trainer.evaluation.figures import Answers, balanced_accuracy
from trainer.evaluation.report import Estimate
from trainer.trained import TrainedModel
from trainer.weighing import condition_of

_RESAMPLES = 400
_95 = 1.96  # standard errors on each side of an interval
_POINT = 0.01  # of balanced accuracy: less is no loss worth a word
HEAD = ("old test images", "count", "parent", "this model", "difference, paired")
UNKNOWN = "Whether it has forgotten what its parent knew is not known: the parent's run folder is not to be found."


class Kept(Wire):
    """Some of the old test images: balanced accuracy of parent and successor as each decides, and the paired
    difference (below 0: forgotten) with its interval over groups."""

    by: Literal["all", "condition", "site"]
    value: str = ""
    images: int = Field(ge=0)
    before: float
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


def judge_of(model: TrainedModel) -> Judge:
    """A run as it decides."""
    record = model.record
    rule = Rule(record.labels, record.good_labels, record.thresholds)
    return Judge(model.module, record.preprocessing, record.temperature, rule)


def forgetting(parent: TrainedModel, successor: Judge) -> tuple[Kept, ...]:
    """On all test images of the parent's snapshot, and by condition (the order that brought them) and site where there
    are several. Parts without a good and a defective image are left out."""
    old = parent.snapshot.of("test")
    before, after = judge_of(parent).answers(old), successor.answers(old)
    found = [_kept("all", "", list(range(len(old))), before, after)]
    ways: dict[Literal["condition", "site"], Callable[[Example], str]] = {
        "condition": condition_of,
        "site": lambda example: example.site,
    }
    for by, value_of in ways.items():
        values = [value_of(example) for example in old]
        for value in sorted(set(values)) if len(set(values)) > 1 else ():
            rows = [row for row, each in enumerate(values) if each == value]
            found.append(_kept(by, value, rows, before.rows(rows), after.rows(rows)))
    return tuple(each for each in found if each is not None)


def losses_in_words(kept: Sequence[Kept]) -> list[str]:
    """A sentence for all old test images, or for every part of them, that the successor is worse on."""
    return [
        f"FORGETS: on {each.images} old test images{_where(each)} balanced accuracy fell from {each.before:.3f} to "
        f"{each.after:.3f} ({_signed(each.difference)}). Do the new labels contradict the old ones? Are all old images "
        "replayed?"
        for each in kept
        if each.lost
    ]


def in_words(kept: Sequence[Kept]) -> list[str]:
    """The model card's part, in Markdown; nothing where nothing was measured."""
    if not kept:
        return []
    return [
        "## What it has kept of its parent",
        "",
        "Balanced accuracy on the parent's test images:",
        "",
        f"| {' | '.join(HEAD)} |",
        "|---" * len(HEAD) + "|",
        *(f"| {' | '.join(row)} |" for row in rows_of(kept)),
        "",
    ]


def rows_of(kept: Sequence[Kept]) -> list[tuple[str, ...]]:
    """A table's cells under `HEAD`."""
    return [
        (_where(each).strip() or "all", str(each.images), f"{each.before:.3f}", f"{each.after:.3f}",
         _signed(each.difference))
        for each in kept
    ]  # fmt: skip


def _kept(
    by: Literal["all", "condition", "site"], value: str, rows: list[int], before: Answers, after: Answers
) -> Kept | None:
    def gained(chosen: NDArray[np.intp]) -> float | None:
        one, other = balanced_accuracy(before, chosen), balanced_accuracy(after, chosen)
        return None if one is None or other is None else other - one

    everything = np.arange(len(rows))
    one, other = balanced_accuracy(before, everything), balanced_accuracy(after, everything)
    if one is None or other is None:
        return None
    several = len(set(before.groups)) > 1
    bounds = bootstrap_interval(gained, len(rows), groups=before.groups, resamples=_RESAMPLES) if several else None
    low, high = bounds or (None, None)
    difference = Estimate(value=other - one, low=low, high=high)
    return Kept(by=by, value=value, images=len(rows), before=one, after=other, difference=difference)


def _where(kept: Kept) -> str:
    return "" if kept.by == "all" else f" of {kept.by} {kept.value or '(none)'}"


def _signed(found: Estimate) -> str:
    interval = "" if found.low is None or found.high is None else f", 95 %: {found.low:+.3f} to {found.high:+.3f}"
    return f"{found.value:+.3f}{interval}"
