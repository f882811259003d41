"""A search over one strategy's recipe: trials that are judged by held-out images, and the recipe stays unless one of
them is better by more than chance.

Each trial is a whole training with other values, on the material and from the network of the first one. Optuna's
tree-structured Parzen estimator (Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011) proposes
the values from the trials before. What is finished lies in `tuning.json`, so that a killed search goes on after it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial
from torch import Tensor

from runtime.durable import write_whole
from trainer.attempt import Attempt, Task
from trainer.clock import now
from trainer.contest import Outcome
from trainer.evidence import losses_of, standard_error
from trainer.progress import silent
from trainer.rounds.checkpoint import Checkpoint, key_of
from trainer.settings import TrainingSettings
from trainer.split import group_of
from trainer.strategy import recipe_of
from trainer.trials import Trial, better, reasons, write_trials
from trainer.weighing import balanced_weights, soft_targets

RECORD_NAME = "tuning.json"
_BLIND = 5  # trials drawn without looking at others, the recipe's own counted in
_RANGES = {"rate_factor": (0.25, 4.0), "depth_ratio": (0.02, 1.0), "steps_factor": (0.5, 2.0)}
_NOISE = (0.0, 0.15)  # of the labels; evenly, the others by their logarithm


def search(task: Task, held: Outcome, *, trials: int) -> Outcome:
    """The outcome with the best of `trials` other values of its recipe, or as it was where none is better than the
    recipe by more than one standard error over groups. Ends early where the next trial would not fit in the task's
    time. Further tasks learn with every trial, but the class alone judges. Neither the test split nor the gate is
    read."""
    default = held.attempt
    if default.taught.hurried:
        why = "Not tuned: the recipe's own training was cut short."
        return replace(held, tuning={"asked": trials, "finished": 0, "chosen": 0, "reasons": [why]})
    hunt = _Hunt(task, default, _Record(task.out / RECORD_NAME, task.key(default.settings, ranges=_RANGES)))
    tried, end = hunt.run(trials)
    write_trials(task.out / "trials.csv", tried)
    winner = better(tried)
    said = [*reasons(tried, _images(default)), *end]
    tuning = {"asked": trials, "finished": len(tried) - 1, "chosen": winner.number, "values": winner.values}
    attempt = hunt.attempt(winner) if winner.number else default
    return replace(held, attempt=attempt, tuning={**tuning, "reasons": said})


@dataclass(frozen=True)
class _Hunt:
    """What every trial has in common: the task, the recipe's own attempt, the record of what is finished."""

    task: Task
    default: Attempt
    record: _Record

    def run(self, trials: int) -> tuple[list[Trial], list[str]]:
        """The recipe as trial 0 and up to `trials` others, and why it ended early."""
        tried = [self._first(), *(self.record.recall() if self.task.resume else self._forget())][: trials + 1]
        for number in range(len(tried), trials + 1):
            values = proposed(tried, seed=self.default.settings.seed)
            left = self.task.until - now()
            if (expected := _expected(tried, values)) > left:
                why = f"{trials + 1 - number} of {trials} trials were not begun: {max(0.0, left):.0f} s were left"
                return tried, [f"{why}, the next would have taken {expected:.0f} s."]
            trial = self._try(number, values)
            if trial is None:
                return tried, [f"Trial {number} was cut short by the clock and does not count."]
            tried.append(trial)
            self.record.keep(tried[1:])
            self._thin_out(tried)
            self._tell(tried, trials)
        return tried, []

    def attempt(self, trial: Trial) -> Attempt:
        """A trial carried out, or taken over from its finished rounds."""
        began, first = now(), self.default
        settings = TrainingSettings.model_validate({**first.settings.model_dump(), **trial.values})
        course = replace(first.course, settings=settings)
        checkpoint = Checkpoint(self._folder(trial.number), key_of(search=self.record.key, values=trial.values))
        taught = course.teach(
            first.train, first.validation, until=self.task.until, progress=silent, checkpoint=checkpoint
        )
        return replace(first, settings=settings, course=course, taught=taught, seconds=now() - began)

    def _try(self, number: int, values: dict[str, float]) -> Trial | None:
        attempt = self.attempt(Trial(number, values))
        if attempt.taught.hurried:
            return None
        own, losses = self._losses(self.default), self._losses(attempt)
        gain = own - losses
        error = standard_error(gain, [group_of(example) for example in self.default.taught.held_out])
        return Trial(number, values, float(losses.mean()), float(gain.mean()), error, attempt.seconds)

    def _first(self) -> Trial:
        loss = float(self._losses(self.default).mean())
        return Trial(0, recipe_values(self.default.settings), loss, 0.0, 0.0, self.default.seconds)

    def _losses(self, attempt: Attempt) -> Tensor:
        """[n] of the held-out images against the labels as the recipe's own settings doubt them: a trial that doubts
        them more would else be judged by softer ones."""
        images, course = self.default.taught.held_out, self.default.course
        noise = self.default.settings.label_noise
        targets = soft_targets(images, course.labels, course.good, noise=noise)
        return losses_of(attempt.taught.logits, targets, balanced_weights(images, course.good))

    def _folder(self, number: int) -> Path:
        return self.task.out / "checkpoint" / f"trial-{number}"

    def _forget(self) -> list[Trial]:
        """A search that begins anew."""
        self.record.path.unlink(missing_ok=True)
        for folder in (self.task.out / "checkpoint").glob("trial-*"):
            shutil.rmtree(folder, ignore_errors=True)
        return []

    def _thin_out(self, tried: Sequence[Trial]) -> None:
        """Only the best trial's rounds are kept."""
        best = min(tried, key=lambda trial: trial.loss)
        for trial in tried[1:]:
            if trial is not best:
                shutil.rmtree(self._folder(trial.number), ignore_errors=True)

    def _tell(self, tried: Sequence[Trial], trials: int) -> None:
        latest, own = tried[-1], tried[0]
        still = (trials - latest.number) * sum(trial.seconds for trial in tried[1:]) / (len(tried) - 1)
        left = min(still, max(0.0, self.task.until - now()))
        note = f"{latest.number} of {trials}: held-out loss {latest.loss:.4f}, the recipe's {own.loss:.4f}"
        self.task.progress("tuning trial", 0.9 * (latest.number + 1) / (trials + 1), f"{note}, about {left:.0f} s left")


@dataclass(frozen=True)
class _Record:
    """The finished trials of the search with this key; complete or as it was, whenever the process dies."""

    path: Path
    key: str

    def recall(self) -> list[Trial]:
        try:
            about: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [Trial(**row) for row in about["trials"]] if about["key"] == self.key else []

    def keep(self, trials: Sequence[Trial]) -> None:
        write_whole(self.path, json.dumps({"key": self.key, "trials": [asdict(t) for t in trials]}, indent=1) + "\n")


def recipe_values(settings: TrainingSettings) -> dict[str, float]:
    """What is searched over, as the settings have it: nothing but the doubt in the labels where only a head is
    learned. What does not change a recipe (mirrorings, which are a fact about the part) is not searched over."""
    recipe = recipe_of(settings)
    if recipe is None:
        return {"label_noise": settings.label_noise}
    return {
        "rate_factor": recipe.rate_factor,
        "depth_ratio": recipe.deepest,
        "steps_factor": recipe.steps_factor,
        "label_noise": settings.label_noise,
    }


def proposed(tried: Sequence[Trial], *, seed: int) -> dict[str, float]:
    """The next values to try, told by the seed and the trials before (the recipe first) and by nothing else."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ranges = _ranges(tried[0].values)
    sampler = optuna.samplers.TPESampler(seed=seed * 10_007 + len(tried), n_startup_trials=_BLIND)
    study = optuna.create_study(sampler=sampler)
    for trial in tried:
        study.add_trial(create_trial(params=trial.values, distributions=ranges, value=trial.loss))
    return dict(study.ask(ranges).params)


def _ranges(values: dict[str, float]) -> dict[str, Any]:
    """Around the recipe; wide enough for what the user has set."""
    found = {}
    for name, value in values.items():
        low, high = _RANGES.get(name, _NOISE)
        found[name] = FloatDistribution(min(low, value), max(high, value), log=name in _RANGES)
    return found


def _expected(tried: Sequence[Trial], values: dict[str, float]) -> float:
    """Seconds of the next trial, from the slowest so far for each step."""
    known = tried[1:] or tried
    return values.get("steps_factor", 1.0) * max(t.seconds / t.values.get("steps_factor", 1.0) for t in known)


def _images(default: Attempt) -> str:
    groups = len({group_of(example) for example in default.taught.held_out})
    return f"{len(default.taught.held_out)} held-out images in {groups} groups"
