"""Which groups are trained on and which are kept for the test: stratified, and pinned over later snapshots.

A group (a module, a tile, a lot, a part) is never parted; a group that was once in the test or validation split
stays there in every later snapshot, so that figures of successive models compare and nothing leaks.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from trainer.dataset import Example, Split

FRACTIONS: dict[Split, float] = {"train": 0.70, "validation": 0.15, "test": 0.15}
_TRIALS = 64


def group_of(example: Example) -> str:
    """The key that must not be parted: site and group, or the image's own hash where it has no group."""
    return f"{example.site}/{example.group}" if example.group else example.sha256


def split(examples: Sequence[Example], *, seed: int, pinned: Mapping[str, Split] | None = None) -> tuple[Example, ...]:
    """The examples with `split` filled in, about 70/15/15 in every class; same seed, same answer.

    `pinned` maps `group_of` keys of earlier snapshots to their split and wins over everything else but a row marked
    `gate`; a split stated in the manifest comes next. The rest is assigned greedily, largest deficit first, in the best
    of 64 seeded orders.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    fixed: dict[str, Split] = {}
    for example in examples:
        key = group_of(example)
        counts[key][example.label] += 1
        if pinned and key in pinned:
            fixed[key] = pinned[key]
        elif example.split is not None and example.split != "gate":
            fixed.setdefault(key, example.split)
    chosen = fixed | _assign(counts, fixed, random.Random(seed))
    return tuple(
        example if example.split == "gate" else replace(example, split=chosen[group_of(example)])
        for example in examples
    )


def _assign(counts: Mapping[str, Counter[str]], fixed: Mapping[str, Split], rng: random.Random) -> dict[str, Split]:
    """The best of several seeded greedy assignments of the groups that are not fixed."""
    totals: Counter[str] = sum(counts.values(), Counter())
    free = [key for key in counts if key not in fixed]
    best: dict[str, Split] = {}
    best_error = float("inf")
    for _ in range(_TRIALS if free else 0):
        rng.shuffle(free)
        order = sorted(free, key=lambda key: -sum(counts[key].values()))
        chosen = _greedy(order, counts, fixed, totals)
        error = _error({**fixed, **chosen}, counts, totals)
        if error < best_error:
            best, best_error = chosen, error
    return best


def _greedy(
    order: Sequence[str], counts: Mapping[str, Counter[str]], fixed: Mapping[str, Split], totals: Counter[str]
) -> dict[str, Split]:
    held: dict[Split, Counter[str]] = {name: Counter() for name in FRACTIONS}
    for key, name in fixed.items():
        if name in held and key in counts:
            held[name] += counts[key]
    chosen: dict[str, Split] = {}
    for key in order:

        def gain(name: Split, key: str = key) -> float:
            """How much nearer to the wanted numbers this split comes with the group."""
            return sum(
                (abs(want - have) - abs(want - have - count)) / want
                for label, count in counts[key].items()
                for want, have in [(FRACTIONS[name] * totals[label], held[name][label])]
            )

        chosen[key] = max(FRACTIONS, key=gain)
        held[chosen[key]] += counts[key]
    return chosen


def _error(chosen: Mapping[str, Split], counts: Mapping[str, Counter[str]], totals: Counter[str]) -> float:
    """Squared distance from the wanted share of every class; a class missing from a split costs 1 more."""
    held: dict[Split, Counter[str]] = {name: Counter() for name in FRACTIONS}
    for key, count in counts.items():
        if chosen[key] in held:
            held[chosen[key]] += count
    error = 0.0
    for name, fraction in FRACTIONS.items():
        for label, total in totals.items():
            error += (held[name][label] / total - fraction) ** 2 + (held[name][label] == 0)
    return error
