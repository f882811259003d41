"""What `lineside train` was asked for, as settings, and what of it is refused before any image is read."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from contracts.errors import ConfigurationError, DatasetError
from contracts.names import Name
from lineside.models import chosen_base
from lineside.sides import sides
from lineside.train_file import kept_training
from trainer.attempt import refuse_unfit
from trainer.dataset import BOXES_COLUMN, MASK_COLUMN, columns_of
from trainer.device import device_for
from trainer.layout import MASKS
from trainer.parting import Parting, SplitBy
from trainer.rounds import ranks
from trainer.settings import TrainingSettings
from trainer.trained import RUN_NAME

_OPTIONS = {
    "tasks": "task",
    "input_width": "size",
    "input_height": "size",
    "choose_size": "size",
}  # where it is not the setting's own name


_SIZES = "pixels a side, WIDTHxHEIGHT as in 352x144, or auto"


@dataclass(frozen=True)
class TrainOptions:
    """What `lineside train` was asked for. `unsaid`: options at their default, before which goes what the file `config`
    says."""

    data: Path
    out: Path
    workspace: Path
    site: str = "site-1"
    only_site: str | None = None
    product: str = "default"
    base: str | None = None
    weights: Path | None = None
    good_labels: tuple[str, ...] = ()
    owner: str = "unknown"
    licence: str = ""
    permitted_use: str = "unknown"
    seed: int = 0
    threads: int = 2
    yardstick: bool = False
    split_by: SplitBy = "group"
    resume: bool = False
    overwrite: bool = False
    tune: int = 0
    size: str | None = None
    config: Path | None = None
    unsaid: frozenset[str] = frozenset()
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def parting(self) -> Parting:
        """How the images are split."""
        return Parting(seed=self.seed, only_site=self.only_site, by=self.split_by, workspace=self.workspace)


def settings_of(options: TrainOptions) -> TrainingSettings:
    """Raises ConfigurationError naming the option, or the file and its key."""
    kept = kept_training(options.config)
    auto = (options.size or "").lower() == "auto"
    width, height = (None, None) if auto or options.size is None else sides(options.size, asked=_SIZES)
    given = {
        "choose_size": auto,
        "input_width": width,
        "input_height": height,
        "seed": options.seed,
        "threads": options.threads,
        "good": options.good_labels,
        "yardstick": options.yardstick,
        **options.settings,
    }
    kept = {n: v for n, v in kept.items() if n not in given or _OPTIONS.get(n, n) in options.unsaid}
    try:
        return TrainingSettings.model_validate({**given, **kept})
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise ConfigurationError(first["msg"].removeprefix("Value error, ")) from error
        name = str(first["loc"][0])
        option = _OPTIONS.get(name, name.replace("_", "-"))
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"--{option}: {message}, not {first['input']!r}") from error


def refuse_early(options: TrainOptions) -> TrainingSettings:
    """What is wrong whatever the images are, before anybody waits for them to be read; the settings where nothing is.
    Raises ConfigurationError and DatasetError."""
    settings = settings_of(options)
    if (options.out / RUN_NAME).exists() and not (options.overwrite or options.resume):
        raise ConfigurationError(
            f"{options.out} holds a finished run, which would be lost; choose another --out, or say --overwrite"
        )
    _refuse_name("site", options.site)
    _refuse_name("product", options.product)
    refuse_unfit(settings, chosen_base(options.workspace, name=options.base, weights=options.weights))
    ranks.refuse_crowded(device_for(settings.device))
    if not options.data.exists():
        raise DatasetError(f"there is no manifest or folder {options.data}; look at the path")
    _refuse_idle(settings)
    _refuse_untold(settings, options.data)
    return settings


def _refuse_name(option: str, said: str) -> None:
    """Names of sites and products become part of topics, paths and addresses."""
    try:
        TypeAdapter(Name).validate_python(said)
    except ValidationError as error:
        plain = unicodedata.normalize("NFKD", said).encode("ascii", "ignore").decode().lower()
        near = re.sub("[^a-z0-9]+", "-", plain).strip("-")[:64] or f"{option}-1"
        raise ConfigurationError(
            f"--{option}: a name has small letters, digits and hyphens, 64 at most, not {said!r}; say, for example, "
            f"{near}"
        ) from error


def _refuse_idle(settings: TrainingSettings) -> None:
    """What says something about a task that nobody asked for."""
    about_severity = settings.severity_levels is not None or settings.severity_column != "severity"
    if about_severity and "severity" not in settings.tasks:
        raise ConfigurationError("--severity-column and --severity-levels need --task severity; say it too")
    if settings.compare_tasks and not settings.tasks:
        raise ConfigurationError("--compare-tasks needs --task severity or --task location; say one too")
    named = set() if settings.task_weights == "learned" else set(settings.task_weights) - {"class", *settings.tasks}
    if named or (settings.task_weights and not settings.tasks):
        raise ConfigurationError(
            f"--task-weights is about a task that is not asked for; say --task {min(named, default='location')} too"
        )


def _refuse_untold(settings: TrainingSettings, data: Path) -> None:
    """A task of which the images' manifest or folder cannot tell anything."""
    for task in settings.tasks:
        if data.is_dir():
            _refuse_untold_by_folder(task, data)
        else:
            _refuse_untold_by_manifest(task, settings, data)


def _refuse_untold_by_folder(task: str, folder: Path) -> None:
    if task != "location" or not (folder / MASKS).is_dir():
        more = f", and with masks in {MASKS} the place" if task == "location" else ""
        raise DatasetError(f"--task {task}: a folder tells the class alone{more}; write a manifest of {folder}")


def _refuse_untold_by_manifest(task: str, settings: TrainingSettings, manifest: Path) -> None:
    columns, remedy = (
        ((settings.severity_column,), "name one of them with --severity-column, or add it")
        if task == "severity"
        else (
            (BOXES_COLUMN, MASK_COLUMN),
            "write the boxes into it: 'left top right bottom' in pixels, several apart by semicolons; or name a "
            f"picture of the defect, white on black, in a column {MASK_COLUMN!r}",
        )
    )
    if not set(columns) & set(found := columns_of(manifest)):
        raise DatasetError(
            f"--task {task}: {manifest} has no column {columns[0]!r}, only {', '.join(found) or 'none'}; {remedy}"
        )
