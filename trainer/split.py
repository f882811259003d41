"""Which groups are trained on and which are kept for the test: stratified, and pinned over later snapshots.

A group (a module, a tile, a lot, a part) is never parted; a group that was once in the test or validation split
stays there in every later snapshot, so that figures of successive models compare and nothing leaks.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from contracts.errors import DatasetError
from trainer.dataset import Example, Split

FRACTIONS: dict[Split, float] = {"train": 0.70, "validation": 0.15, "test": 0.15}
_TRIALS = 64

Counts = Mapping[str, Counter[str]]
"""Group key -> class -> images."""

Part = TypeVar("Part", bound=str)


def group_of(example: Example) -> str:
    """The key that must not be parted: the group, or the image's own hash where it has none. What two sites call
    the same is kept together: it may be one part under another light."""
    return example.group or example.sha256


def split(examples: Sequence[Example], *, seed: int, pinned: Mapping[str, Split] | None = None) -> tuple[Example, ...]:
    """The examples with `split` filled in, about 70/15/15 in every class; same seed, same answer.

    `pinned` maps groups and images (by SHA-256) of earlier snapshots to their split and wins over everything else but a
    row marked `gate`; a split stated in the manifest comes next. The rest is assigned as `assign` does.
    """
    fixed = kept(examples, pinned or {})
    for example in examples:
        if example.split is not None and example.split != "gate":
            fixed.setdefault(group_of(example), "train" if example.split == "rest" else example.split)
    chosen = assign(group_counts(examples), FRACTIONS, seed=seed, fixed=fixed)
    return tuple(
        example if example.split == "gate" else replace(example, split=chosen[group_of(example)])
        for example in examples
    )


def kept(examples: Sequence[Example], pinned: Mapping[str, Split]) -> dict[str, Split]:
    """The split of every group that is pinned, or an image of which is: test before validation before train."""
    found: dict[str, Split] = {}
    for example in examples:
        group = group_of(example)
        splits = [pinned[key] for key in (group, example.sha256) if key in pinned and example.split != "gate"]
        if splits:
            found[group] = max([*splits, found.get(group, "train")], key=list(FRACTIONS).index)
    return found


def by_time(examples: Sequence[Example], *, pinned: Mapping[str, Split] | None = None) -> tuple[Example, ...]:
    """The examples with their day of capture as group and a split stated: the days that hold the first 70 % of the
    images are trained on, the next 15 % validate, the last 15 % test. What a model is worth tomorrow is then seen.

    A day that is `pinned` (days and images by SHA-256, as for `split`) stays where it was. Days that are new are dealt
    in the same order, so that all together come near these shares: a single one is mostly trained on.

    Raises DatasetError where an image has no `captured_at`, or where there are fewer than three days.
    """
    days = []
    for example in examples:
        moment = captured(example)
        if moment is None:
            raise DatasetError(
                f"{example.path} has no time in the column captured_at (for example 2026-03-01T12:00:00); a split by "
                "time needs one for every image"
            )
        days.append(moment.date().isoformat())
    counts = Counter(day for example, day in zip(examples, days, strict=True) if example.split != "gate")
    if len(counts) < len(FRACTIONS):
        raise DatasetError(
            f"a split by time needs three days at least, the images are of {len(counts)}; split by group"
        )
    dated = [replace(example, group=day) for example, day in zip(examples, days, strict=True)]
    part = _parts_in_time(counts, kept(dated, pinned or {}))
    return tuple(e if e.split == "gate" else replace(e, split=part[e.group]) for e in dated)


def _parts_in_time(counts: Mapping[str, int], given: Mapping[str, Split]) -> dict[str, Split]:
    """Beside the `given` days, each part ends with the day that brings it nearest to what it still lacks of its share;
    every part has a day."""
    names, found = list(FRACTIONS), dict(given)
    free = [day for day in sorted(counts) if day not in given]
    lacks = {
        name: max(0.0, fraction * sum(counts.values()) - sum(counts[day] for day in given if given[day] == name))
        for name, fraction in FRACTIONS.items()
    }
    total, passed, at = sum(counts[day] for day in free), 0, 0
    ends = [sum(lacks[name] for name in names[: n + 1]) / (sum(lacks.values()) or 1) for n in range(len(names))]
    for number, day in enumerate(free):
        middle = (passed + counts[day] / 2) / total
        while at < 2 and names[at] in found.values():
            without = set(names[at + 1 :]) - set(found.values())
            if middle <= ends[at] and len(free) - number > len(without):
                break
            at += 1
        found[day] = names[at]
        passed += counts[day]
    return found


def captured(example: Example) -> datetime | None:
    """The column `captured_at` as a time, in UTC where it names no zone; None without it."""
    try:
        moment = datetime.fromisoformat(example.attributes.get("captured_at", ""))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def folds(examples: Sequence[Example], count: int, *, seed: int) -> list[list[int]]:
    """Row numbers of `count` disjoint parts of about the same share of each class, no group parted."""
    names = [str(number) for number in range(count)]
    chosen = assign(group_counts(examples), dict.fromkeys(names, 1 / count), seed=seed)
    return [[row for row, example in enumerate(examples) if chosen[group_of(example)] == name] for name in names]


def group_counts(examples: Sequence[Example]) -> dict[str, Counter[str]]:
    """Images per class in every group."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for example in examples:
        counts[group_of(example)][example.label] += 1
    return counts


def assign(
    counts: Counts, fractions: Mapping[Part, float], *, seed: int, fixed: Mapping[str, Part] | None = None
) -> dict[str, Part]:
    """A part for every group, so that each part has its fraction of each class: the best of 64 seeded greedy rounds,
    large groups first. Groups in `fixed` stay where they are."""
    rng, given = random.Random(seed), dict(fixed or {})
    totals: Counter[str] = sum(counts.values(), Counter())
    free = [key for key in counts if key not in given]
    best: dict[str, Part] = given
    best_error = float("inf")
    for _ in range(_TRIALS if free else 0):
        rng.shuffle(free)
        order = sorted(free, key=lambda key: -sum(counts[key].values()))
        chosen = given | _greedy(order, counts, fractions, given, totals)
        error = _error(chosen, counts, fractions, totals)
        if error < best_error:
            best, best_error = chosen, error
    return best


def _greedy(
    order: Sequence[str],
    counts: Counts,
    fractions: Mapping[Part, float],
    given: Mapping[str, Part],
    totals: Counter[str],
) -> dict[str, Part]:
    """Each group in turn goes where it brings the parts nearest to the numbers wanted of its classes."""
    held = _held(given, counts, fractions)
    chosen: dict[str, Part] = {}
    for key in order:

        def gain(part: Part, key: str = key) -> float:
            return sum(
                (abs(want - have) - abs(want - have - count)) / want
                for label, count in counts[key].items()
                for want, have in [(fractions[part] * totals[label], held[part][label])]
            )

        chosen[key] = max(fractions, key=gain)
        held[chosen[key]] += counts[key]
    return chosen


def _error(chosen: Mapping[str, Part], counts: Counts, fractions: Mapping[Part, float], totals: Counter[str]) -> float:
    """Squared distance from the wanted share of every class; a class missing from a part costs 1 more."""
    held = _held(chosen, counts, fractions)
    return sum(
        (held[part][label] / total - fraction) ** 2 + (held[part][label] == 0)
        for part, fraction in fractions.items()
        for label, total in totals.items()
    )


def _held(chosen: Mapping[str, Part], counts: Counts, fractions: Mapping[Part, float]) -> dict[Part, Counter[str]]:
    held: dict[Part, Counter[str]] = {part: Counter() for part in fractions}
    for key, part in chosen.items():
        if part in held and key in counts:
            held[part] += counts[key]
    return held
