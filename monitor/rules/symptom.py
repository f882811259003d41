"""What a drifted picture looks like, for the person who is sent to the camera.

Light multiplies every pixel, so brightness, contrast and edges change by one factor; what is left once that factor is
taken out tells the rest. A veil takes contrast and edges; bad focus takes edges only, everywhere alike; dirt sits at a
place, so it changes how brightness or sharpness spread over the picture; noise adds edges everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from monitor.rules.action import Symptom

_SURE = 3.0  # standard deviations of window means
_LIGHT = 0.03  # logarithms of factors from here on
_VEIL = 0.2
_EDGES = 0.05
_SPREAD = 0.015  # relative


def symptoms_of(shifts: Mapping[str, float], changes: Mapping[str, float]) -> tuple[Symptom, ...]:
    """Symptoms, gravest first, from `shifts` and `changes` of image statistics as in `drift.hotelling.Judgement`;
    (UNCLEAR,) where nothing stands out.

    >>> symptoms_of({"mean": -9.0}, {"mean": -0.2, "contrast": -0.2, "sharpness": -0.16})
    (<Symptom.DARKER: 'darker'>,)
    """
    seen = {name: change for name, change in changes.items() if abs(shifts.get(name, 0.0)) >= _SURE}
    light = seen.get("mean", 0.0)
    contrast = seen["contrast"] - light if "contrast" in seen else 0.0
    edges = seen["sharpness"] - 0.8 * light if "sharpness" in seen else 0.0
    spread = _spread(seen, light) or (edges >= _EDGES and seen.get("focus-evenness", 0.0) >= _SPREAD)
    found = [*_structure(contrast, edges, spread)]
    if abs(light) >= _LIGHT and Symptom.HAZE not in found:
        found.append(Symptom.BRIGHTER if light > 0.0 else Symptom.DARKER)
    return tuple(found) or (Symptom.UNCLEAR,)


def _spread(seen: Mapping[str, float], light: float) -> bool:
    """Whether brightness spreads otherwise over the picture than before, beyond what light explains."""
    evenness = seen["evenness"] - 0.09 * light if "evenness" in seen else 0.0
    return abs(evenness) >= _SPREAD


def _structure(contrast: float, edges: float, spread: bool) -> tuple[Symptom, ...]:
    if contrast <= -_VEIL and edges < 0.0:
        return (Symptom.HAZE,)
    if edges <= -_EDGES:
        return (Symptom.DIRT, Symptom.BLURRED) if spread else (Symptom.BLURRED,)
    if spread:
        return (Symptom.DIRT,)
    if edges >= _EDGES:
        return (Symptom.NOISIER,)
    return (Symptom.HARSHER,) if contrast >= _VEIL / 2 else ()
