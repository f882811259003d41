"""The trials of a search as values: which one wins, what is to be said, and `trials.csv`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Trial:
    """One training with these `values`; number 0 is the recipe as it is. `loss` on held-out images, `gain` how far it
    is below the recipe's on the same images, `error` the standard error of that over groups."""

    number: int
    values: dict[str, float]
    loss: float = 0.0
    gain: float = 0.0
    error: float = 0.0
    seconds: float = 0.0


def better(tried: Sequence[Trial]) -> Trial:
    """The trial with the lowest loss, where it is better than the recipe (the first) by more than one standard error;
    else the recipe. So a search never chooses what looks worse by this measure."""
    lowest = min(tried, key=lambda trial: trial.loss)
    return lowest if lowest.gain > lowest.error else tried[0]


def reasons(tried: Sequence[Trial], images: str) -> list[str]:
    """What was tried, what won and why; `images` says what judged."""
    names = ", ".join(name.replace("_", " ") for name in tried[0].values)
    said = [f"{len(tried) - 1} trials over {names}, judged by the loss of {images}; the test was not read."]
    if len(tried) == 1:
        return [*said, "Chosen: the recipe as it is."]
    lowest = min(tried[1:], key=lambda trial: trial.loss)
    said.append(
        f"Best trial {lowest.number}: loss {lowest.loss:.4f}, the recipe's {tried[0].loss:.4f} (a gain of "
        f"{lowest.gain:.4f}, one standard error over groups is {lowest.error:.4f})."
    )
    if better(tried) is tried[0]:
        return [*said, "Chosen: the recipe as it is, since no trial is better by more than one standard error."]
    values = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in lowest.values.items())
    return [
        *said,
        f"Chosen: {values}. The lowest of several losses is low by luck too: believe the test, not the gain.",
    ]


def write_trials(path: Path, tried: Sequence[Trial]) -> None:
    """`trials.csv`: a row for each trial, the recipe first; `chosen` is 1 in one of them."""
    winner = better(tried)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        names = list(tried[0].values)
        writer.writerow(("trial", *names, "held_out_loss", "gain", "standard_error", "seconds", "chosen"))
        for trial in tried:
            values = [f"{trial.values[name]:.6g}" for name in names]
            figures = [f"{value:.6g}" for value in (trial.loss, trial.gain, trial.error, trial.seconds)]
            writer.writerow((trial.number, *values, *figures, int(trial is winner)))
