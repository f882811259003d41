"""One rater says the opposite for 10 % of a batch: does a candidate that this spoilt get promoted?

Parts are points in eight dimensions, good and defective ones in two clouds; a new finish moves all of them, and the
served model, which knows the old one only, rejects most of the good parts. A drift's batch of 260 parts is labelled by
one rater, of whose answers 10 % are turned round: at random, or all of them on defects, which is what an attacker would
do. A quarter is kept for the gate, the rest is trained on, together with the parts of before. The model (logistic
regression, the threshold drawn as the trainer draws it: both kinds weigh the same) is so simple that it follows wrong
labels rather more than a network does. Gate, shadow and approval (automatic) are the real ones, and judge the real
answers of both models; the gate's new labels are as poisoned as the others.

A promotion is bad when the candidate is truly worse than what it replaces: in balanced accuracy on the line as it is,
or by 5 points on good or on defective parts at home.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.told import quiet_shadow
from benchmarks.harness import Measured
from contracts.frame import Decision
from contracts.report import Figure
from monitor.rules.approval import Approval, approve
from monitor.rules.gate import GateEvidence, GateSettings, judge_candidate
from monitor.rules.paired import PairedPart
from monitor.rules.shadowing import ShadowEvidence, ShadowSettings, judge_shadow
from runtime.metrics import wilson_interval
from tests.simulators.planted_model import START

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]
How = Literal["clean", "random", "aimed"]

FLIPPED = 0.1
_DIMENSIONS = 8
_APART, _MOVED = 4.4, 2.2  # of the clouds; of the good parts' way towards the defects' under the new finish
_HOME, _BATCH, _GATE, _GOLD = 400, 260, 0.25, 400
_DEFECTS = 0.3
_TRUTH = 4000  # parts that tell what a model truly is
_LOST_AT_HOME = 0.05
_RANDOM_LABELS = 200
_SHADOWED = 500


@dataclass(frozen=True)
class Parts:
    """Points [n, d] and which of them are defective [n]."""

    points: Floats
    defective: Flags


@dataclass(frozen=True)
class Fate:
    """What became of a candidate, and whether it is truly worse than the model it would replace."""

    promoted: bool
    asked: bool
    worse: bool


def measure(options: argparse.Namespace) -> Measured:
    """Clean batches for comparison, then poisoned ones."""
    seeds = 10 if options.quick else 100
    figures = []
    for name in ("clean", "random", "aimed"):
        fates = [fate(np.random.default_rng([options.seed, 600, seed]), name) for seed in range(seeds)]
        figures += _figures(name, fates)
    return Measured(figures)


def _figures(name: How, fates: list[Fate]) -> list[Figure]:
    told = {"clean": "no label turned round", "random": "at random", "aimed": "all of them on defects"}[name]
    kinds = Counter((one.promoted, one.worse) for one in fates)
    bad, worse, asked = kinds[True, True], sum(one.worse for one in fates), sum(one.asked for one in fates)
    promoted = sum(one.promoted for one in fates)
    note = f"{FLIPPED:.0%} of a batch of {_BATCH} labels turned round: {told}" if name != "clean" else told
    note += f"; of {len(fates)} candidates {worse} are truly worse, {promoted} were promoted, {asked} wait for a person"
    low, high = wilson_interval(bad, len(fates))
    interval = (low * len(fates), high * len(fates))
    promotions = wilson_interval(promoted, len(fates))
    return [
        Figure(name=f"poison_{name}_bad_promotions", value=bad, unit="promotions", interval=interval, note=note),
        Figure(
            name=f"poison_{name}_promoted", value=promoted / len(fates), unit="share", interval=promotions, note=note
        ),
    ]


def fate(rng: np.random.Generator, how: How) -> Fate:
    """One drift, one batch, one candidate."""
    home, batch = _parts(rng, _HOME, moved=False), _parts(rng, _BATCH, moved=True)
    served = trained(home.points, home.defective)
    said = turned_round(rng, batch.defective, how)
    for_gate = rng.random(_BATCH) < _GATE
    taught = np.vstack([home.points, batch.points[~for_gate]])
    candidate = trained(taught, np.append(home.defective, said[~for_gate]))
    gold = _paired("gold", _parts(rng, _GOLD, moved=False), served, candidate)
    told = Parts(batch.points[for_gate], said[for_gate])
    verdict = judge_candidate(_evidence(gold, _paired("new", told, served, candidate)), GateSettings())
    worse = _is_worse(rng, served, candidate)
    if verdict.next == "none":
        return Fate(promoted=False, asked=False, worse=worse)
    shadow = judge_shadow(_shadowed(rng, served, candidate, how), START + timedelta(hours=2), ShadowSettings())
    answer = approve("automatic-after-shadow", verdict, shadow).verdict
    return Fate(promoted=answer is Approval.GO, asked=answer is Approval.WAIT_FOR_PEOPLE, worse=worse)


def _parts(rng: np.random.Generator, count: int, *, moved: bool) -> Parts:
    """Good ones around the origin, defects `_APART` away along the first dimension; the new finish moves both."""
    defective = rng.random(count) < _DEFECTS
    points = rng.normal(size=(count, _DIMENSIONS))
    points[:, 0] += _APART * defective + (_MOVED if moved else 0.0)
    points[:, 1] += 6.0 if moved else 0.0  # what tells the finishes apart
    return Parts(points, defective)


def turned_round(rng: np.random.Generator, defective: Flags, how: How) -> Flags:
    """What the rater says [n]."""
    count = 0 if how == "clean" else round(FLIPPED * len(defective))
    among = np.flatnonzero(defective) if how == "aimed" else np.arange(len(defective))
    chosen = rng.choice(among, size=min(count, len(among)), replace=False)
    said = defective.copy()
    said[chosen] = ~said[chosen]
    return said


def trained(points: Floats, defective: Flags) -> Floats:
    """Weights [d + 1] of a logistic regression in which good and defective parts weigh the same (Newton's method with a
    small ridge); a part is rejected where the sum is positive."""
    x = np.column_stack([points, np.ones(len(points))])
    weight = np.where(defective, 0.5 / max(defective.mean(), 1e-9), 0.5 / max(1.0 - defective.mean(), 1e-9))
    w = np.zeros(x.shape[1])
    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ w, -30.0, 30.0)))
        gradient = x.T @ (weight * (p - defective)) + 1e-2 * w
        hessian = (x * (weight * p * (1.0 - p) + 1e-6)[:, None]).T @ x + 1e-2 * np.eye(len(w))
        w = w - np.linalg.solve(hessian, gradient)
    return np.asarray(w)


def rejects(model: Floats, points: Floats) -> Flags:
    """Which parts it calls defective [n]."""
    return np.asarray(points @ model[:-1] + model[-1] > 0.0)


def recalls(model: Floats, parts: Parts) -> Floats:
    """[good, defective] share that is right."""
    right = rejects(model, parts.points) == parts.defective
    return np.array([right[~parts.defective].mean(), right[parts.defective].mean()])


def _is_worse(rng: np.random.Generator, served: Floats, candidate: Floats) -> bool:
    now, home = _parts(rng, _TRUTH, moved=True), _parts(rng, _TRUTH, moved=False)
    on_line = recalls(candidate, now).mean() < recalls(served, now).mean()
    at_home = (recalls(served, home) - recalls(candidate, home)).max() >= _LOST_AT_HOME
    return bool(on_line or at_home)


def _paired(name: str, parts: Parts, served: Floats, candidate: Floats) -> tuple[PairedPart, ...]:
    answers = [
        [Decision.NG if ng else Decision.OK for ng in rejects(model, parts.points)] for model in (served, candidate)
    ]
    return tuple(
        PairedPart(part_id=f"{name}-{i}", label="defect" if defective else "good", active=before, candidate=after)
        for i, (defective, before, after) in enumerate(zip(parts.defective, *answers, strict=True))
    )


def _evidence(gold: tuple[PairedPart, ...], new: tuple[PairedPart, ...]) -> GateEvidence:
    return GateEvidence(
        bundle_hash="a" * 64,
        good_labels=("good",),
        gold=gold,
        new=new,
        certificate_passed=True,
        licence_production=True,
        production=True,
    )


def _shadowed(rng: np.random.Generator, served: Floats, candidate: Floats, how: How) -> ShadowEvidence:
    """500 images of the line as it is, 20 more labels of the same rater."""
    line = _parts(rng, _SHADOWED, moved=True)
    counts = [int(rejects(model, line.points).sum()) for model in (served, candidate)]
    more = _parts(rng, 20, moved=True)
    said = Parts(more.points, turned_round(rng, more.defective, how))
    audited = turned_round(rng, _parts(rng, _RANDOM_LABELS, moved=True).defective, how)
    return quiet_shadow(
        START,
        counts,
        _paired("shadow", said, served, candidate),
        images=_SHADOWED,
        random_defects=int(audited.sum()),
        random_labels=_RANDOM_LABELS,
    )
