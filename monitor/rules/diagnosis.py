"""What a drift is: SENSOR (one camera), PRIOR (the mix of parts) or PRODUCT (the parts), and what to tell people.

Cameras of one line see the same parts, so they are each other's best witnesses: what only one of them sees is that
camera's. Without a witness the drift itself must tell: where the release knows what camera faults would do to its
pictures, and what another mix would (`monitor.rules.cause`), what foretold this drift is taken for it. Where it
does not, or nothing did, image statistics that carry the drift and explain the embedding mean SENSOR; an embedding that
moves under an unchanged picture means PRODUCT; anything between is in doubt, and doubt asks for labels and opens a
ticket. Pictures of another size than ever are another set-up of the camera, whatever they show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from contracts.signatures import Signatures
from monitor.rules.action import Kind, Symptom
from monitor.rules.camera import CameraState
from monitor.rules.cause import LOOKED_AT, Cause, cause_of
from monitor.rules.reason import Parameter, Reason, because
from monitor.rules.settings import RuleSettings
from monitor.rules.size import Size
from monitor.rules.symptom import symptoms_of

_MOVED_RATIO = 0.75  # median T2 over limit above which a sibling moves too; in control it lies about 0.3


class Diagnosis(BaseModel):
    """What it is, whether somebody should look at the camera, and why. `siblings` names those that moved too.
    `resized`: its pictures have another size than ever."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    ticket: bool
    symptoms: tuple[Symptom, ...]
    siblings: tuple[str, ...]
    reason: Reason
    resized: bool = False


def diagnose(
    state: CameraState,
    siblings: Sequence[CameraState],
    settings: RuleSettings,
    signatures: Signatures | None = None,
    *,
    overdue: bool = False,
) -> Diagnosis | None:
    """The diagnosis of a camera in DRIFT; None while it is worth waiting for the siblings' windows, which it no longer
    is when it is `overdue`. `signatures`: of the served release, where it has some."""
    if state.resized:
        return set_up_anew(state)
    if state.waited < settings.sibling_wait_windows and not overdue:
        return None
    witnesses = {sibling.camera: testimony(state, sibling, settings) for sibling in siblings}
    waiting = [name for name, moved in witnesses.items() if moved is None]
    if waiting and state.waited < settings.sibling_patience_windows and not overdue:
        return None
    together = tuple(sorted(name for name, moved in witnesses.items() if moved))
    quiet = tuple(sorted(name for name, moved in witnesses.items() if moved is False))
    groups, given, shifts, changes = (
        _mean_of([getattr(seen, field) for seen in state.evidence[-LOOKED_AT:]])
        for field in ("groups", "given", "shifts", "changes")
    )
    cause = cause_of(state, shifts, signatures)
    symptoms = cause.symptoms(changes) or symptoms_of(shifts, changes)
    if not together and quiet:
        return _sensor(symptoms, groups, quiet)
    if not together and cause.is_fault:
        reason = because("diagnosis-sensor-foretold", symptoms=", ".join(symptoms))
        return Diagnosis(kind=Kind.SENSOR, ticket=True, symptoms=symptoms, siblings=(), reason=reason)
    suspected = cause.fault_possible and not together
    if not suspected and (mixed := _of_mix(cause, groups, given)) is not None:
        return Diagnosis(kind=Kind.PRIOR, ticket=False, symptoms=(), siblings=together, reason=mixed)
    if together:
        reason = because("diagnosis-product-siblings", siblings=called(together))
        return Diagnosis(kind=Kind.PRODUCT, ticket=False, symptoms=(), siblings=together, reason=reason)
    return _alone(symptoms, groups, given, suspected=suspected)


def _of_mix(cause: Cause, groups: Mapping[str, float], given: Mapping[str, float]) -> Reason | None:
    """Why it is another mix of parts; None where it is not."""
    if cause.is_mix:
        return because("diagnosis-prior-foretold")
    if groups.get("class", 0.0) > 1.0 and given.get("class", 2.0) <= 1.0:
        return because("diagnosis-prior", ratio=groups["class"])
    return None


def set_up_anew(state: CameraState) -> Diagnosis:
    """Of a camera that is `resized`: no part changes how many pixels a picture has."""
    before, now = (_pixels(size) for size in (state.usual_size.size, state.recent[-1].size))
    reason = because("diagnosis-sensor-size", before=before, now=now)
    moved = (Symptom.MOVED,)
    return Diagnosis(kind=Kind.SENSOR, ticket=True, symptoms=moved, siblings=(), reason=reason, resized=True)


def _pixels(size: Size | None) -> str:
    return " x ".join(map(str, size or ()))


def _sensor(symptoms: tuple[Symptom, ...], groups: Mapping[str, float], quiet: tuple[str, ...]) -> Diagnosis:
    seen = groups.get("image", 0.0) > 1.0 or Symptom.UNCLEAR not in symptoms
    reason = because(
        "diagnosis-sensor-siblings" if seen else "diagnosis-sensor-unclear",
        siblings=called(quiet),
        symptoms=", ".join(symptoms),
    )
    return Diagnosis(kind=Kind.SENSOR, ticket=True, symptoms=symptoms, siblings=(), reason=reason)


def _alone(
    symptoms: tuple[Symptom, ...], groups: Mapping[str, float], given: Mapping[str, float], *, suspected: bool
) -> Diagnosis:
    image, rest = groups.get("image", 0.0), given.get("image", 2.0)
    said: dict[str, Parameter] = {"image": image, "rest": rest, "symptoms": ", ".join(symptoms)}
    if image > 1.0 and rest <= 1.0:
        reason = because("diagnosis-sensor-image", **said)
        return Diagnosis(kind=Kind.SENSOR, ticket=True, symptoms=symptoms, siblings=(), reason=reason)
    if image <= 1.0 and not suspected:
        reason = because("diagnosis-product-embedding", **said)
        return Diagnosis(kind=Kind.PRODUCT, ticket=False, symptoms=(), siblings=(), reason=reason)
    reason = because("diagnosis-doubt", **said)
    return Diagnosis(kind=Kind.PRODUCT, ticket=True, symptoms=symptoms, siblings=(), reason=reason)


def called(cameras: Sequence[str]) -> str:
    """Cameras as people call them: the name between the agent's and the product's.

    >>> called(["agent-1/camera-1/cap", "agent-1/camera-2/cap"])
    'camera-1, camera-2'
    """
    return ", ".join(camera.split("/")[1] if "/" in camera else camera for camera in cameras)


def testimony(state: CameraState, sibling: CameraState, settings: RuleSettings) -> bool | None:
    """Whether the sibling moved too; None while it cannot tell: it is still learning, serves another bundle, is ill
    itself since much earlier, or has not reported since."""
    if state.onset is None or sibling.profile is None or sibling.key.bundle_hash != state.key.bundle_hash:
        return None
    if sibling.onset and (state.onset - sibling.onset).total_seconds() > settings.merge_minutes * 60:
        return None
    windows = [seen for seen in (sibling.rolled if state.slow else sibling.recent) if seen.at > state.onset]
    if len(windows) < 2:
        return None
    return float(np.median([seen.ratio for seen in windows[-LOOKED_AT:]])) > _MOVED_RATIO


def _mean_of(windows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([window[name] for window in windows])) for name in windows[-1]}
