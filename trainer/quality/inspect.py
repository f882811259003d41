"""The whole quality check: what a manifest or folder holds in, report out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from contracts.errors import DatasetError
from contracts.quality import Finding, QualityReport
from trainer.course import Course, Material
from trainer.dataset import Example, Gathered
from trainer.parting import Parting
from trainer.progress import Progress, silent
from trainer.quality import checks, leaks
from trainer.quality.alike import near_duplicates
from trainer.quality.days import odd_days
from trainer.quality.labels import label_errors, out_of_fold
from trainer.quality.report import by_weight
from trainer.quality.survey import Measured, survey
from trainer.raters import merge, told
from trainer.stem import Stem
from trainer.views import View

_FEWEST_FOR_LABELS = 10  # images of a class


def inspect(
    gathered: Gathered,
    *,
    parting: Parting | None = None,
    judge: tuple[Course, Stem] | None = None,
    days: bool = True,
    progress: Progress = silent,
) -> QualityReport:
    """Check images as they were gathered, and the split that a training with this `parting` makes of them (default: by
    group, with seed 0).

    With `judge` (a pretrained network) labels that the other images deny are looked for too, and with `days` (its
    course knows which classes pass) days whose labels do not fit. Raises DatasetError where no image is left or a split
    by time lacks times, ConfigurationError for a site without rows.
    """
    parting = parting or Parting()
    if not gathered.examples:
        raise DatasetError(f"{gathered.source}: no image can be used: {'; '.join(gathered.problems[:5])}")
    examples, agreement = merge(parting.of_site(gathered.examples, gathered.source))
    pins = parting.pins()
    chosen = {example.sha256: example for example in parting.parted(gathered.examples, gathered.source, pins)}
    parted = tuple(_as_chosen(example, chosen.get(example.sha256)) for example in examples)
    examples = parted if parting.by == "time" else examples
    measured = survey(examples, tick=lambda done: progress("looking at the images", 0.7 * done))
    alike = near_duplicates([item.looks for item in measured])
    findings = [
        *checks.unreadable(gathered.problems),
        *(checks.raters(agreement) if agreement else []),
        *leaks.copies(examples),
        *leaks.groups(examples),
        *leaks.settled(pins, examples),
        *leaks.leak([_with(item, example) for item, example in zip(measured, parted, strict=True)], alike),
        *leaks.near_copies(measured, alike),
        *checks.classes(examples),
        *checks.sizes(measured),
        *checks.light(measured),
        *leaks.times(examples),
        *(_labels(examples, *judge, days, progress) if judge else []),
    ]
    return QualityReport(
        source=gathered.source,
        examples=len(examples),
        classes=_counts(tuple(chosen.values())),
        findings=by_weight(findings),
        agreement=told(agreement) if agreement is not None and agreement.images else None,
    )


def _as_chosen(example: Example, chosen: Example | None) -> Example:
    """In the group and the split that a training has it in; in none where it has not."""
    return replace(example, split=None) if chosen is None else replace(example, group=chosen.group, split=chosen.split)


def _with(item: Measured, example: Example) -> Measured:
    return replace(item, example=example)


def _labels(examples: Sequence[Example], course: Course, stem: Stem, days: bool, progress: Progress) -> list[Finding]:
    counts = Counter(example.label for example in examples)
    unique = tuple({example.sha256: example for example in examples}.values())
    if len(counts) < 2 or min(counts.values()) < _FEWEST_FOR_LABELS:
        return []
    features = stem.features(unique, (View(0),), progress=progress, begin=0.7, end=0.95)
    material = Material(unique, features)
    errors = label_errors(course, material, out_of_fold(course, material))
    return [*errors, *(odd_days(course, material) if days else [])]


def _counts(examples: Sequence[Example]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for example in examples:
        found[str(example.split)][example.label] += 1
    return {name: dict(sorted(counts.items())) for name, counts in found.items()}
