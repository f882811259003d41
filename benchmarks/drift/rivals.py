"""alibi-detect's KSDrift, MMDDriftOnline and CVMDriftOnline in bulk, by their own formulas.

Rows of a stream come from a small pool, so that what alibi computes anew for each image (kernels, ranks) is looked up.
Entries are standardised first, without which the kernel would see little but the widest of them. The reference is the
images in control themselves, repeated: the in-control distribution, exactly. Thresholds are not alibi's own, which hold
for independent images alone, but are set as those of ours are; so what counts is the statistic. Of many entries all
three take the one that stands out most, as alibi does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.charted import Chart

REFERENCE = 1000  # rows, about
WINDOWS = {"KSDrift": (100, 300, 900), "MMDDriftOnline": (20, 60, 200), "CVMDriftOnline": (20, 60, 200)}

Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.int64]
_CHUNK = 2000  # windows at once


def standard(control: Floats) -> tuple[Floats, Floats]:
    """Mean [m] and standard deviation [m] of the images in control; 1 where an entry never varies."""
    spread = control.std(axis=0)
    return control.mean(axis=0), np.where(spread > 1e-6, spread, 1.0)


def reference_of(control: Floats) -> Floats:
    """The rows in control, each as often as fits into `REFERENCE`, once at least."""
    return np.concatenate([control] * max(1, round(REFERENCE / len(control))))


def ks(reference: Floats, window: int) -> Chart:
    """KSDrift: of batches of `window` images, the largest distance of the distribution functions of any entry. With
    equal numbers for all entries the smallest p-value, corrected or not, belongs to it."""

    def of(pool: Floats, rows: Rows) -> Floats:
        full = rows.shape[1] // window
        counts = _counted(rows[:, : full * window].reshape(-1, window), len(pool))
        found = np.zeros(len(counts))
        for entry in range(pool.shape[1]):
            values, known = _ranked(reference[:, entry], pool[:, entry])
            away = _cumulated(counts, values, known.size) / window - known
            found = np.maximum(found, np.abs(away).max(axis=1))
        return found.reshape(rows.shape[0], full)

    return Chart("KSDrift", window, window, window, window, of)


def cvm(reference: Floats, window: int, every: int | None = None) -> Chart:
    """CVMDriftOnline with one window: the largest statistic of any entry. It is asked after every `every` images, by
    default 10 or a fifth of its window, which lets it find a shift by as many images later at most."""
    every = max(10, window // 5) if every is None else every

    def of(pool: Floats, rows: Rows) -> Floats:
        found = [_cvm_of(reference, pool, part, window) for part in _sliding(rows, window, every)]
        return np.array(found).reshape(rows.shape[0], -1)

    return Chart("CVMDriftOnline", window, -(-window // every) * every, every, window, of)


def _sliding(rows: Rows, window: int, every: int) -> list[Rows]:
    """For each run the windows [n, window] that end after every `every` images, the first after `window` images."""
    first = -(-window // every) * every
    ends = np.arange(first, rows.shape[1] + 1, every)
    return [run[ends[:, None] - window + np.arange(window)] for run in rows]


def _cvm_of(reference: Floats, pool: Floats, windows: Rows, window: int) -> Floats:
    found = np.empty(len(windows))
    for start in range(0, len(windows), _CHUNK):
        counts = _counted(windows[start : start + _CHUNK], len(pool))
        largest = np.full(len(counts), -np.inf)
        for entry in range(pool.shape[1]):
            values, known = _ranked(reference[:, entry], pool[:, entry])
            within = _cumulated(counts, values, known.size)  # [n, values]
            each = np.diff(within, axis=1, prepend=0.0)
            own = np.diff(known, prepend=0.0) * len(reference)
            total = ((known - within / window) ** 2 * (own + each)).sum(axis=1)
            largest = np.maximum(largest, normalised(total, len(reference), window))
        found[start : start + _CHUNK] = largest
    return found


def normalised(total: Floats, n: int, window: int) -> Floats:
    """Sums of squared differences as alibi states them (Anderson 1962, equations 3 and 14)."""
    mean = 1 / 6 + 1 / (6 * (n + window))
    both = n + window
    over = (both + 1) * (4 * n * window * both - 3 * (n * n + window * window) - 2 * n * window)
    return np.asarray((total * n * window / both**2 - mean) / np.sqrt(over / (45 * both**2 * 4 * n * window)))


def _counted(windows: Rows, pool: int) -> NDArray[np.float32]:
    """How often each row of the pool is in each of the windows [n, pool]."""
    n = len(windows)
    flat = (windows + pool * np.arange(n)[:, None]).ravel()
    return np.bincount(flat, minlength=n * pool).reshape(n, pool).astype(np.float32)


def _ranked(reference: Floats, pool: Floats) -> tuple[Rows, Floats]:
    """The place of every row's value among all values, and how much of the reference lies at or below each value."""
    values, place = np.unique(np.concatenate([pool, reference]), return_inverse=True)
    own = np.bincount(place[len(pool) :], minlength=values.size)
    return place[: len(pool)], np.cumsum(own) / len(reference)


def _cumulated(counts: NDArray[np.float32], place: Rows, values: int) -> NDArray[np.float32]:
    """How many of each window lie at or below each value [n, values]."""
    order = np.argsort(place, kind="stable")
    ends = np.searchsorted(place[order], np.arange(values), side="right")
    summed = np.cumsum(counts[:, order], axis=1)
    return np.concatenate([np.zeros((len(counts), 1), np.float32), summed], axis=1)[:, ends]


def median_width(reference: Floats) -> float:
    """alibi's sigma: the median heuristic of Gretton et al. 2012 over the distances within the reference."""
    n = len(reference)
    squares = np.sort(_distances(reference, reference).ravel())
    return float(np.sqrt(0.5 * squares[n + (n * n - n) // 2 - 1]))


def mmd(reference: Floats, window: int, kept: Rows) -> Chart:
    """MMDDriftOnline: the unbiased squared MMD of the last `window` images against the rows of the reference that are
    `kept` (alibi sets 2 * window - 1 aside, by chance), Gaussian kernel."""
    sigma = median_width(reference)
    within = np.exp(-_distances(reference[kept], reference[kept]) / (2 * sigma**2))
    own = (within.sum() - np.trace(within)) / (len(kept) * (len(kept) - 1))

    def of(pool: Floats, rows: Rows) -> Floats:
        near = np.exp(-_distances(pool, pool) / (2 * sigma**2)).astype(np.float32)
        cross = np.exp(-_distances(pool, reference[kept]) / (2 * sigma**2)).mean(axis=1)
        pairs = np.zeros((rows.shape[0], rows.shape[1] - window + 1))
        for lag in range(1, window):
            pairs += _moving(near[rows[:, lag:], rows[:, :-lag]], window - lag)
        return np.asarray(own + 2 * pairs / (window * (window - 1)) - 2 * _moving(cross[rows], window) / window)

    return Chart("MMDDriftOnline", window, window, 1, window, of)


def _moving(values: Floats, window: int) -> Floats:
    """Sums over `window` neighbours [runs, n - window + 1]."""
    summed = np.cumsum(values, axis=1, dtype=np.float64)
    summed[:, window:] = summed[:, window:] - summed[:, :-window]
    return summed[:, window - 1 :]


def _distances(a: Floats, b: Floats) -> Floats:
    """Squared [n, k]."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    return np.asarray(np.maximum(squares, 0.0))
