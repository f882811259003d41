"""Curves of a run as PNG: how the training went, how far scores can be believed, what more images would bring."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from pathlib import Path
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from trainer.evaluation.report import Calibration, LearningCurve

_INK, _LOUD, _MUTE = "#1c2330", "#b3261e", "#9aa3b0"


def training_curves(curves: Path) -> bytes | None:
    """`curves.csv` of a run: loss of the training and of the held-out images over the steps, a line for each round
    (two where it was begun again); a dot where the weights were kept. None where nothing was trained step by step."""
    rounds: dict[tuple[int, str], list[dict[str, str]]] = defaultdict(list)
    with curves.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rounds[int(row["round"]), row.get("pace", "1.0")].append(row)
    if all(len(rows) < 2 for rows in rounds.values()):
        return None
    figure, axes = _axes("training", "step", "loss")
    for number, rows in rounds.items():
        steps = [int(row["step"]) for row in rows]
        first = number == min(rounds)
        axes.plot(steps, [float(row["loss"]) for row in rows], color=_MUTE, label="training" if first else None)
        held_out = [float(row["held_out_loss"]) for row in rows]
        axes.plot(steps, held_out, color=_INK, label="held-out" if first else None)
        kept = [(step, loss) for step, loss, row in zip(steps, held_out, rows, strict=True) if row["kept"] == "1"]
        if kept:
            axes.plot(*zip(*kept, strict=True), "o", color=_LOUD, label="kept" if first else None)
    axes.legend(frameon=False)
    return _png(figure)


def tuning_trials(trials: Path) -> bytes | None:
    """`trials.csv` of a search: the held-out loss of each trial, the recipe's as a line with the trials' median
    standard error below, and which one was chosen. None where nothing but the recipe was tried."""
    with trials.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if len(rows) < 2:
        return None
    figure, axes = _axes("tuning", "trial", "held-out loss")
    numbers, losses = [int(row["trial"]) for row in rows], [float(row["held_out_loss"]) for row in rows]
    error = median(float(row["standard_error"]) for row in rows[1:])
    axes.axhline(losses[0], color=_MUTE, linestyle=":", label="the recipe")
    if math.isfinite(error):
        axes.axhspan(losses[0] - error, losses[0], color=_MUTE, alpha=0.2, linewidth=0, label="not told from it")
    axes.plot(numbers, losses, "o", color=_INK)
    chosen = next(number for number, row in enumerate(rows) if row["chosen"] == "1")
    axes.plot(numbers[chosen], losses[chosen], "o", color=_LOUD, label="chosen")
    axes.legend(frameon=False)
    return _png(figure)


def reliability(calibration: Calibration) -> bytes:
    """Share of defects over the defect score, in bins; on the diagonal a score of 0.3 means three defects in ten."""
    figure, axes = _axes("calibration", "defect score", "share of defects")
    axes.plot([0, 1], [0, 1], color=_MUTE, linestyle=":")
    scores, shares, _ = zip(*calibration.bins, strict=True)
    axes.plot(scores, shares, "o-", color=_INK)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    return _png(figure)


def more_images(curve: LearningCurve) -> bytes:
    """The learning curve, measured and continued."""
    figure, axes = _axes("what more images would bring", "images learned from", "balanced error")
    counts, errors = zip(*curve.points, strict=True)
    axes.plot(counts, errors, "o-", color=_INK, label="measured")
    axes.plot(*zip(curve.points[-1], *curve.expected, strict=True), "o:", color=_LOUD, label="expected")
    axes.set_xscale("log")
    axes.set_xticks([*counts, *(count for count, _ in curve.expected)])
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return _png(figure)


def _axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.6, 3.2), dpi=130, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=10, color=_INK)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _png(figure: Figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()
