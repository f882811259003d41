"""Why something was decided: a code and its parameters. Pages translate the code; `plain` is English."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

Parameter = str | int | float | bool | None

_TEXTS = Path(__file__).with_name("reasons.toml")


class Reason(BaseModel):
    """A reason that is stored, translated and shown.

    >>> Reason(code="commissioned", parameters={"windows": 60}).plain
    'learned the normal state from 60 windows'
    """

    model_config = ConfigDict(frozen=True)

    code: str
    parameters: dict[str, Parameter] = {}

    @property
    def plain(self) -> str:
        """The reason in plain English; code and parameters where the code belongs to somebody else's texts."""
        template = templates().get(self.code)
        if template is None:
            return " ".join([self.code, *(f"{name}={value}" for name, value in self.parameters.items())])
        return template.format_map(self.parameters)


def because(code: str, **parameters: Parameter) -> Reason:
    """A reason, with numbers rounded to what a person reads."""
    return Reason(code=code, parameters={name: _readable(value) for name, value in parameters.items()})


def _readable(value: Parameter) -> Parameter:
    return float(f"{value:.3g}") if isinstance(value, float) else value


@lru_cache(maxsize=1)
def templates() -> dict[str, str]:
    """All codes with their English texts."""
    return {str(code): str(text) for code, text in tomllib.loads(_TEXTS.read_text(encoding="utf-8")).items()}
