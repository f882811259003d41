"""What a file says about a training: `[training]` of train.toml, and of the file that a retrain is given."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from contracts.errors import ConfigurationError
from contracts.settings import Settings, parse_settings, read_settings
from trainer.settings import TrainingSettings

_STAY = {
    "seed": "the order names it",
    "threads": "say --threads",
    "yardstick": "the first training has measured it",
    "compare_tasks": "the first training has compared them",
    "source_size": "it is taken from the images",
    "severity_levels": "a level means the same in every release; train a first model anew",
    "severity_scale": "a level means the same in every release; train a first model anew",
}  # what a retrain does not take from anybody


class TrainFile(Settings):
    """The hyper-parameters of a training. An option of the command goes before the file. Where neither says anything,
    the option's default counts: `threads` 2, `yardstick` true, `device` auto. `tiles`, `region_of_interest` and areas
    may be written as on the command line: `tiles = "4x2@0.25"`."""

    training: TrainingSettings = TrainingSettings()


def kept_training(file: Path | None) -> dict[str, Any]:
    """What the file says, and nothing of what it leaves to the defaults; empty without a file. Raises
    ConfigurationError naming file, key and remedy."""
    return {} if file is None else said_in(read_settings(file, TrainFile).training)


def said_in(settings: Settings) -> dict[str, Any]:
    """Without what is there by default."""
    return settings.model_dump(exclude_unset=True)


def set_by(words: Iterable[str]) -> dict[str, Any]:
    """What `--set KEY=VALUE` says. The value is TOML, or text where it is none: `replay=2000`, `strategy=full`,
    `hidden=["0,0 9,0 9,9"]`. Raises ConfigurationError naming every wrong key."""
    values: dict[str, Any] = {}
    for word in words:
        key, given, value = word.partition("=")
        if not (key and given):
            raise ConfigurationError(f"--set {word}: say KEY=VALUE, for example --set max_seconds=7200")
        try:
            values[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            values[key] = value
    return said_in(parse_settings(values, TrainingSettings, source="--set"))


def retold(first: TrainingSettings, told: Mapping[str, Any]) -> TrainingSettings:
    """The first training's settings but for what was `told`; where a smallest defect is, tiles are chosen for it anew.
    Raises ConfigurationError for what a retrain takes from nobody, and where the two contradict."""
    for name in sorted(told.keys() & _STAY.keys()):
        raise ConfigurationError(f"a retrain cannot be told {name}: {_STAY[name]}; leave it out")
    fresh = {"tiles": None} if "smallest_defect" in told else {}
    values = {**said_in(first), **fresh, **told}
    return parse_settings(
        values, TrainingSettings, source="what the retrain is told, with the first training's settings"
    )
