"""How long one inference takes, measured where it will run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from contracts.certificate import LatencySummary
from runtime.machine import NVIDIA
from runtime.session import Session

Clock = Callable[[], float]
"""Seconds since some moment."""


def measure(session: Session, tensor: NDArray[np.float32], *, runs: int = 50, warm_up: int = 5) -> LatencySummary:
    """Seconds of `session.infer(tensor)`, batch 1; pre-processing is not in it."""
    return measure_interleaved({session.variant: lambda: session.infer(tensor)}, runs=runs, warm_up=warm_up)[
        session.variant
    ].model_copy(update={"threads": session.threads})


def measure_interleaved(
    calls: Mapping[str, Callable[[], object]],
    *,
    runs: int = 50,
    warm_up: int = 5,
    threads: int = 1,
    clock: Clock = time.perf_counter,
) -> dict[str, LatencySummary]:
    """Seconds of every call, in turn, summed up (see `interleaved_seconds`)."""
    seconds = interleaved_seconds(calls, runs=runs, warm_up=warm_up, clock=clock)
    return {name: summary(values, threads) for name, values in seconds.items()}


def interleaved_seconds(
    calls: Mapping[str, Callable[[], object]],
    *,
    runs: int = 50,
    warm_up: int = 5,
    clock: Clock = time.perf_counter,
    between: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """Seconds of every call, round by round: what else the machine does in the meantime hits all of them alike.

    Each is made twice in a row and the second one counts: it finds the caches as its own model leaves them, as on a
    line, where no other one runs in between. Timed after another model, the same file was up to 10 % slower at one
    place of the list than at another. The order alternates from round to round. `between` is called before each
    and is not timed.
    """
    return interleaved_by_clocks(calls, [clock], runs=runs, warm_up=warm_up, between=between)[0]


def interleaved_by_clocks(
    calls: Mapping[str, Callable[[], object]],
    clocks: Sequence[Clock],
    *,
    runs: int = 50,
    warm_up: int = 5,
    between: Callable[[], object] = lambda: None,
) -> list[dict[str, list[float]]]:
    """`interleaved_seconds` of the same calls by each of the clocks."""
    found: list[dict[str, list[float]]] = [{name: [] for name in calls} for _ in clocks]
    order = list(calls)
    for turn in range(warm_up + runs):
        for name in order if turn % 2 == 0 else reversed(order):
            between()
            calls[name]()
            started = [clock() for clock in clocks]
            calls[name]()
            if turn >= warm_up:
                for seconds, clock, start in zip(found, clocks, started, strict=True):
                    seconds[name].append(clock() - start)
    return found


def fair_clock(sessions: Iterable[Session]) -> Clock:
    """What sessions are compared by.

    One thread on a processor is judged by the processor's time: waiting for a core that somebody else has would hit all
    alike on average, but by many times what they differ by. Where several threads share the work, or another device
    does it, only the time that passes counts.
    """
    alone = all(session.threads == 1 and session.device_class != NVIDIA for session in sessions)
    return time.process_time if alone else time.perf_counter


def summary(seconds: Sequence[float], threads: int) -> LatencySummary:
    """Median and 95th percentile."""
    p50, p95 = np.percentile(seconds, [50, 95])
    return LatencySummary(p50_seconds=float(p50), p95_seconds=float(p95), runs=len(seconds), threads=threads)
