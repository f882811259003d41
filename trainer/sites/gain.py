"""What another way to a model is worth to a site: its gain over the site alone, and the labels that would buy it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field
from torch import Tensor

from contracts.names import Wire
from trainer.attempt import Task
from trainer.course import Material
from trainer.dataset import Example
from trainer.evaluation.curve import extrapolate, learning_curve
from trainer.evaluation.figures import Answers, area, balanced_accuracy
from trainer.evaluation.paired import paired, resampled
from trainer.evaluation.report import Estimate, LearningCurve
from trainer.rounds.head import Regularisation
from trainer.settings import TrainingSettings
from trainer.views import View

_AHEAD = 4  # times the labels, as far as a learning curve is continued
_STEPS = 300  # in which the curve is followed that far


class Gain(Wire):
    """Over alone, on the same held-out images; above 0: better. Intervals are over groups, and paired."""

    loss: Estimate = Field(description="nats by which the held-out loss is lower")
    auroc: Estimate
    balanced_accuracy: Estimate = Field(description="as each decides")

    @property
    def harms(self) -> bool:
        """Negative transfer: the loss is surely higher than alone's."""
        return self.loss.high is not None and self.loss.high < 0


class LabelCost(Wire):
    """How many more labels of its own would bring the site alone as much balanced accuracy, by the learning curve of a
    linear head on frozen features: for the gain, and for both ends of its interval. None: not within `within` labels
    in all."""

    more: int | None
    least: int | None
    most: int | None
    within: int = Field(ge=0)

    def in_words(self) -> str:
        """For a sentence: `60 (10 to 150)`.

        >>> LabelCost(more=60, least=0, most=None, within=400).in_words()
        '60 more (0 to more than there are within 400 labels)'
        >>> LabelCost(more=None, least=20, most=None, within=400).in_words()
        'not within 400 labels (20 more at least)'
        """
        if self.more is None:
            least = f" ({self.least} more at least)" if self.least else ""
            return f"not within {self.within} labels{least}"
        if self.least == self.most == self.more:
            return f"{self.more} more"
        most = f"more than there are within {self.within} labels" if self.most is None else str(self.most)
        return f"{self.more} more ({self.least} to {most})"


def gain_over(alone: tuple[Answers, Tensor], way: tuple[Answers, Tensor]) -> Gain:
    """Of answers to the same held-out images, with their losses [n] (see `contest.comparable_losses`)."""
    before, after = alone[0], way[0]
    saved = (alone[1] - way[1]).double().numpy()
    return Gain(
        loss=resampled(lambda rows: float(saved[rows].mean()), before.groups),
        auroc=paired(before, after, area),
        balanced_accuracy=paired(before, after, balanced_accuracy),
    )


def own_curve(
    task: Task, settings: TrainingSettings, examples: Sequence[Example], penalty: float
) -> LearningCurve | None:
    """Of these labelled images with a linear head on the task's frozen base model; None where they are too few. It may
    be of more labels than the task learns from: it tells what labels cost, and chooses nothing."""
    course, stem, _ = task.begin(settings.model_copy(update={"strategy": "probe"}))
    return learning_curve(
        course, Material(tuple(examples), stem.features(examples, (View(0),))), fit=Regularisation(penalty)
    )


def label_cost(curve: LearningCurve, labels: int, gain: Estimate) -> LabelCost | None:
    """Of a gain in balanced accuracy by who has that many labels; None where the gain is unknown. The curve is followed
    to four times the most images that it was measured with.

    >>> curve = LearningCurve(points=[(n, n**-0.5) for n in (25, 50, 75, 100)], expected=())
    >>> label_cost(curve, 100, Estimate(value=0.02, low=-0.01, high=0.06)).in_words()
    '57 more (0 to more than there are within 400 labels)'
    """
    if gain.value is None:
        return None
    within = _AHEAD * max(labels, curve.points[-1][0])
    counts = sorted({round(count) for count in np.linspace(labels, within, _STEPS)})
    errors = _errors(curve, counts)

    def more(gained: float) -> int | None:
        return next((n - labels for n, error in zip(counts, errors, strict=True) if error <= errors[0] - gained), None)

    low, high = (gain.value if end is None else end for end in (gain.low, gain.high))
    return LabelCost(more=more(gain.value), least=more(low), most=more(high), within=within)


def _errors(curve: LearningCurve, counts: Sequence[int]) -> list[float]:
    """Never rising: between the points that were measured on a line, beyond them by the power law."""
    sizes, errors = np.array(curve.points, dtype=np.float64).T
    falling = np.minimum.accumulate(errors)
    beyond = [count for count in counts if count > sizes[-1]]
    last = float(falling[-1])
    within = np.interp([count for count in counts if count <= sizes[-1]], sizes, falling).tolist()
    return [*within, *(min(last, error) for _, error in extrapolate(curve.points, beyond))]
