"""What other thresholds would have said about the parts of the last days, counted from `Scores`. No I/O."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import TypeVar

from contracts.errors import ConfigurationError
from contracts.frame import Decision
from contracts.scores import EDGES, Counts, Scores, TruthCounts, added, bin_of
from contracts.thresholds import Thresholds
from runtime.band import Prices, band, expected_cost

KeyT = TypeVar("KeyT")


@dataclass(frozen=True)
class Tally:
    """Parts by decision."""

    ok: int = 0
    review: int = 0
    ng: int = 0

    @property
    def parts(self) -> int:
        """All of them."""
        return self.ok + self.review + self.ng


@dataclass(frozen=True)
class Change:
    """The same parts under the thresholds of now and under others."""

    now: Tally
    then: Tally


@dataclass(frozen=True)
class Known:
    """Of parts whose truth is known: defective ones let through (misses) and good ones rejected (false alarms)."""

    defects: int
    good: int
    misses: int
    false_alarms: int
    reviewed: int


@dataclass(frozen=True)
class KnownChange:
    """The same parts under the thresholds of now and under others."""

    now: Known
    then: Known


@dataclass(frozen=True)
class Preview:
    """`known`: by who found out (`line`: on the line, by looking; others as the caller names them). `cost_now` and
    `cost_then`: expected, of a thousand parts, by the bundle's own calibration; None without prices."""

    now: Thresholds
    then: Thresholds
    all: Change
    days: Mapping[date, Change]
    labels: Mapping[str, Change]
    known: Mapping[str, KnownChange]
    cost_now: float | None = None
    cost_then: float | None = None


def preview(
    scores: Scores,
    now: Thresholds,
    then: Thresholds,
    *,
    own: Thresholds,
    prices: Prices | None = None,
    truths: Mapping[str, TruthCounts] = MappingProxyType({}),
) -> Preview:
    """Both must lie on edges of the scores (`snapped`). `truths`: scores of parts that were found out about elsewhere,
    in the same bins. Raises ConfigurationError where a threshold is no edge."""

    def change(counts: Counts) -> Change:
        return Change(tally(counts, now, scores.edges), tally(counts, then, scores.edges))

    return Preview(
        now=now,
        then=then,
        all=change(scores.all),
        days={day: change(scores.days[day]) for day in sorted(scores.days)},
        labels={label: change(scores.labels[label]) for label in sorted(scores.labels)},
        known={
            source: KnownChange(_known(truth, now, scores.edges), _known(truth, then, scores.edges))
            for source, truth in {"line": scores.outcomes, **truths}.items()
        },
        cost_now=None if prices is None else _cost(scores, now, prices, own),
        cost_then=None if prices is None else _cost(scores, then, prices, own),
    )


def tally(counts: Counts, thresholds: Thresholds, edges: Sequence[float] = EDGES) -> Tally:
    """Parts by decision. Raises ConfigurationError where a threshold is no edge: the count would be a guess.

    >>> tally({0: 5, EDGES.index(0.5): 3, EDGES.index(0.7): 2}, Thresholds(ng=0.6, review_from=0.4))
    Tally(ok=5, review=3, ng=2)
    """
    low, high = _edge(thresholds.review_from, edges), _edge(thresholds.ng, edges)
    ok = sum(count for bin_, count in counts.items() if bin_ < low)
    ng = sum(count for bin_, count in counts.items() if bin_ >= high)
    return Tally(ok, sum(counts.values()) - ok - ng, ng)


def snapped(thresholds: Thresholds, edges: Sequence[float] = EDGES) -> Thresholds:
    """The thresholds at the nearest edges; a band never closes by that where it was open on two edges.

    >>> snapped(Thresholds(ng=0.6149, review_from=0.41)).ng
    0.61
    """
    return thresholds.model_copy(
        update={"ng": nearest(thresholds.ng, edges), "review_from": nearest(thresholds.review_from, edges)}
    )


def nearest(value: float, edges: Sequence[float] = EDGES) -> float:
    """The nearest edge."""
    return min(edges, key=lambda edge: abs(edge - value))


def chosen_by_cost(scores: Scores, own: Thresholds, prices: Prices) -> Thresholds:
    """The band that costs least on the parts of these days, at edges, within the time that people have: what the
    nearest edges would add to it is taken away again."""
    every, total = scores.all, max(1, scores.images)

    def reviewed(low: float, high: float) -> float:
        closest = own.model_copy(update={"review_from": low, "ng": high})
        return tally(every, snapped(closest, scores.edges), scores.edges).review / total

    return snapped(band(prices, own, reviewed, chosen_by="Chow's rule on the scores of the line"), scores.edges)


def together(several: Sequence[Scores]) -> Scores:
    """Those of several agents as one, on the edges that all have; one at least."""
    first = several[0]
    common = tuple(edge for edge in first.edges if all(edge in each.edges for each in several))
    decisions = Counter[Decision]()
    for each in several:
        decisions.update(each.decisions)
    return Scores(
        bundle_hash=first.bundle_hash,
        product=first.product,
        since=min(each.since for each in several),
        until=max(each.until for each in several),
        edges=common,
        days=_summed([(each.days, each.edges) for each in several], common),
        labels=_summed([(each.labels, each.edges) for each in several], common),
        outcomes=TruthCounts(
            good=added(_moved(each.outcomes.good, each.edges, common) for each in several),
            defect=added(_moved(each.outcomes.defect, each.edges, common) for each in several),
        ),
        decisions=decisions,
    )


def _summed(
    parts: Sequence[tuple[Mapping[KeyT, Counts], Sequence[float]]], common: Sequence[float]
) -> dict[KeyT, dict[int, int]]:
    """Counts by day or class, added up over several agents."""
    keys = {key for found, _ in parts for key in found}
    return {key: added(_moved(found.get(key, {}), edges, common) for found, edges in parts) for key in keys}


def _moved(counts: Counts, edges: Sequence[float], to: Sequence[float]) -> dict[int, int]:
    """Counts in coarser bins, whose edges are among the finer ones'."""
    return added({bin_of(edges[bin_], to): count} for bin_, count in counts.items())


def _known(truth: TruthCounts, thresholds: Thresholds, edges: Sequence[float]) -> Known:
    good, defect = tally(truth.good, thresholds, edges), tally(truth.defect, thresholds, edges)
    return Known(defect.parts, good.parts, defect.ok, good.ng, good.review + defect.review)


def _cost(scores: Scores, thresholds: Thresholds, prices: Prices, own: Thresholds) -> float:
    edges, every = scores.edges, scores.all
    middles = {bin_: (edges[bin_] + edges[bin_ + 1]) / 2 for bin_ in every}
    total = sum(n * expected_cost(middles[bin_], thresholds, prices, own) for bin_, n in every.items())
    return 1000.0 * total / max(1, sum(every.values()))


def _edge(value: float, edges: Sequence[float]) -> int:
    place = bisect_left(edges, value)
    if place == len(edges) or edges[place] != value:
        raise ConfigurationError(f"a threshold of {value:g} lies between two edges of the counts; choose one of these")
    return place
