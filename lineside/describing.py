"""What a person says of a base model at `lineside models add`, as an entry of the catalogue; and which run is meant."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contracts.bundle import MANIFEST_NAME
from contracts.errors import ConfigurationError
from lineside.sides import sides
from runtime.bundle import open_bundle
from trainer.bases.catalogue import Entry
from trainer.trained import RUN_NAME
from trainer.workspace import recall_model

_OPTIONS = {
    "limits": "limit", "biases": "bias", "width": "size", "height": "size", "repository": "hub", "file": "hub-file"
}  # fmt: skip
"""Keys of an entry whose option has another name."""
_OF_A_RUN = ("id", "documentation", "limits", "biases", "reviewer", "expires")
"""What may be said of a run; the rest it says itself."""


def described(said: Mapping[str, Any], *, today: date) -> Entry:
    """The entry of weights from elsewhere. `said`: keys of an `Entry` as they were typed, None or empty where nothing
    was; besides, `size`, and `hub`, `revision` and `hub_file`. Raises ConfigurationError naming the option."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", said["id"]):
        raise ConfigurationError(f"--id {said['id']!r}: letters, digits, '.', '_' and '-'; it names a file, too")
    told = {name: value for name, value in said.items() if value not in (None, "", ())}
    repository, revision, file = (told.pop(name, None) for name in ("hub", "revision", "hub_file"))
    if not repository and (revision or file):
        raise ConfigurationError("--revision and --hub-file are about a hub: say --hub OWNER/NAME too")
    if repository:
        told["hub"] = {"repository": repository, "revision": _commit(revision), **({"file": file} if file else {})}
    if "size" in told:
        told["width"], told["height"] = sides(told.pop("size"))
    for name in ("mean", "std"):
        if name in told:
            told[name] = _channels(name, told[name])
    if "model_args" in told:
        told["model_args"] = _arguments(told["model_args"])
    if "expires" in told:
        told["expires"] = _day(told["expires"])
    try:
        return Entry.model_validate({**told, "reviewed": today if told.get("reviewer") else None})
    except ValidationError as error:
        first = error.errors()[0]
        names = [str(part) for part in first["loc"] if isinstance(part, str)]
        option = _OPTIONS.get(names[-1], names[-1].replace("_", "-"))
        raise ConfigurationError(f"--{option}: {first['msg']}, not {first['input']!r}") from error


def said_of_a_run(said: Mapping[str, Any], *, today: date) -> Entry:
    """What a person says of a run besides what it says itself. Raises ConfigurationError where it is something else."""
    if others := [name for name, value in said.items() if value not in (None, "", ()) and name not in _OF_A_RUN]:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise ConfigurationError(
            f"{named}: a run says that itself, and a licence is inherited; leave it out. Of a run you may add "
            "--limit, --bias, --documentation, --reviewer and --expires"
        )
    return described({name: said.get(name) for name in _OF_A_RUN}, today=today)


def with_more(entry: Entry, more: Entry) -> Entry:
    """The entry of a run with further limits, biases and a further place where it is described, and with its review."""
    places = [place for place in (entry.documentation, more.documentation) if place]
    return entry.model_copy(
        update={
            "limits": tuple(dict.fromkeys((*entry.limits, *more.limits))),
            "biases": tuple(dict.fromkeys((*entry.biases, *more.biases))),
            "documentation": "; ".join(places),
            "reviewer": more.reviewer,
            "reviewed": more.reviewed,
            "expires": more.expires,
        }
    )


def run_of(source: Path, workspace: Path) -> Path | None:
    """The run folder that `source` is, or that the bundle `source` was made from; None where it is neither. Raises
    ConfigurationError where the workspace does not know the bundle's run, BundleError where the bundle is damaged."""
    if (source / RUN_NAME).exists():
        return source
    if not (source / MANIFEST_NAME).exists():
        return None
    bundle = open_bundle(source)
    lineage = bundle.manifest.lineage
    model = recall_model(workspace, lineage.snapshot_hash, bundle.manifest.site, bundle.manifest.product)
    if model is not None and model.record.lineage == lineage:
        return model.folder
    order = f", order {lineage.order_id}" if lineage.order_id else ""
    last = f"; the last run that {workspace} knows of it is another one: {model.folder}" if model else ""
    raise ConfigurationError(
        f"the bundle {source} holds graphs to be run, with every BatchNorm folded away, and no weights that a training "
        f"could start from: they are in the run it was exported from (site {bundle.manifest.site}, snapshot "
        f"{lineage.snapshot_hash}{order}). {workspace} does not know that run{last}. Say --catalogue of the workspace "
        "in which it was trained, or give its folder: lineside models add RUN"
    )


def _commit(revision: str | None) -> str:
    if not re.fullmatch("[0-9a-f]{40}", revision or ""):
        raise ConfigurationError(
            f"--hub needs --revision, a commit's hash with all of its 40 digits, not {revision!r}: a branch may change"
        )
    return str(revision)


def _channels(name: str, said: str) -> tuple[float, float, float]:
    """For red, green and blue.

    >>> _channels("mean", "0.5"), _channels("std", "0.229, 0.224, 0.225")
    ((0.5, 0.5, 0.5), (0.229, 0.224, 0.225))
    """
    try:
        numbers = [float(part) for part in said.split(",")]
    except ValueError:
        numbers = []
    if (
        len(numbers) not in (1, 3)
        or not all(0 <= number <= 1 for number in numbers)
        or (name == "std" and 0 in numbers)
    ):
        raise ConfigurationError(
            f"--{name}: one number for all channels or three as in 0.485,0.456,0.406, of pixels in 0..1, not {said!r}"
        )
    red, green, blue = numbers * 3 if len(numbers) == 1 else numbers
    return red, green, blue


def _day(said: date) -> date:
    return said.date() if isinstance(said, datetime) else said


def _arguments(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"--model-args {text!r} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigurationError(f"--model-args {text!r} is not a JSON object")
    return value
