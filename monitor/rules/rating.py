"""What several people's answers about one image come to, whom else to ask, and how much one person may decide.

The first answer counts at once and a second opinion never delays it: it measures how far people agree, and where they
differ the label trains nothing until most of them agree. A class that nobody has named before is different: it counts
once two people have named it, whatever it is named on.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from math import ceil

PEOPLE_FOR_A_NEW_CLASS = 2
_MOST_ANSWERS = 3  # about one image; then it stays disputed


@dataclass(frozen=True)
class Said:
    """One person's answer about one image, or about one part at the line."""

    rater: str
    label: str


@dataclass(frozen=True)
class Standing:
    """`label`: what counts, None while nothing does. `asks`: whether somebody else should look."""

    label: str | None
    asks: bool


def standing(answers: Sequence[Said], known: Set[str] | None, *, second_opinion: bool) -> Standing:
    """What the answers of different people about one image come to. `known`: classes that count (see `settled`); None
    where the site has no classes yet, so that every one is welcome.

    >>> standing([Said("ann", "pit"), Said("bo", "dent")], {"good", "pit", "dent"}, second_opinion=True)
    Standing(label=None, asks=True)
    """
    counts = Counter(answer.label for answer in answers).most_common(2)
    if not counts:
        return Standing(None, asks=True)
    (label, most), *others = counts
    if others and others[0][1] == most:
        return Standing(None, asks=len(answers) < _MOST_ANSWERS)
    if known is not None and label not in known:
        return Standing(None, asks=True)
    return Standing(label, asks=second_opinion and len(answers) == 1)


def settled(known: Set[str], named: Iterable[Said]) -> frozenset[str]:
    """The known classes and those that enough different people have named by now."""
    people: dict[str, set[str]] = defaultdict(set)
    for said in named:
        people[said.label].add(said.rater)
    return frozenset(known) | {label for label, raters in people.items() if len(raters) >= PEOPLE_FOR_A_NEW_CLASS}


def wants_second_opinion(site: str, part_id: str, *, share: float) -> bool:
    """Whether another person is asked about this part, too; depends on nothing but the part's name.

    >>> sum(wants_second_opinion("mono", f"part-{n}", share=0.1) for n in range(4000))
    399
    """
    digest = hashlib.sha256(f"second opinion/{site}/{part_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def may_go_on(given: Mapping[str, int], rater: str, *, people: int, most: float, free: int) -> bool:
    """Whether one more label of this person keeps their share of all within `most`. `given`: labels by person; `free`:
    so many are nobody's business. A share that `people` cannot reach together (less than an even one) is an even one,
    and who labels alone may go on: otherwise nobody could.

    >>> may_go_on({"ann": 30, "bo": 10}, "ann", people=2, most=0.6, free=20)
    False
    """
    if people < 2:
        return True
    share = max(most, 1.0 / people)
    return given.get(rater, 0) + 1 <= max(free, ceil(share * (sum(given.values()) + 1)))
