"""What may be done with images: read from the licence file beside them, or said by the user; the strictest wins."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from contracts.bundle import Licence

_NAMES = ("LICENSE", "LICENCE", "LICENSE.txt", "LICENCE.txt", "LICENSE.md", "COPYING")
_NOT_FOR_PRODUCTION = re.compile(
    r"non-?\s?commercial|\bCC[ -]BY[A-Z-]*-NC|\bNC\b|research (use |purposes? )?only|evaluation only|academic use", re.I
)


def stated(licence: str, *, owner: str = "unknown", permitted_use: str = "unknown") -> Licence:
    """The licence a user states; `production` is False where its text excludes commercial use.

    >>> stated("CC BY-NC-SA 4.0").production
    False
    >>> stated("Apache-2.0").production
    True
    """
    allowed = not _NOT_FOR_PRODUCTION.search(f"{licence} {permitted_use}")
    return Licence(owner=owner, licence=licence, permitted_use=permitted_use, production=allowed)


def found(source: Path) -> Licence:
    """The licence beside a manifest or in a folder of images; unknown (and left to the user) where there is none."""
    folder = source if source.is_dir() else source.parent
    for name in _NAMES:
        if (folder / name).is_file():
            text = (folder / name).read_text(encoding="utf-8", errors="replace")
            title = next((line.strip() for line in text.splitlines() if line.strip()), name)[:120]
            allowed = not _NOT_FOR_PRODUCTION.search(text)
            return Licence(
                licence=title,
                permitted_use="as its licence file says" if allowed else "not commercial",
                production=allowed,
            )
    return Licence()


def said_of(beside: Licence, *, owner: str = "", permitted_use: str = "") -> Licence:
    """What lies `beside` the images, with what a user says besides: an owner instead of the file's, a use on top of it.
    It may forbid production and never permit it.

    >>> said_of(Licence(licence="MIT License"), owner="plant 1", permitted_use="evaluation only")
    Licence(owner='plant 1', licence='MIT License', permitted_use='evaluation only', production=False)
    """
    uses = [use for use in (beside.permitted_use, permitted_use) if use not in ("", "unknown")]
    return Licence(
        owner=owner if owner not in ("", "unknown") else beside.owner,
        licence=beside.licence,
        permitted_use="; ".join(dict.fromkeys(uses)) or "unknown",
        production=beside.production and not _NOT_FOR_PRODUCTION.search(permitted_use),
    )


def strictest(licences: Iterable[Licence]) -> Licence:
    """The licence of something made from all of these: not for production as soon as one is not, all of them named.

    >>> strictest([Licence(licence="MIT; Apache-2.0"), Licence(licence="MIT")]).licence
    'MIT; Apache-2.0'
    """
    several = list(dict.fromkeys(licences))
    if len(several) == 1:
        return several[0]

    def join(values: Iterable[str]) -> str:
        return "; ".join(dict.fromkeys(part for value in values for part in value.split("; "))) or "unknown"

    return Licence(
        owner=join(item.owner for item in several),
        licence=join(item.licence for item in several),
        permitted_use=join(item.permitted_use for item in several),
        production=all(item.production for item in several),
    )
