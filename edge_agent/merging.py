"""Two telemetry windows into one: every sum adds up, so nothing that was counted is lost."""

from __future__ import annotations

from collections import Counter

from contracts.telemetry import Histogram, ShadowSummary, Window


def merge(first: Window, second: Window) -> Window:
    """One window over both: the sums add up. They must be of the same camera, product, bundle and vector."""
    return second.model_copy(
        update={
            "started_at": min(first.started_at, second.started_at),
            "ended_at": max(first.ended_at, second.ended_at),
            "first_frame": min(first.first_frame, second.first_frame),
            "last_frame": max(first.last_frame, second.last_frame),
            "images": first.images + second.images,
            "vector_sum": _added(first.vector_sum, second.vector_sum),
            "vector_square_sum": _added(first.vector_square_sum, second.vector_square_sum),
            "decisions": dict(Counter(first.decisions) + Counter(second.decisions)),
            "labels": dict(Counter(first.labels) + Counter(second.labels)),
            "confidence": _merged(first.confidence, second.confidence),
            "latency": _merged(first.latency, second.latency),
            "latency_seconds_sum": first.latency_seconds_sum + second.latency_seconds_sum,
            "dropped_images": first.dropped_images + second.dropped_images,
            "shadow": _merged_shadow(first.shadow, second.shadow),
            "size": _merged_size(first, second),
        }
    )


def _merged(first: Histogram, second: Histogram) -> Histogram:
    counts = tuple(a + b for a, b in zip(first.counts, second.counts, strict=True))
    return Histogram(edges=second.edges, counts=counts)


def _merged_size(first: Window, second: Window) -> tuple[int, int] | None:
    """That of both; a window without images has none to tell."""
    if first.images == 0 or second.images == 0:
        return first.size or second.size
    return first.size if first.size == second.size else None


def _merged_shadow(first: ShadowSummary | None, second: ShadowSummary | None) -> ShadowSummary | None:
    """Of two different shadows the later one counts: the earlier is no longer of interest."""
    if first is None or second is None or first.bundle_hash != second.bundle_hash:
        return second or first
    return ShadowSummary(
        bundle_hash=second.bundle_hash,
        images=first.images + second.images,
        agreements=first.agreements + second.agreements,
        decisions=dict(Counter(first.decisions) + Counter(second.decisions)),
        failures=first.failures + second.failures,
        latency_seconds_sum=first.latency_seconds_sum + second.latency_seconds_sum,
    )


def _added(first: tuple[float, ...], second: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True))
