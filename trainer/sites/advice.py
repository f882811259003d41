"""What sites can give each other, as values: what `transfer.json` holds, and what of it is said in words."""

from __future__ import annotations

from pydantic import Field

from contracts.names import Wire
from trainer.evaluation.report import Estimate, LearningCurve
from trainer.evaluation.words import figure
from trainer.sites.gain import Gain, LabelCost

PROBE = (
    "With --strategy probe the backbone stays as it is, so that a way on top of a sister's model is alone again; "
    "tail, the default, tells more."
)


class Reached(Wire):
    """On the test images of one site, or of several."""

    balanced_accuracy: Estimate
    auroc: Estimate
    images: int = Field(default=0, ge=0)


class Way(Wire):
    """One way to a model for the target. `held_out_loss` is of the target's own labelled images, each answered by a
    network that had not seen it; it decides. `test` is read once and decides nothing. `gain` is over alone (None: it is
    alone), `cost` what that would cost alone in labels (None: nothing tells)."""

    name: str
    images: int = Field(ge=0, description="learned from")
    seconds: float = Field(ge=0.0)
    held_out_loss: float
    held_out_auroc: float | None
    test: Reached
    gain: Gain | None = None
    cost: LabelCost | None = None


class Advice(Wire):
    """For one target with that many labels. `curve`: of all the labels that it has, which tells what others would bring
    (None: too few)."""

    target: str
    labels: int
    ways: tuple[Way, ...]
    chosen: str
    why: str
    curve: LearningCurve | None = None
    folder: str = Field(default="", description="of the ways' runs")

    def way(self, name: str) -> Way:
        """The way of that name."""
        return next(way for way in self.ways if way.name == name)


class TransferReport(Wire):
    """`transfer.json`. `matrix[source][target]`: the model of one site as it is, on another's test; `pooled[target]`:
    one model of all sites, of which `overall` is the test of all together. Several advices for a target: with so many
    of its labels."""

    schema_version: int = 1
    base_model: str = ""
    strategy: str = ""
    matrix: dict[str, dict[str, Reached]]
    pooled: dict[str, Reached] = {}
    overall: Reached | None = None
    advice: tuple[Advice, ...]

    def by_target(self) -> dict[str, tuple[Advice, ...]]:
        """The advices for each target, fewest labels first."""
        names = dict.fromkeys(advice.target for advice in self.advice)
        return {
            name: tuple(sorted((a for a in self.advice if a.target == name), key=lambda a: a.labels)) for name in names
        }


def in_words(advice: Advice) -> list[str]:
    """What to take, what may be expected of it, what that would cost in labels, and what the guard kept out."""
    chosen = advice.way(advice.chosen)
    harmful = [way.name for way in advice.ways if way.gain is not None and way.gain.harms]
    guard = f"Negative transfer: {' and '.join(harmful)} surely worse than alone." if harmful else ""
    if chosen.gain is None:
        return list(filter(None, ["Expected gain: none; what the others have does not surely help.", guard]))
    gain = chosen.gain
    expected = (
        f"Expected against alone, on held-out images: loss lower by {figure(gain.loss)}, balanced accuracy "
        f"{signed(gain.balanced_accuracy)}, AUROC {signed(gain.auroc)}."
    )
    return list(filter(None, [expected, _cost(advice, chosen), guard]))


def _cost(advice: Advice, chosen: Way) -> str:
    if chosen.cost is None:
        why = "too few labels for a learning curve" if advice.curve is None else "the gain is unknown"
        return f"What alone would need for that in labels is not known: {why}."
    return f"Alone would need, in labels of its own for as much balanced accuracy: {chosen.cost.in_words()}."


def signed(found: Estimate) -> str:
    """A difference and its interval.

    >>> signed(Estimate(value=0.5, low=-0.25, high=0.75))
    '+0.500 (-0.250 to +0.750)'
    """
    interval = "" if found.low is None or found.high is None else f" ({found.low:+.3f} to {found.high:+.3f})"
    return "unknown" if found.value is None else f"{found.value:+.3f}{interval}"
