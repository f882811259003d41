"""Signatures whose faults go in directions of their own, so that what explains a shift is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.signatures import FAMILIES, Signature, Signatures

ENTRIES = 10
CLASSES = {"good": (0.0,) * ENTRIES, "bad": (0.0,) * (ENTRIES - 2) + (2.0, 1.0)}
_STRENGTHS = (0.3, 1.0)
_DIRECTIONS = np.linalg.qr(np.random.default_rng(7).normal(size=(ENTRIES, ENTRIES)))[0][:, : len(FAMILIES)].T

Floats = NDArray[np.floating[Any]]


def along(family: str, strength: float) -> Floats:
    """The shift [m] that a fault gives: 1 moves the mean by three standard deviations of single images."""
    return np.asarray(3.0 * strength * _DIRECTIONS[FAMILIES.index(family)])


def planted_signatures(**changes: Any) -> Signatures:
    """One fault of each family, and two classes of parts."""
    values: dict[str, Any] = {
        "images": 40,
        "scale": (1.0,) * ENTRIES,
        "faults": tuple(
            Signature(family=family, points=tuple(tuple(along(family, each)) for each in _STRENGTHS))
            for family in FAMILIES
        ),
        "spreads": dict.fromkeys(FAMILIES, (0.05,) * ENTRIES),
        "classes": CLASSES,
        "shares": {"good": 0.7, "bad": 0.3},
        "within": tuple((0.0,) * place + (0.5,) for place in range(ENTRIES)),
    }
    return Signatures(**{**values, **changes})
