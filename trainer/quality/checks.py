"""Rules over the survey: each takes what was measured and answers with findings. No file is read here."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.dataset import Example
from trainer.quality.alike import Alike, clusters
from trainer.quality.report import MOST_SHOWN, Finding
from trainer.quality.survey import Measured
from trainer.raters import Agreement
from trainer.split import captured, group_of

_FEW, _RARE = 20, 0.05  # images of a class; share of a class
_FAR = 6.0  # robust standard deviations from the median
_FLAT = 0.5  # share of pixels at one end of the scale
_LEAK = 0.12  # share of held-out images with a near duplicate among those trained on: grouped splits stay below 0.09
_AGREED = 0.6  # kappa: substantial agreement from here on (Landis & Koch, 1977)
_GAP = 20.0  # times the usual distance between two captures


def classes(examples: Sequence[Example]) -> list[Finding]:
    """Classes too small to learn or to judge, and classes that hardly occur."""
    counts = Counter(example.label for example in examples)
    findings = []
    for label, count in sorted(counts.items()):
        if count < _FEW:
            text = f"class {label!r} has {count} images"
            findings.append(
                Finding(
                    kind="small-class",
                    weight="warning",
                    text=text,
                    count=count,
                    remedy=f"collect more: below {_FEW} a class is learned by luck and its recall is a guess",
                )
            )
        elif count < _RARE * len(examples):
            text = f"class {label!r} is {count / len(examples):.1%} of the images"
            findings.append(
                Finding(
                    kind="rare-class",
                    weight="note",
                    text=text,
                    count=count,
                    remedy="the trainer weighs classes; read its recall, not the accuracy",
                )
            )
    return findings


def unreadable(problems: Sequence[str]) -> list[Finding]:
    """Rows and files that could not be used."""
    if not problems:
        return []
    shown = "; ".join(problems[:5]) + (f" (and {len(problems) - 5} more)" if len(problems) > 5 else "")
    return [
        Finding(kind="unreadable", weight="error", text=shown, count=len(problems), remedy="mend or remove these rows")
    ]


def sizes(measured: Sequence[Measured]) -> list[Finding]:
    """Several resolutions, and shapes that a common input would distort."""
    found = Counter((item.width, item.height) for item in measured)
    if len(found) < 2:
        return []
    usual = found.most_common(1)[0][0]
    others = [item for item in measured if (item.width, item.height) != usual]
    shapes = [item.width / item.height for item in measured]
    bent = max(shapes) / min(shapes) > 1.2
    return [
        Finding(
            kind="resolutions",
            weight="warning" if bent else "note",
            count=len(others),
            images=_shown([x.example] for x in others),
            text=f"{len(found)} resolutions; {usual[0]}x{usual[1]} is usual, {len(others)} images differ"
            + (f", from {min(shapes):.2f} to {max(shapes):.2f} times as wide as high" if bent else ""),
            remedy="other cameras or crops? Name them in a column; resize = 'pad' stretches nothing",
        )
    ]


def light(measured: Sequence[Measured]) -> list[Finding]:
    """Images far darker, brighter, flatter or less sharp than the others, and such that show next to nothing."""
    rules: list[tuple[str, str, Callable[[Measured], float], int]] = [
        ("dark", "much darker than the others", lambda item: item.light, -1),
        ("bright", "much brighter than the others", lambda item: item.light, 1),
        ("flat", "of far less contrast than the others", lambda item: math.log(item.contrast + 1e-4), -1),
        ("blurred", "far less sharp than the others", lambda item: math.log(item.sharpness + 1e-4), -1),
    ]
    findings = []
    for kind, words, value, side in rules:
        far = side * _distance(np.array([value(item) for item in measured]))
        rows = sorted(np.flatnonzero(far > _FAR), key=lambda row: -float(far[row]))
        findings += _few(f"outlier-{kind}", f"images {words}", [measured[int(row)].example for row in rows])
    ends: list[tuple[str, str, Callable[[Measured], float]]] = [
        ("black", "more than half black", lambda item: item.dark),
        ("burnt", "more than half burnt out", lambda item: item.burnt),
    ]
    for kind, words, share in ends:
        lost = [item.example for item in measured if share(item) > _FLAT]
        if len(lost) < len(measured) / 2:  # else it is how the parts are shown
            findings += _few(f"exposure-{kind}", f"images {words}", lost)
    return findings


def raters(agreement: Agreement) -> list[Finding]:
    """How far several raters agree, and the images on which they do not."""
    findings = []
    if agreement.share is not None:
        low = agreement.kappa is not None and agreement.kappa < _AGREED
        kappa = "undefined" if agreement.kappa is None else f"{agreement.kappa:.2f}"
        findings.append(
            Finding(
                kind="raters",
                weight="warning" if low else "note",
                count=agreement.images,
                text=f"{agreement.raters} raters agree on {agreement.share:.0%} of the pairs of ratings of "
                f"{agreement.images} images ({agreement.method}'s kappa {kappa})",
                remedy="agree on what a defect is, with pictures, before anything is trained" if low else "",
            )
        )
    if agreement.disputed:
        findings.append(
            Finding(
                kind="disputed",
                weight="warning",
                count=len(agreement.disputed),
                images=_shown([example] for example in agreement.disputed),
                text=f"{len(agreement.disputed)} images have no majority among their raters and are left out",
                remedy="ask one rater more",
            )
        )
    return findings


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
                images=_shown(disputed),
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
                images=_shown(agreed),
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
                images=_shown(_each_label_first([measured[row].example for row in found]) for found in disputed),
                text=f"{len(disputed)} sets of near duplicates carry more than one label",
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
                images=_shown([measured[row].example for row in found] for found in parted),
                text=f"{len(parted)} sets of near duplicates are not of one group",
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
            images=_shown(sets),
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
                images=_shown([example] for example in without),
                remedy="fill in the column `group`",
            )
        )
    stated: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        if example.split is not None and example.split != "gate":
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
                text=f"{len(wide)} gaps of more than a day; the longest is {steps[longest] / 86_400:.1f} days from "
                f"{known[longest][0]:%Y-%m-%d}",
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


def _distance(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the median, in robust standard deviations (1.4826 times the median absolute deviation)."""
    centre = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - centre))
    return np.asarray((values - centre) / max(spread, 0.02))


def _few(kind: str, words: str, examples: Sequence[Example]) -> list[Finding]:
    if not examples:
        return []
    return [
        Finding(
            kind=kind,
            weight="warning",
            text=f"{len(examples)} {words}",
            count=len(examples),
            images=_shown([example] for example in examples),
            remedy="remove them if the camera failed; keep them if parts look so",
        )
    ]


def _each_label_first(examples: Sequence[Example]) -> list[Example]:
    """So that the few that are shown disagree."""
    firsts = {example.label: example for example in reversed(examples)}
    return [*firsts.values(), *(example for example in examples if example not in firsts.values())]


def _shown(sets: Iterable[Sequence[Example]]) -> tuple[tuple[Path, ...], ...]:
    found: list[tuple[Path, ...]] = []
    for examples in sets:
        if len(found) == MOST_SHOWN:
            break
        found.append(tuple(example.path for example in examples[:6]))
    return tuple(found)
