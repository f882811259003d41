"""What the images themselves lack: rules over the survey that answer with findings. No file is read here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from contracts.quality import Finding
from trainer.dataset import Example
from trainer.quality.report import shown
from trainer.quality.survey import Measured
from trainer.raters import Agreement

_FEW, _RARE = 20, 0.05  # images of a class; share of a class
_FAR = 6.0  # robust standard deviations from the median
_FLAT = 0.5  # share of pixels at one end of the scale
_AGREED = 0.6  # kappa: substantial agreement from here on (Landis & Koch, 1977)


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
            images=shown([x.example] for x in others),
            text=f"{len(found)} resolutions; {usual[0]}x{usual[1]} is usual, {len(others)} images differ"
            + (f", from {min(shapes):.2f} to {max(shapes):.2f} times as wide as high" if bent else ""),
            remedy="other cameras or crops? Name them in a column; `lineside train --resize pad` stretches nothing",
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
        kappa = (
            "undefined"
            if agreement.kappa is None
            else (f"{agreement.kappa:.2f} (95 %: {agreement.low:.2f} to {agreement.high:.2f})")
        )
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
                images=shown([example] for example in agreement.disputed),
                text=f"{len(agreement.disputed)} images have no majority among their raters and are left out",
                remedy="ask one rater more",
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
            images=shown([example] for example in examples),
            remedy="remove them if the camera failed; keep them if parts look so",
        )
    ]
