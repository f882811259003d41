"""Which images show the same thing: pairs of near duplicates by perceptual hash, and whether such pairs tell anything.

Two images are near duplicates when their hashes differ in few bits *for this set*: in at most a quarter of the bits by
which two of its images usually differ, and in fewer still where these are less than the 128 of unrelated images, since
parts in the same place under the same light look alike without being the same part. Where near duplicates hang together
in one large cluster, images look alike throughout (one machine part from all sides): a hash cannot tell a copy from a
sibling then, only stated groups can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_BITS, _UNRELATED = 40, 128  # of 256; half of them differ by chance
_CHUNK = 1024  # rows compared at a time
_SAMPLE = 2000  # images from which the usual distance is taken
_ALIKE_THROUGHOUT, _FEWEST = 0.25, 20  # share of the images in one cluster, and images in it

Bits = NDArray[np.bool_]  # [n, 256]


@dataclass(frozen=True)
class Alike:
    """`pairs` [p, 2] row numbers of near duplicates, first < second, and `bits`: how near that is here."""

    pairs: NDArray[np.int64]
    bits: int
    count: int  # images compared

    @property
    def throughout(self) -> bool:
        """Whether images of this set look alike anyhow, so that the pairs tell nothing."""
        largest = max(map(len, clusters(self.pairs)), default=0)
        return largest >= max(_FEWEST, _ALIKE_THROUGHOUT * self.count)

    def partners(self) -> dict[int, list[int]]:
        """Row -> the rows it resembles."""
        found: dict[int, list[int]] = {}
        for first, second in self.pairs.tolist():
            found.setdefault(first, []).append(second)
            found.setdefault(second, []).append(first)
        return found


def near_duplicates(looks: Sequence[Bits]) -> Alike:
    """All pairs of the images whose hashes these are."""
    if len(looks) < 2:
        return Alike(np.empty((0, 2), dtype=np.int64), 0, len(looks))
    hashes = np.stack(looks).astype(np.float32)  # [n, 256]
    chosen = np.random.default_rng(0).permutation(len(hashes))[:_SAMPLE]
    usual = distances(hashes[chosen], hashes[chosen])
    median = float(np.median(usual[np.triu_indices(len(chosen), 1)]))
    bits = int(min(_MOST_BITS, median / 4 * min(1.0, median / _UNRELATED)))
    found = []
    for start in range(0, len(hashes), _CHUNK):
        near = np.argwhere(distances(hashes[start : start + _CHUNK], hashes) <= bits)
        near[:, 0] += start
        found.append(near[near[:, 0] < near[:, 1]])
    return Alike(np.concatenate(found), bits, len(hashes))


def distances(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Differing bits [n, m] of hashes [n, 256] and [m, 256] that hold 0 and 1."""
    both: NDArray[np.float32] = first @ second.T
    return np.asarray(first.sum(1)[:, None] + second.sum(1)[None] - 2 * both, dtype=np.float32)


def clusters(pairs: NDArray[np.int64]) -> list[list[int]]:
    """Rows that hang together by pairs, the largest cluster first."""
    parent: dict[int, int] = {}

    def root(row: int) -> int:
        while parent.setdefault(row, row) != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for first, second in pairs.tolist():
        parent[root(first)] = root(second)
    members: dict[int, list[int]] = {}
    for row in sorted(parent):
        members.setdefault(root(row), []).append(row)
    return sorted(members.values(), key=lambda rows: (-len(rows), rows))
