"""How a user's configuration file is read: once, at the door, into one small typed object; unknown keys are errors."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.errors import ConfigurationError


class Settings(BaseModel):
    """Base of all configuration: frozen, and a key that is not known is an error that names the nearest known one. An
    error does not repeat what was written: it may be a password in the wrong place."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


SettingsT = TypeVar("SettingsT", bound=Settings)


def read_settings(path: Path, model: type[SettingsT]) -> SettingsT:
    """The TOML file at `path` as `model`. Raises ConfigurationError naming file, key and remedy."""
    try:
        with path.open("rb") as file:
            return parse_settings(tomllib.load(file), model, source=str(path))
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error


def parse_settings(values: dict[str, Any], model: type[SettingsT], *, source: str) -> SettingsT:
    """`values` as `model`. Raises ConfigurationError that names every wrong key at once."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_explain(item, model) for item in error.errors()]
        raise ConfigurationError(f"{source}: " + "; ".join(lines)) from error


def _explain(item: Any, model: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] != "extra_forbidden":
        said = str(item["msg"]).removeprefix("Value error, ")
        return f"{key}: {said}" if key else said
    known = _table(model, item["loc"][:-1]).model_fields
    near = difflib.get_close_matches(str(item["loc"][-1]), list(known), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(sorted(known))}"
    return f"unknown key {key!r}{hint}"


def _table(model: type[BaseModel], path: Iterable[str | int]) -> type[BaseModel]:
    """The model of the table at `path`: `("broker",)` or `("users", 0)`."""
    for part in path:
        if part in model.model_fields:
            model = next(_models(model.model_fields[str(part)].annotation), model)
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
