"""The figures of one shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.line.cadence import Cadence
from benchmarks.line.ledger import Balance, Part, quantile
from benchmarks.line.shift import Diary
from contracts.report import Figure

_SLICES = 20


@dataclass(frozen=True)
class Facts:
    """What the centre saw while the line ran, and what the station could do just before."""

    capacity: float  # images a second
    waiting: int  # messages, at the start
    heard: int
    activations: int
    uploads: int
    quota_bytes: int


def figures(cadence: Cadence, parts: Sequence[Part], found: Balance, facts: Facts, diary: Diary) -> list[Figure]:
    """Latency from the moment a trigger was due, of all parts with a verdict; what was lost; and what went on."""
    ordered = sorted(part.latency for part in parts if part.has_verdict)
    p50, p99, p999 = (quantile(ordered, share) for share in (0.5, 0.99, 0.999))
    late = sorted(part.sent - part.due for part in parts)
    note = (
        f"{cadence.triggers} triggers of {len(cadence.cameras)} cameras in {cadence.seconds:g} s, "
        f"{cadence.per_second:.0f}/s of {facts.capacity:.0f}/s measured just before"
    )
    ratio = None if p50 is None or p999 is None else p999 / p50
    kept = max((gauges.get("buffer_bytes", 0.0) for _, gauges in diary.gauges), default=0.0)
    return [
        Figure(name="p999_over_p50", value=ratio, note=f"trigger to result; {note}"),
        Figure(name="missed_triggers", value=found.missed, note="due, and not on the station's record"),
        Figure(name="unanswered_parts", value=found.unanswered, note="without OK, NG, REVIEW or a NO_VERDICT"),
        Figure(name="doubled_parts", value=found.doubled, note="on record more than once"),
        Figure(name="no_verdicts", value=found.without_verdict, note="answered with NO_VERDICT"),
        Figure(name="p50", value=p50, unit="s", note=note),
        Figure(name="p99", value=p99, unit="s", note=note),
        Figure(name="p999", value=p999, unit="s", note=note),
        Figure(name="slowest", value=ordered[-1] if ordered else None, unit="s", note=note),
        Figure(
            name="client_late_p999", value=quantile(late, 0.999), unit="s", note="from due to sent; it counts above"
        ),
        Figure(
            name="drained_messages", value=facts.heard, note=f"{facts.waiting} waited at the start; each counts once"
        ),
        Figure(name="activations", value=facts.activations, note="bundles that the station said it runs"),
        Figure(name="uploads", value=facts.uploads, note="images that the centre took"),
        Figure(name="quota_share", value=kept / facts.quota_bytes, note="of the image buffer's quota, at most"),
    ]


def slices(cadence: Cadence, parts: Sequence[Part]) -> list[dict[str, Any]]:
    """The shift in twenty pieces: median, 99.9th percentile and slowest, in seconds."""
    width = cadence.seconds / _SLICES
    found = []
    for number in range(_SLICES):
        inside = [p for p in parts if p.has_verdict and number * width <= p.due < (number + 1) * width]
        ordered = sorted(part.latency for part in inside)
        values = {name: quantile(ordered, share) for name, share in (("p50", 0.5), ("p999", 0.999), ("slowest", 1.0))}
        found.append({"from": round(number * width, 1), "parts": len(ordered), **values})
    return found


def stalls(parts: Sequence[Part], *, over: float) -> list[tuple[float, float]]:
    """(when it began, how long the slowest part of it took) of stretches in which parts took longer than `over`."""
    found: list[tuple[float, float]] = []
    last = -1.0
    for part in parts:
        if part.has_verdict and part.latency > over:
            if found and part.due - last < 0.1:
                found[-1] = (found[-1][0], max(found[-1][1], round(part.latency, 4)))
            else:
                found.append((round(part.due, 3), round(part.latency, 4)))
            last = part.due
    return found
