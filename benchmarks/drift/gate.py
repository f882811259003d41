"""Candidates at the gate, in the shadow, and as young releases, hundreds of each kind: who goes on by itself, who waits
for a person, who is refused, and who is withdrawn how soon.

Only answers are drawn: on every gold part both bundles are right or wrong as often as their truth says, on the same
parts except for `CHURN` of them that change either way. Verdicts are those of `judge_candidate`, `judge_shadow`,
`approve` (automatic after the shadow) and, for releases, of `model.step` fed with windows, audit labels and operators'
overrides.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

import numpy as np

from benchmarks.drift.told import quiet_shadow
from benchmarks.harness import Measured
from contracts.frame import Decision, OutcomeSource
from contracts.report import Figure
from monitor.rules.action import Withdraw
from monitor.rules.approval import Approval, approve
from monitor.rules.gate import GateEvidence, GateSettings, GateVerdict, judge_candidate
from monitor.rules.happening import LabelSeen
from monitor.rules.paired import PairedPart
from monitor.rules.settings import RuleSettings
from monitor.rules.shadowing import ShadowEvidence, ShadowSettings, judge_shadow
from runtime.metrics import wilson_interval
from tests.simulators.planted_model import START, A, PlantedModel, bundle_hash

Outcome = Literal["served", "asked", "refused"]

CHURN = 0.01  # share of gold parts on which a retrained model answers otherwise without being better or worse
_CHURNS = (0.0, 0.02, 0.04)  # the same question for models that differ less or more
_GOLD = {"good": 300, "scratch": 100}
_FEW = 12  # gold parts of a class that are too few
_AT_HOME, _BEFORE, _AFTER = 0.97, 0.75, 0.95  # right at home; on new parts before and with the candidate
_NEW_PARTS, _SHADOW_PARTS = 60, 20
_DEFECTS = 0.3
_BAD = (0.2, 0.3, 0.45)  # wrong verdicts of bad releases
_KEEPS, _TOLERATED = 0.03, 0.06  # what a release that keeps its promise errs, and what its certificate tolerates
_OVERRIDDEN = 0.3  # of the wrong verdicts, by operators who happen to see
_MISREAD = 0.01  # of the labels
_LABELS, _IMAGES = 30, 300
_WEEK = 350  # audit labels of a camera on probation
_WINDOW = 100


@dataclass(frozen=True)
class Truth:
    """What a candidate really is: points lost per class at home, and how often it is right on the new state."""

    lost: dict[str, float] = field(default_factory=dict)
    churn: float = CHURN
    on_new: float = _AFTER


def measure(options: argparse.Namespace) -> Measured:
    """Candidates of each kind, then releases of each kind."""
    runs, releases = (50, 10) if options.quick else (500, 1000)
    rng = np.random.default_rng([options.seed, 400])
    figures = _candidates(rng, runs)
    return Measured([*figures, *_releases(rng, releases)])


def _candidates(rng: np.random.Generator, runs: int) -> list[Figure]:
    equal = [outcome(rng, Truth(), _GOLD) for _ in range(runs)]
    worse = [outcome(rng, Truth({"scratch": 0.05}), _GOLD) for _ in range(runs)]
    figures = [
        *_outcomes("equal", equal, "as good at home, better on new parts"),
        *_outcomes("worse", worse, "truly 5 points worse on a class with 100 gold parts, better on new parts"),
    ]
    for churn in _CHURNS:
        for name, lost in (("equal", {}), ("worse", {"scratch": 0.05})):
            found = Counter(outcome(rng, Truth(lost, churn), _GOLD) for _ in range(runs))
            note = f"{name}, when models answer otherwise on {churn:.0%} of the gold parts by chance; {_told(found)}"
            figures.append(_share(f"gate_{name}_goes_on_churn_{churn:.0%}".rstrip("%"), found["served"], runs, note))
    few = Counter(judged(rng, Truth({"stain": 0.05}), {**_GOLD, "stain": _FEW}).verdict.value for _ in range(runs))
    note = f"truly 5 points worse on a class with {_FEW} gold parts; verdicts: {_told(few)}"
    figures.append(_share("gate_few_parts_pass", few["PASS"], runs, note))
    same = [outcome(rng, Truth(on_new=_BEFORE), _GOLD) for _ in range(runs)]
    return [*figures, *_outcomes("no_better", same, "as good at home and no better on new parts")[:1]]


def _outcomes(name: str, found: list[Outcome], note: str) -> list[Figure]:
    counts, runs = Counter(found), len(found)
    note = f"goes into service without a person; {note}; {_told(counts)}"
    return [
        _share(f"gate_{name}_goes_on", counts["served"], runs, note),
        _share(f"gate_{name}_refused", counts["refused"], runs, f"refused by gate or shadow; {_told(counts)}"),
    ]


def _told(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _share(name: str, hits: int, tries: int, note: str) -> Figure:
    return Figure(
        name=name, value=hits / tries, unit="share", interval=wilson_interval(hits, tries), note=f"{note}; of {tries}"
    )


def outcome(rng: np.random.Generator, truth: Truth, gold: dict[str, int]) -> Outcome:
    """Where a candidate ends that is approved automatically after a clean shadow."""
    verdict = judged(rng, truth, gold)
    if verdict.next == "none":
        return "refused"
    shadow = judge_shadow(_shadowed(rng, truth), START + timedelta(hours=2), ShadowSettings())
    said = approve("automatic-after-shadow", verdict, shadow).verdict
    outcomes: dict[Approval, Outcome] = {Approval.GO: "served", Approval.STOP: "refused"}
    return outcomes.get(said, "asked")


def judged(rng: np.random.Generator, truth: Truth, gold: dict[str, int]) -> GateVerdict:
    """What the gate says to it."""
    evidence = GateEvidence(
        bundle_hash="a" * 64,
        good_labels=("good",),
        gold=tuple(part for label, count in gold.items() for part in _gold(rng, truth, label, count)),
        new=_new(rng, truth, _NEW_PARTS),
        certificate_passed=True,
        licence_production=True,
        production=True,
    )
    return judge_candidate(evidence, GateSettings())


def _gold(rng: np.random.Generator, truth: Truth, label: str, count: int) -> list[PairedPart]:
    """Right before and wrong with the candidate in churn / 2 + what is lost, the other way round in churn / 2."""
    lost, gained = truth.churn / 2.0 + truth.lost.get(label, 0.0), truth.churn / 2.0
    kinds = rng.choice(4, size=count, p=(lost, gained, _AT_HOME - lost, 1.0 - _AT_HOME - gained))
    return [_part(label, kind in (0, 2), kind in (1, 2), f"{label}-{i}") for i, kind in enumerate(kinds)]


def _new(rng: np.random.Generator, truth: Truth, count: int) -> tuple[PairedPart, ...]:
    rows = rng.random((count, 3)) < (_DEFECTS, _BEFORE, truth.on_new)
    return tuple(
        _part("scratch" if defect else "good", bool(before), bool(after), f"new-{i}")
        for i, (defect, before, after) in enumerate(rows)
    )


def _part(label: str, before: bool, after: bool, part_id: str) -> PairedPart:
    right, wrong = (Decision.OK, Decision.NG) if label == "good" else (Decision.NG, Decision.OK)
    return PairedPart(
        part_id=part_id, label=label, active=right if before else wrong, candidate=right if after else wrong
    )


def _shadowed(rng: np.random.Generator, truth: Truth) -> ShadowEvidence:
    """500 images beside the active bundle, none failed, some of them labelled."""
    images = 500
    rejected = int(rng.binomial(images, _DEFECTS * truth.on_new + (1.0 - _DEFECTS) * (1.0 - truth.on_new)))
    return quiet_shadow(
        START,
        (rejected, rejected),
        _new(rng, truth, _SHADOW_PARTS),
        images=images,
        random_defects=int(rng.binomial(200, _DEFECTS)),
        random_labels=200,
    )


def _releases(rng: np.random.Generator, runs: int) -> list[Figure]:
    figures = []
    for error in (_KEEPS, *_BAD):
        found = [withdrawn_after(rng, halved(error), _IMAGES, _LABELS) for _ in range(runs)]
        name = "equal" if error == _KEEPS else f"wrong_in_{error:.0%}".rstrip("%")
        hits = [images for images in found if images is not None]
        after = f"; median after {np.median(hits):.0f} images" if hits else ""
        note = f"{error:.0%} of the verdicts are wrong, {_TOLERATED:.0%} tolerated; {_LABELS} random labels and "
        note += f"{_IMAGES} images, {_OVERRIDDEN:.0%} of wrong verdicts overridden{after}"
        figures.append(_share(f"withdrawn_{name}", len(hits), runs, note))
    weeks = {
        "equal": (halved(_KEEPS), f"{_KEEPS:.0%} of the verdicts are wrong, {_TOLERATED:.0%} tolerated"),
        "as_tolerated": ((_TOLERATED, _TOLERATED), f"{_TOLERATED:.0%} of both sides are wrong, as tolerated"),
    }
    for name, (errors, note) in weeks.items():
        withdrawn = sum(withdrawn_after(rng, errors, _WEEK, _WEEK) is not None for _ in range(runs // 5))
        note += f"; {_WEEK} audit labels, as a week has"
        figures.append(_share(f"withdrawn_{name}_in_a_week", withdrawn, runs // 5, note))
    return figures


def halved(error: float) -> tuple[float, float]:
    """Share of the defects that escapes and of the good parts that is rejected, when so many of all verdicts are wrong
    and the release rejects about as many parts as are defective: another would not have passed its shadow."""
    return error / 2.0 / _DEFECTS, error / 2.0 / (1.0 - _DEFECTS)


def withdrawn_after(rng: np.random.Generator, errors: tuple[float, float], images: int, labels: int) -> int | None:
    """Images until a young release with these escapes and false rejects is withdrawn; None where these `images` with so
    many `labels` are not enough."""
    model = PlantedModel((A,), RuleSettings(), seed=int(rng.integers(2**31)))
    model.serve(1)
    model.serve(2, escapes_tolerated=_TOLERATED, false_rejects_tolerated=_TOLERATED)
    labelled = set(rng.choice(images, labels, replace=False).tolist())
    for image in range(images):
        defect, misread, seen = (bool(hit) for hit in rng.random(3) < (_DEFECTS, _MISREAD, _OVERRIDDEN))
        wrong = bool(rng.random() < errors[0 if defect else 1])
        if wrong and seen:
            model.happen(_labelled(model, image, defect, True, OutcomeSource.OPERATOR))
        if image in labelled:
            model.happen(_labelled(model, image, defect != misread, wrong != misread))
        if image % _WINDOW == _WINDOW - 1:
            model.windows(1)
        if model.all_of(Withdraw):
            return image + 1
    return None


def _labelled(
    model: PlantedModel, image: int, defect: bool, wrong: bool, source: OutcomeSource = OutcomeSource.AUDIT
) -> LabelSeen:
    return LabelSeen(
        at=model.now,
        camera=A,
        part_id=f"part-{image}",
        label="scratch" if defect else "good",
        source=source,
        decision=Decision.NG if defect != wrong else Decision.OK,
        bundle_hash=bundle_hash(model.served),
        triggered_at=model.now,
    )
