"""What foretold a camera's drift: a family of camera faults, another mix of parts, or nothing that is known.

A fault alone on its camera keeps labels and retrains away until a person says otherwise, so it is believed only where
it foretold the drift clearly better than anything else did. Another mix, which asks a person too, needs less of a lead
over what is neither, and the same over every fault where the camera is alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict

from contracts.signatures import FAMILIES, Signatures
from drift.explanation import MIX, NEITHER, explained
from monitor.rules.action import Symptom
from monitor.rules.camera import CameraState

LOOKED_AT = 3
"""Windows, the last ones, that say what moved."""

_SURE = 5.0  # logarithm of the odds: 150 to 1
_SURE_OF_MIX = 1.0
_SHOWN = {"focus": Symptom.BLURRED, "dirt": Symptom.DIRT, "setup": Symptom.MOVED}


class Cause(BaseModel):
    """`name`: one of `contracts.signatures.FAMILIES` or `MIX`, or None where nothing foretold the drift clearly.
    `fault_possible`: a fault foretold it hardly worse than anything did, so that it is not refuted; False where none is
    known."""

    model_config = ConfigDict(frozen=True)

    name: str | None = None
    fault_possible: bool = False

    @property
    def is_fault(self) -> bool:
        """Whether it lies with the camera."""
        return self.name in FAMILIES

    @property
    def is_mix(self) -> bool:
        """Whether other parts come than before, which look as they always did."""
        return self.name == MIX

    def symptoms(self, changes: Mapping[str, float]) -> tuple[Symptom, ...]:
        """What a picture with that fault looks like; () where it is none. `changes` as in
        `drift.hotelling.Judgement`."""
        if self.name == "light":
            return (Symptom.BRIGHTER if changes.get("mean", 0.0) > 0.0 else Symptom.DARKER,)
        return (_SHOWN[self.name],) if self.name in _SHOWN else ()


def cause_of(state: CameraState, shifts: Mapping[str, float], signatures: Signatures | None) -> Cause:
    """What foretold the drift. `shifts` are means over the last windows, in standard deviations of the profile's window
    means."""
    profile = state.profile
    if profile is not None and state.slow:
        profile = profile.rolled
    if signatures is None or profile is None or len(profile.names) != len(signatures.scale):
        return Cause()
    covariance = np.array(profile.covariance)
    shift = np.array([shifts[name] for name in profile.names]) * np.sqrt(np.diag(covariance))
    alike = profile.kinship + (1.0 - profile.kinship) / min(len(state.evidence), LOOKED_AT)  # of a mean over some
    found = explained(shift, alike * covariance, signatures)
    sure = _SURE_OF_MIX if found.best == MIX else _SURE
    return Cause(
        name=found.best if found.best != NEITHER and found.lead >= sure else None,
        fault_possible=any(
            found.odds[name] > found.odds[found.best] - _SURE for name in FAMILIES if name in found.odds
        ),
    )
