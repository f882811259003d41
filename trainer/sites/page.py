"""The transfer between sites as one HTML file that needs nothing else: who can do what where, and what to take."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader

from trainer.evaluation.plots import more_images
from trainer.evaluation.report import Estimate
from trainer.evaluation.words import figure
from trainer.sites.advice import PROBE, Advice, Reached, TransferReport, in_words, signed
from trainer.thumbnail import data_address

_CHANCE, _STRONGEST = 0.5, 0.7  # balanced accuracy of a coin; opacity of the strongest colour
_RIGHT, _WRONG = "26, 120, 84", "179, 38, 30"
_WIDTH = 160.0  # pixels of an interval's drawing


def page(report: TransferReport) -> str:
    """HTML of the report."""
    environment = Environment(loader=PackageLoader("trainer.sites", "."), autoescape=True)
    return environment.get_template("transfer.html.jinja").render(
        report=report,
        sites=list(report.matrix),
        targets=report.by_target(),
        words=in_words,
        remark=PROBE if report.strategy == "probe" else "",
        colour=colour,
        interval=_interval,
        drawn=_drawn,
        shown=figure,
        signed=signed,
        curve=_curve,
    )


def colour(reached: Reached) -> str:
    """Background of a cell: green from chance to right, red below chance, none where it is unknown.

    >>> colour(Reached(balanced_accuracy=Estimate(value=1.0), auroc=Estimate(value=1.0)))
    'rgba(26, 120, 84, 0.70)'
    """
    value = reached.balanced_accuracy.value
    if value is None:
        return "transparent"
    strength = min(1.0, abs(value - _CHANCE) / (1 - _CHANCE)) * _STRONGEST
    return f"rgba({_RIGHT if value >= _CHANCE else _WRONG}, {strength:.2f})"


def _interval(found: Estimate) -> str:
    return "" if found.low is None or found.high is None else f"{found.low:.3f} to {found.high:.3f}"


def _drawn(advice: Advice) -> dict[str, tuple[float, float, float]]:
    """For each way but alone, where its gain in loss begins, is and ends, in pixels of a drawing with 0 in its
    middle."""
    gains = {way.name: way.gain.loss for way in advice.ways if way.gain is not None}
    ends = [abs(end) for found in gains.values() for end in (found.value, found.low, found.high) if end is not None]
    most = max(ends, default=0.0) or 1.0

    def place(value: float | None, otherwise: float) -> float:
        return _WIDTH / 2 * (1 + 0.95 * (otherwise if value is None else value) / most)

    return {
        name: (place(found.low, found.value), place(found.value, 0.0), place(found.high, found.value))
        for name, found in gains.items()
        if found.value is not None
    }


def _curve(advice: Advice) -> str:
    """The learning curve as a data address; empty where there is none."""
    return "" if advice.curve is None else data_address("image/png", more_images(advice.curve))
