"""The size of a network's input, as people say it."""

from __future__ import annotations

import re

from contracts.errors import ConfigurationError


def sides(said: str, *, asked: str = "pixels a side, or WIDTHxHEIGHT as in 352x144") -> tuple[int, int]:
    """Width and height. Raises ConfigurationError that says what was `asked` for.

    >>> sides("224"), sides("352x144")
    ((224, 224), (352, 144))
    """
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", said.lower())
    if not found:
        raise ConfigurationError(f"--size: say {asked}, not {said!r}")
    return int(found[1]), int(found[2] or found[1])
