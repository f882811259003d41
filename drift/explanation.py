"""What explains a shift of the mean vector: a camera's fault, another mix of parts, or neither.

Each explanation says which shifts it would give and how surely (`contracts.signatures`): a fault of growing strength
moves the mean along a curve, near which it is found; another mix moves it towards classes of the parts. What is neither
may be anywhere, or lie as parts of one class always differed: so most products drift. They are compared by the density
that each gives to the shift at hand: of all that could come, how much of it looks like this? An explanation that fits
many shifts, because it is wide, is thereby believed less than one that foretold this one. Strengths are those that suit
an explanation best, and every explanation has one to choose.

How wide the surroundings of a curve are: pictures differ in how they move, and a camera sees few different ones; a
fault's shape on this camera is not quite one of those computed, as they are not quite each other's; and effects are
foretold to a fifth. These shares were chosen on pictures and faults other than those of the benchmark
(`docs/decisions/explained-drift.md`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from contracts.signatures import FAMILIES, Signatures

MIX, NEITHER = "mix", "neither"
_STEPS = 3  # between two strengths of a curve
_BEYOND = 1.3  # times the strongest
_SEEN = 50  # different pictures that a camera's windows are worth
_LIKE_EACH_OTHER = 0.7  # of the covariance of what the other curves of a family leave unexplained
_FORETOLD = 0.2  # relative
_LEAST = 0.05  # standard deviations of single images that a strong fault may be off by in any entry
_VARIATIONS = 4
_SHRUNK = 0.3  # of that covariance towards none between entries: curves are few
_FEW_PARTS = 0.02  # of the covariance within a class: the parts that come more often are few
_MIXES = np.geomspace(0.1, 1.0, 12)  # 1: shares change by about their own standard deviation
_SHIFTS = np.geomspace(0.05, 8.0, 24)  # standard deviations of single images

Floats = NDArray[np.floating[Any]]


class Explanation(BaseModel):
    """Logarithms of how much better each explanation (a family of faults, or `MIX`) foretells a shift than `NEITHER`,
    whose own is 0."""

    model_config = ConfigDict(frozen=True)

    odds: dict[str, float]

    @property
    def best(self) -> str:
        """The explanation that foretells it best."""
        return max(self.odds, key=lambda name: self.odds[name])

    @property
    def lead(self) -> float:
        """By how much it does so better than the next one; 0 where there is none."""
        first, *others = sorted(self.odds.values(), reverse=True)
        return first - max(others, default=first)


def explained(shift: Floats, covariance: Floats, signatures: Signatures) -> Explanation:
    """What explains a `shift` [m] of the mean vector that is known up to a `covariance` [m, m]. Raises ValueError where
    the signatures are of other entries."""
    scale = np.array(signatures.scale)
    if shift.shape != scale.shape:
        raise ValueError(f"signatures of {scale.size} entries do not explain a shift of {shift.size}")
    scale = np.maximum(scale, np.sqrt(np.diag(covariance)))
    shift, known = shift / scale, covariance / np.outer(scale, scale)
    within = _covariance(signatures.within) / np.outer(scale, scale)
    neither = max(_density(shift, known + size**2 * shape) for shape in _shapes(within) for size in _SHIFTS)
    odds = {name: _fault(shift, known, _Family.of(signatures, name, scale)) for name in _families(signatures)}
    if len(signatures.classes) > 1:
        odds[MIX] = _mix(shift, known, signatures, scale, within)
    return Explanation(odds={NEITHER: 0.0, **{name: round(found - neither, 2) for name, found in odds.items()}})


def _shapes(within: Floats) -> Iterator[Floats]:
    """Covariances [m, m] of what nothing foretold: to all sides alike, or as parts of one class differ from each other
    (`within` [m, m])."""
    yield np.eye(len(within))
    yield within + _LEAST**2 * np.eye(len(within))


def _families(signatures: Signatures) -> tuple[str, ...]:
    present = {fault.family for fault in signatures.faults}
    return tuple(name for name in FAMILIES if name in present)


@dataclass(frozen=True)
class _Family:
    """Faults of one family, in standard deviations of single images."""

    curves: tuple[Floats, ...]  # of [strengths, m]
    pictures: Floats  # [m] variance of the mean effect, as few pictures know it

    @classmethod
    def of(cls, signatures: Signatures, name: str, scale: Floats) -> _Family:
        """Those of `signatures`."""
        curves = tuple(np.array(fault.points) / scale for fault in signatures.faults if fault.family == name)
        known = 1.0 / signatures.images + 1.0 / _SEEN
        return cls(curves, np.array(signatures.spreads[name]) / scale**2 * known)

    @property
    def around(self) -> Floats:
        """Covariance [m, m] around an effect of full strength, but for what grows with each entry's own."""
        own = np.diag(self.pictures + _LEAST**2)
        return np.asarray(own + _LIKE_EACH_OTHER * _unlikeness(self.curves), np.float64)

    @property
    def strongest(self) -> float:
        """Length of the strongest effects, on average."""
        return float(np.mean([np.linalg.norm(curve[-1]) for curve in self.curves]))


def _fault(shift: Floats, known: Floats, family: _Family) -> float:
    around, strongest = family.around, family.strongest
    found = []
    for effect in _along(family.curves):
        strength = min(1.0, float(np.linalg.norm(effect)) / max(strongest, 1e-9))
        wide = known + strength**2 * around + np.diag((_FORETOLD * effect) ** 2)
        found.append(_density(shift - effect, wide))
    return max(found)


def _along(curves: Sequence[Floats]) -> Floats:
    """Effects [n, m] at the strengths of the curves, between them, and a little beyond."""
    return np.vstack([effect for curve in curves for effect in _between(curve)])


def _between(curve: Floats) -> Iterator[Floats]:
    before = np.zeros(curve.shape[1])
    for point in curve:
        for step in range(1, _STEPS + 1):
            yield before + (point - before) * step / _STEPS
        before = point
    yield _BEYOND * curve[-1]


def _unlikeness(curves: Sequence[Floats]) -> Floats:
    """Covariance [m, m] of what is left of each curve's points at the nearest of the other curves; 0 for so few curves
    that they are not variations of one fault."""
    entries = curves[0].shape[1]
    if len(curves) < _VARIATIONS:
        return np.zeros((entries, entries))
    left = []
    for number, curve in enumerate(curves):
        others = _along([*curves[:number], *curves[number + 1 :]])
        for point in curve:
            rest = point - others
            left.append(rest[(rest**2).sum(axis=1).argmin()].copy())  # a view would keep all of them
    found = np.array(left).T @ np.array(left) / len(left)
    return np.asarray(_SHRUNK * np.diag(np.diag(found)) + (1.0 - _SHRUNK) * found, np.float64)


def _mix(shift: Floats, known: Floats, signatures: Signatures, scale: Floats, within: Floats) -> float:
    """Shares drawn around those of the images, as Dirichlet's distribution does; the mean moves as classes differ."""
    shares = np.array([signatures.shares[label] for label in signatures.classes])
    shares = shares / shares.sum()
    means = np.array(list(signatures.classes.values())) / scale  # [k, m]
    away = means - shares @ means
    wide = (away.T * shares) @ away + _FEW_PARTS * within + _LEAST**2 * np.eye(scale.size)
    return max(_density(shift, known + size**2 * wide) for size in _MIXES)


def _covariance(triangle: Sequence[Sequence[float]]) -> Floats:
    """The nearest covariance [m, m] to a lower triangle: numbers of three digits may be just none."""
    lower = np.zeros((len(triangle), len(triangle)))
    for place, row in enumerate(triangle):
        lower[place, : place + 1] = row
    sizes, ways = np.linalg.eigh(lower)  # which reads the lower triangle alone
    return np.asarray((ways * np.maximum(sizes, 0.0)) @ ways.T, np.float64)


def _density(shift: Floats, covariance: Floats) -> float:
    """Logarithm of the normal density of a shift [m], up to what is the same for all covariances [m, m]."""
    root = np.linalg.cholesky(covariance + 1e-9 * np.eye(shift.size))
    rest = np.linalg.solve(root, shift)
    return float(-0.5 * rest @ rest - np.log(np.diag(root)).sum())
