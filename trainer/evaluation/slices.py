"""The figures by site, group, time and every other column of the manifest: where does the model fail?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from trainer.claim import FEWEST, claimed
from trainer.dataset import BOXES_COLUMN, MASK_COLUMN, Example
from trainer.evaluation import figures
from trainer.evaluation.figures import Answers, estimate
from trainer.evaluation.report import UNKNOWN, Column, Slice
from trainer.split import captured

NONE = "(none)"
_TIME = "captured_at"
_NO_CONDITIONS = (_TIME, BOXES_COLUMN, MASK_COLUMN, "ratings")
_MOST_VALUES = 12  # of a column that is parted value by value
_WORST = 10  # of the values of a longer one
_PARTS = 4  # of a column of numbers
_MOST_DAYS, _MOST_WEEKS = 31, 26  # that are parted as such
_FORTNIGHT = 14  # days, from which on days of the week repeat
_SHIFT, _BLOCK = 22, 4  # hours: blocks of four begin at 22, so that shifts from 6, 14 and 22 consist of whole ones
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Parted:
    """A column as a value for each image [n]. `short`: every value is shown, not only the worst of those that have
    enough images."""

    name: str
    values: tuple[str, ...]
    short: bool
    note: str = ""


def slices(answers: Answers) -> tuple[tuple[Slice, ...], tuple[Column, ...]]:
    """The figures for every value of every column, the worst first and those with too few images last, and what was
    parted how. Sites are always there; of long columns (groups, mostly) the worst that have enough images are."""
    found: list[Slice] = []
    columns: list[Column] = []
    for parting in partings(answers.examples):
        rows: dict[str, list[int]] = {}
        for row, value in enumerate(parting.values):
            rows.setdefault(value, []).append(row)
        if len(rows) == 1 and parting.name != "site":
            columns.append(Column(name=parting.name, values=1, note=f"one value throughout: {next(iter(rows))}"))
            continue
        parts = [figures_of(parting.name, value, answers.rows(chosen)) for value, chosen in rows.items()
                 if parting.short or len(chosen) >= FEWEST]  # fmt: skip
        note = parting.note or ("" if parting.short else _chosen(len(parts), len(rows)))
        found += parts if parting.short else sorted(parts, key=_share_right)[:_WORST]
        columns.append(Column(name=parting.name, values=len(rows), note=note))
    return tuple(sorted(found, key=_badness)), tuple(columns)


def partings(examples: Sequence[Example]) -> Iterator[Parted]:
    """Site and group where any image names one, the time in the units that suit its span, then the manifest's own
    columns: numbers of more than a dozen values are cut at quantiles."""
    sites, groups = [e.site for e in examples], [e.group for e in examples]
    if any(sites):
        yield Parted("site", _told(sites), short=True)
    if any(groups):
        yield Parted("group", _told(groups), short=False)
    yield from _times(examples)
    for name in sorted({key for example in examples for key in example.attributes} - set(_NO_CONDITIONS)):
        yield _parting(name, [example.attributes.get(name, "") for example in examples])


def figures_of(column: str, value: str, part: Answers) -> Slice:
    """Of the images with that value."""
    defective = int(part.defect.sum())
    good = len(part.examples) - defective
    enough, everything = claimed(good, defective), np.arange(len(part.examples))
    return Slice(
        column=column, value=value, images=len(part.examples), good=good, defective=defective, too_few=not enough,
        accuracy=estimate(part, figures.accuracy),
        balanced_accuracy=estimate(part, figures.balanced_accuracy) if enough else UNKNOWN,
        recall_good=estimate(part, figures.recall_good),
        recall_defect=estimate(part, figures.recall_defect),
        auroc=figures.area(part, everything) if enough else None,
        average_precision=figures.average_precision(part, everything) if enough else None,
        calibration_error=figures.calibration(part).error if enough else None,
        classes=figures.plain_class_figures(part),
    )  # fmt: skip


def _parting(name: str, values: Sequence[str]) -> Parted:
    different = len(set(values))
    numbers = [_number(value) for value in values if value]
    if different > _MOST_VALUES and None not in numbers:
        return Parted(name, _cut(values), short=True, note=f"{different} values, cut at quantiles")
    return Parted(name, _told(values), short=different <= _MOST_VALUES)


def _cut(values: Sequence[str]) -> tuple[str, ...]:
    """Numbers as the part of their range in which they lie; a part is of about as many images as the others."""
    known = np.array([float(value) for value in values if value])
    edges = np.unique(np.quantile(known, np.arange(1, _PARTS) / _PARTS))
    part = np.searchsorted(edges, known, side="left")
    names = {int(at): f"{known[part == at].min():.10g} to {known[part == at].max():.10g}" for at in np.unique(part)}
    parts = iter(part)
    return tuple(names[int(next(parts))] if value else NONE for value in values)


def _times(examples: Sequence[Example]) -> Iterator[Parted]:
    """By day (of many days by week, of many weeks by month), by hours of the day, and by day of the week."""
    if not any(_TIME in example.attributes for example in examples):
        return
    moments = [captured(example) for example in examples]
    known = [moment for moment in moments if moment is not None]
    if not known:
        yield Parted(_TIME, (NONE,) * len(examples), short=True)
        return
    days = {moment.date() for moment in known}
    ways: list[tuple[str, Callable[[datetime], str]]] = [_calendar(known), ("hour", _hours)]
    if (max(days) - min(days)).days >= _FORTNIGHT:
        ways.append(("day of the week", _weekday))
    for name, way in ways:
        yield Parted(f"{_TIME}: {name}", tuple(NONE if m is None else way(m) for m in moments), short=True)


def _calendar(moments: Sequence[datetime]) -> tuple[str, Callable[[datetime], str]]:
    if len({moment.date() for moment in moments}) <= _MOST_DAYS:
        return "day", _day
    return ("week", _week) if len({_week(moment) for moment in moments}) <= _MOST_WEEKS else ("month", _month)


def _day(moment: datetime) -> str:
    return moment.date().isoformat()


def _week(moment: datetime) -> str:
    year, week, _ = moment.isocalendar()
    return f"{year}-W{week:02}"


def _month(moment: datetime) -> str:
    return f"{moment:%Y-%m}"


def _hours(moment: datetime) -> str:
    begin = (_SHIFT + (moment.hour - _SHIFT) % 24 // _BLOCK * _BLOCK) % 24
    return f"{begin:02}:00 to {(begin + _BLOCK) % 24:02}:00"


def _weekday(moment: datetime) -> str:
    return _WEEKDAYS[moment.weekday()]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _told(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(value or NONE for value in values)


def _chosen(enough: int, count: int) -> str:
    if not enough:
        return f"{count} values, none of them with {FEWEST} images"
    shown = f"the {_WORST} with most errors of {enough}" if enough > _WORST else f"{enough}"
    return f"{shown} with {FEWEST} images or more, of {count} values in all"


def _share_right(part: Slice) -> float:
    return part.accuracy.value or 0.0


def _badness(part: Slice) -> tuple[bool, float, float]:
    """Worst first; of those with too few images those with most errors."""
    if not part.too_few:
        return False, part.balanced_accuracy.value or 0.0, 0.0
    return True, float((part.accuracy.hits or 0) - part.images), _share_right(part)
