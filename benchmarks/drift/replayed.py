"""The spindle's pictures in the order in which they were taken, through the real system: what does it make of them?

Played are all that its network has not learned: the unlearned positions from the first day on, and from 7 September,
when its training ends, all positions. Each part is labelled as the data set does, each night's labels are looked over.
What really happened: pitting begins on 5 September, another crop is set in the evening of the 7th, and on the last day
most labels are missing.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.accuracy.protocols import read_set
from benchmarks.drift.played import Part, PlayedPlant, by_day, moved, playing
from benchmarks.drift.replays import IMAGES, LEARNED, in_time, served_of, sizes_of
from benchmarks.drift.retold import Changes, Told, by_learning, figures
from benchmarks.drift.sets import PITTING_FROM, RealSet, in_order, real_set
from benchmarks.drift.vectors import inspector_of, recorded
from benchmarks.harness import Measured
from lineside.demo.first import write_gold
from trainer.dataset import Example

_SET = "spindle"
_PITTING = ("The mix of parts has changed", "The product looks different")
_LEARNINGS = range(50, 81, 2)  # windows; before pitting begins there are 80
_PICTURES = 4  # before and after, of two diagnoses


def measure(options: argparse.Namespace) -> Measured:
    """One play; `--quick` looks the labels over at its end only."""
    real = real_set(options.data, _SET)
    originals = [part_of(example) for example in unlearned(options.data, real)]
    parts = moved(originals, datetime.now(UTC))
    later = parts[0].taken_at - min(part.taken_at for part in originals)
    changes = changes_of(parts, datetime.fromisoformat(PITTING_FROM).replace(tzinfo=UTC) + later)
    bundle = inspector_of(options.data, real, older=options.older).bundle
    with tempfile.TemporaryDirectory(prefix="lineside-replayed-") as name:
        gold = write_gold(Path(name) / "gold.csv", [e for e in real.learned.examples if e.split == "test"])
        with playing(Path(name), bundle, gold, monitor=settings(), window=IMAGES[_SET]) as played:
            nights = play(played, parts, every_night=not options.quick)
            told = Told(played.events(), nights, shown_on(played.page("/days?last=31")))
    details = {"days_later": later.days, "nights": nights, "told": _timeline(told)}
    found = figures(told, changes, [part.taken_at for part in parts], IMAGES[_SET], LEARNED[_SET])
    return Measured([*found, *by_learning(_courses(options))], details)


def _courses(options: argparse.Namespace) -> dict[int, list[dict[str, Any]]]:
    """In memory, by the same rules: what each window says after so many windows of learning."""
    vectors = recorded(options.data, _SET, older=options.older)
    served, sizes = served_of(options.data, vectors, older=options.older), sizes_of(options.data, _SET)
    return {learning: in_time(vectors, served, sizes, learning) for learning in _LEARNINGS}


def _timeline(told: Told) -> list[str]:
    """Without what every start says."""
    return [f"{e['at'][:16]} {e['code']}: {e['text']}" for e in told.events if e["kind"] not in ("agent", "bundle")]


def settings() -> dict[str, Any]:
    """What differs from production: the profile is learned from as many windows as in `replays`, of a line that makes a
    round of pictures every few hours, so that looking away after a pause would be looking away for ever."""
    windows = LEARNED[_SET]
    rules = {
        "commissioning_windows": windows,
        "commissioning_most_windows": windows,
        "commissioning_cycle_hours": 0.0,
        "settle_minutes": 0.0,
    }
    return {"rules": rules}


def unlearned(data: Path, real: RealSet) -> list[Example]:
    """All pictures of the spindle that trained nothing."""
    learned = {example.sha256 for example in real.learned.examples if example.split != "test"}
    return [example for example in in_order(read_set(data, "bsdata").examples) if example.sha256 not in learned]


def part_of(example: Example) -> Part:
    """As it was photographed; the set's times are taken for UTC."""
    taken = datetime.fromisoformat(example.attributes["captured_at"]).replace(tzinfo=UTC)
    return Part(example.path, example.label, taken, example.attributes["camera_setup"])


def play(played: PlayedPlant, parts: Sequence[Part], *, every_night: bool) -> dict[str, list[dict[str, Any]]]:
    """Day after day; by day, the days whose labels do not fit as the night after it finds them."""
    nights: dict[str, list[dict[str, Any]]] = {}
    first, *days = by_day(parts).values()
    played.begin(first[: played.window])
    for day in (first[played.window :], *days):
        played.show(day)
        played.label(day)
        if every_night or day[-1] is parts[-1]:
            nights[day[0].day.isoformat()] = played.check_labels()
    return nights


def changes_of(parts: Sequence[Part], began: datetime) -> Changes:
    """What really happened, from the set's own columns; pitting `began` then."""
    pitting = next(part for part in parts if part.taken_at >= began)
    crop = next(part for part in parts if part.setup != parts[0].setup)
    return Changes(pitting.taken_at, crop.taken_at, parts[-1].day)


def shown_on(page: str) -> dict[str, bool]:
    """Which of what happened stands on the page."""
    return {
        "profile": "learned the normal state" in page,
        "pitting": any(f">{words}</span>" in page for words in _PITTING),
        "camera": "the camera&#39;s set-up was changed" in page,
        "pictures": page.count("/labels/images/") >= _PICTURES,
        "labels": "labels of that day are probably missing" in page,
    }
