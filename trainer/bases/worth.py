"""What the comparison of pretrained with random weights says: a value for the card, a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from contracts.names import Wire
from trainer.bases.yardstick import negative_transfer
from trainer.trained import RunRecord

Weights = Literal["pretrained", "random"]
_WEIGHTS: tuple[Weights, Weights] = ("pretrained", "random")
_UNKNOWN = "Whether the base model's weights beat random ones is unknown"


class Reached(Wire):
    """A linear head on the frozen network, 0..1; None where the images lack a kind."""

    balanced_accuracy: float | None = None
    auroc: float | None = None


class Worth(Wire):
    """The same head over pretrained and over random weights. `why_not`: why that is not known; empty where it is."""

    why_not: str = ""
    validation: dict[Weights, Reached] = {}
    test: dict[Weights, Reached] = {}
    loud: str = ""

    def sentence(self) -> str:
        """One line, whatever is known."""
        if self.why_not:
            return f"{_UNKNOWN}: {self.why_not}."
        if self.loud:
            return self.loud
        pretrained, random = (self.validation[name] for name in _WEIGHTS)
        verdict = "better" if (pretrained.auroc or 0.0) > (random.auroc or 0.0) else "nothing is left to win"
        return (
            f"The base model's weights against random ones, a linear head on validation images: AUROC "
            f"{_share(pretrained.auroc)} against {_share(random.auroc)}, balanced accuracy "
            f"{_share(pretrained.balanced_accuracy)} against {_share(random.balanced_accuracy)}: {verdict}."
        )


def worth_of(record: RunRecord) -> Worth:
    """What a run knows of it."""
    found = record.details.get("yardstick")
    if not found:
        return Worth(why_not=_why_nobody_compared(record))
    validation = found.get("validation")
    return Worth(
        why_not=_why_unknown(validation),
        validation=_reached(validation or {}),
        test=_reached(found),
        loud=negative_transfer(found) or "",
    )


def _reached(found: Mapping[str, Any]) -> dict[Weights, Reached]:
    return {name: Reached.model_validate(found[name]) for name in _WEIGHTS if name in found}


def _why_unknown(validation: Mapping[str, Any] | None) -> str:
    if validation is None:
        return "an older version compared them on the test images alone"
    known = all(validation[name]["auroc"] is not None for name in _WEIGHTS)
    return "" if known else "the validation split lacks good or defective images"


def _why_nobody_compared(record: RunRecord) -> str:
    if record.lineage.order_id is not None:
        return "not compared, a retrain keeps its base model; see the card of the site's first model"
    if record.lineage.training.get("strategy") == "scratch":
        return "not compared, this model was trained from random weights"
    return "not compared, the training was not asked to (lineside train --yardstick does)"


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
