"""What lets figures be too kind: copies, near duplicates on both sides of the split, parted groups, telling times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import combinations

import numpy as np

from contracts.quality import Finding
from trainer.dataset import Example
from trainer.pins import REMEDY, Pins, gist
from trainer.quality.alike import Alike, clusters
from trainer.quality.report import shown
from trainer.quality.survey import Measured
from trainer.split import captured, group_of

_LEAK = 0.12  # share of held-out images with a near duplicate among those trained on: grouped splits stay below 0.09
_GAP = 20.0  # times the usual distance between two captures


def copies(examples: Sequence[Example]) -> list[Finding]:
    """Files with the same bytes, and the same image under two labels."""
    same: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        same[example.sha256].append(example)
    several = [found for found in same.values() if len(found) > 1]
    disputed = [found for found in several if len({example.label for example in found}) > 1]
    agreed = [found for found in several if len({example.label for example in found}) == 1]
    findings = []
    if disputed:
        first = disputed[0]
        findings.append(
            Finding(
                kind="two-labels",
                weight="error",
                count=sum(map(len, disputed)),
                images=shown(disputed),
                text=f"{len(disputed)} images stand under two labels (first: {first[0].path.name} as "
                f"{first[0].label!r} and {first[1].path.name} as {first[1].label!r})",
                remedy="keep the right row of each",
            )
        )
    if agreed:
        count = sum(len(found) - 1 for found in agreed)
        findings.append(
            Finding(
                kind="copies",
                weight="note",
                text=f"{count} files are exact copies of others",
                count=count,
                images=shown(agreed),
                remedy="nothing: each image is used once",
            )
        )
    return findings


def near_copies(measured: Sequence[Measured], alike: Alike) -> list[Finding]:
    """Near duplicates: within a group they are expected, between groups they are worth a look, and under two labels a
    label is probably wrong."""
    if alike.throughout:
        return [
            Finding(
                kind="alike-throughout",
                weight="warning",
                count=len(alike.partners()),
                text=f"the images look alike throughout: {len(alike.pairs)} pairs within {alike.bits} of 256 bits",
                remedy="copies cannot be told from siblings here; name what belongs together in the column `group`",
            )
        ]
    findings = []
    rows = clusters(alike.pairs)
    disputed = [found for found in rows if len({measured[row].example.label for row in found}) > 1]
    if disputed:
        findings.append(
            Finding(
                kind="near-copies-two-labels",
                weight="warning",
                count=sum(map(len, disputed)),
                images=shown(_each_label_first([measured[row].example for row in found]) for found in disputed),
                text=f"{_counted(len(disputed), 'set')} of near duplicates with more than one label",
                remedy="look at them side by side: either the defect is tiny or one of the labels is wrong",
            )
        )
    parted = [found for found in rows if len({group_of(measured[row].example) for row in found}) > 1]
    if parted:
        findings.append(
            Finding(
                kind="near-copies",
                weight="note",
                count=sum(map(len, parted)),
                images=shown([measured[row].example for row in found] for found in parted),
                text=f"{_counted(len(parted), 'set')} of near duplicates not of one group",
                remedy="give images of one part the same `group`, so that no split parts them",
            )
        )
    return findings


def leak(measured: Sequence[Measured], alike: Alike) -> list[Finding]:
    """Held-out images that have a near duplicate among those trained on: figures on them are too kind."""
    split = [item.example.split for item in measured]
    held_out = [row for row, name in enumerate(split) if name in ("validation", "test", "gate")]
    if alike.throughout or not held_out:
        return []
    partners = alike.partners()
    leaked = {row: near for row in held_out if (near := [o for o in partners.get(row, []) if split[o] == "train"])}
    share = len(leaked) / len(held_out)
    if not leaked:
        return []
    sets = [[measured[row].example, *(measured[other].example for other in near[:3])] for row, near in leaked.items()]
    return [
        Finding(
            kind="leak",
            weight="error" if share > _LEAK else "note",
            count=len(leaked),
            images=shown(sets),
            text=f"{len(leaked)} of {len(held_out)} held-out images ({share:.0%}) have a near duplicate among "
            "those that are trained on",
            remedy="the split leaks and its figures are too kind: name the group of each image (part, tile, lot)"
            if share > _LEAK
            else "so few are usual; look whether their groups are right",
        )
    ]


def groups(examples: Sequence[Example]) -> list[Finding]:
    """Groups that are missing, in part or altogether, and groups that the manifest's own split parts."""
    without = [example for example in examples if not example.group]
    findings = []
    if len(without) == len(examples):
        findings.append(
            Finding(
                kind="no-groups",
                weight="warning",
                text="no image names its group",
                count=len(without),
                remedy="add a column `group` (part, module, lot): else one part may lie in training and test",
            )
        )
    elif without:
        findings.append(
            Finding(
                kind="missing-groups",
                weight="warning",
                text=f"{len(without)} images name no group, the others do",
                count=len(without),
                images=shown([example] for example in without),
                remedy="fill in the column `group`",
            )
        )
    stated: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        if example.split is not None and example.split not in ("gate", "rest"):
            stated[group_of(example)].add(example.split)
    if parted := sorted(key for key, names in stated.items() if len(names) > 1):
        findings.append(
            Finding(
                kind="parted-groups",
                weight="error",
                count=len(parted),
                text=f"the manifest's split parts {len(parted)} groups (first: {parted[0]})",
                remedy="a group stays whole: give all its images the same split, or leave the split to Lineside",
            )
        )
    return findings


def settled(pins: Pins, examples: Sequence[Example]) -> list[Finding]:
    """Groups that cannot be what these examples want, since earlier trainings of the workspace have settled them."""
    if not (said := pins.objections(examples)):
        return []
    return [
        Finding(
            kind="settled-otherwise",
            weight="error",
            count=len(said),
            text=gist(said),
            remedy=REMEDY,
        )
    ]


def _counted(number: int, what: str) -> str:
    """
    >>> _counted(1, "set"), _counted(2, "set")
    ('1 set', '2 sets')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def times(examples: Sequence[Example]) -> list[Finding]:
    """Gaps in the time of capture, and a class that comes from a time of its own (the time then gives it away)."""
    moments = [(moment, example) for example in examples if (moment := captured(example)) is not None]
    known = sorted(moments, key=lambda pair: pair[0]) if len(moments) == len(examples) else []
    if len(known) < 2:
        return []
    findings = []
    steps = np.diff([moment.timestamp() for moment, _ in known])
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    wide = list(np.flatnonzero(steps > max(_GAP * usual, 86_400.0)))
    if wide:
        longest = max(wide, key=lambda row: steps[row])
        findings.append(
            Finding(
                kind="time-gaps",
                weight="note",
                count=len(wide),
                text=f"{_counted(len(wide), 'gap')} of more than a day; the longest is "
                f"{steps[longest] / 86_400:.1f} days from {known[longest][0]:%Y-%m-%d}",
                remedy="what happened meanwhile (light, product, cleaning) is in no image",
            )
        )
    spans: dict[str, tuple[datetime, datetime]] = {}
    for moment, example in known:
        first, _ = spans.get(example.label, (moment, moment))
        spans[example.label] = (first, moment)
    apart = [
        (a, b) for a, b in combinations(sorted(spans), 2) if spans[a][1] < spans[b][0] or spans[b][1] < spans[a][0]
    ]
    if apart:
        findings.append(
            Finding(
                kind="classes-apart-in-time",
                weight="warning",
                count=len(apart),
                text=f"the classes {apart[0][0]!r} and {apart[0][1]!r} were never captured in the same period",
                remedy="light or lens may then tell them apart instead of the defect; capture both in each period",
            )
        )
    return findings


def _each_label_first(examples: Sequence[Example]) -> list[Example]:
    """So that the few that are shown disagree."""
    firsts = {example.label: example for example in reversed(examples)}
    return [*firsts.values(), *(example for example in examples if example not in firsts.values())]
