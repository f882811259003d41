"""How many random labels prove harm, for each true error rate; and how seldom they prove what is not there.

The curve is that of one `EProcess` that tolerates 2 %. What a drift or a release is judged by
(`monitor.rules.evidence`) holds two of them, one for each side, and allows for wrong labels: it is played too, with
raters that err as often as the settings allow.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Measured
from contracts.frame import Decision, OutcomeSource
from contracts.report import Figure
from drift.eprocess import BETS, PROOF, stakes
from monitor.rules.evidence import Evidence, counted, harms, no_evidence
from monitor.rules.facts import BundleFacts
from monitor.rules.happening import LabelSeen
from monitor.rules.settings import RuleSettings
from runtime.metrics import wilson_interval

Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]

NEVER = 10**9
TOLERATED = 0.02
RATES = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.10, 0.13, 0.16, 0.19, 0.20, 0.45)
_PROMISED = (0.10, 0.19)
_POWER = 200  # labels that a drift asks for
_MOST = 3000  # labels after which a sequence is given up
_NOW = datetime(2026, 1, 5, tzinfo=UTC)


def measure(options: argparse.Namespace) -> Measured:
    """The curve, false proofs, and the same of a release's two sides; `--quick` repeats a tenth as often."""
    scale = 0.1 if options.quick else 1.0
    rng = np.random.default_rng([options.seed, 300])
    figures = [figure for rate in RATES for figure in _at(rng, rate, scale)]
    return Measured([*figures, *_false(rng, scale), *_two_sides(rng, scale)])


def _at(rng: np.random.Generator, rate: float, scale: float) -> list[Figure]:
    """Labels to proof where there is harm, and how often 200 are enough."""
    runs = round((4000 if rate in _PROMISED else 1000) * scale)
    most = _MOST if rate > TOLERATED else _POWER
    needed = proven_after(rng.random((runs, most)) < rate)
    name = f"{100 * rate:g}_percent".replace(".", "_")
    note = f"true error {rate:.1%}, tolerated {TOLERATED:.0%}, e-value 10,000, {runs} sequences"
    within = int((needed <= _POWER).sum())
    power = Figure(
        name=f"proven_in_{_POWER}_labels_at_{name}",
        value=within / runs,
        unit="share",
        interval=wilson_interval(within, runs),
        note=note,
    )
    return [_mean(f"labels_to_proof_at_{name}", needed, note), power] if rate > TOLERATED else [power]


def _mean(name: str, needed: Counts, note: str) -> Figure:
    counts = np.minimum(needed, _MOST)
    mean, reach = float(np.mean(counts)), 1.96 * float(np.std(counts)) / sqrt(len(counts))
    missed = int((needed > _MOST).sum())
    also = f"; {missed} not proven after {_MOST}" if missed else ""
    interval = (mean - reach, mean + reach)
    return Figure(name=name, value=mean, unit="labels", interval=interval, note=f"mean; {note}{also}")


def proven_after(wrong: Flags, *, tolerated: float = TOLERATED, proof: float = PROOF) -> Counts:
    """Labels until harm is proven in each row of verdicts [n, m], `NEVER` where m are not enough: `EProcess` for many
    sequences at once, with the same stakes and the same bets (the tests hold one against the other)."""
    gains, losses = 1.0 + np.array(BETS) * (1.0 - tolerated) / tolerated, 1.0 - np.array(BETS)
    wealth = np.tile(stakes(tolerated, proof), (len(wrong), 1))  # [n, bettors]
    found = np.full(len(wrong), NEVER)
    playing = np.arange(len(wrong))
    for number in range(wrong.shape[1]):
        errs = wrong[playing, number]
        beyond = np.maximum(wealth @ gains - proof, 0.0)
        right = wealth * losses
        whole = right.sum(axis=1)
        right *= (1.0 + beyond * tolerated / (1.0 - tolerated) / np.maximum(whole, 1e-300))[:, None]
        wealth = np.where(errs[:, None], wealth * gains, right)
        done = wealth.sum(axis=1) >= proof * (1.0 - 1e-9)
        found[playing[done]] = number + 1
        playing, wealth = playing[~done], wealth[~done]
    return found


def _false(rng: np.random.Generator, scale: float) -> list[Figure]:
    """At exactly the tolerated error: at the deployed threshold, and at one that is low enough to see some."""
    length = 1000
    runs = round(24_000 * scale)
    proofs = {
        proof: int((proven_after(rng.random((runs, length)) < TOLERATED, proof=proof) < NEVER).sum())
        for proof in (PROOF, 100.0)
    }
    low, high = wilson_interval(proofs[PROOF], runs)
    each = 2_400_000 / length
    note = (
        f"in as many labels, error exactly the tolerated 2 %, e-value 10,000; {proofs[PROOF]} in {runs} sequences of "
    )
    note += f"{length} labels, where the design allows {runs / PROOF:.1f}"
    return [
        Figure(
            name="false_proofs",
            value=proofs[PROOF] / runs * each,
            unit="in 2.4 million",
            interval=(low * each, high * each),
            note=note,
        ),
        _against_design(
            "false_proofs_against_design", proofs[100.0], runs, 0.01, f"sequences of {length} labels at exactly 2 %"
        ),
    ]


def _against_design(name: str, proofs: int, runs: int, designed: float, note: str) -> Figure:
    low, high = wilson_interval(proofs, runs)
    note = (
        f"95 % lower bound of the share proven over the designed {designed:.0%}: above 1 the design is refuted; {note}"
    )
    interval = (low / designed, high / designed)
    return Figure(name=name, value=low / designed, interval=interval, note=f"{note}; {proofs} of {runs}, e-value 100")


def _two_sides(rng: np.random.Generator, scale: float) -> list[Figure]:
    """A release as it is judged: defects and good parts apart, 3 % of the labels wrong."""
    runs, settings = round(400 * scale), RuleSettings(proof=100.0)
    facts = promising(tolerated=0.05)
    false = sum(judged_after(rng, facts, settings, 0.05, _POWER) < NEVER for _ in range(runs))
    note = "both sides err exactly as tolerated, raters in 3 %; two e-processes and their product; 200 labels"
    figures = [_against_design("false_proofs_two_sides_against_design", false, runs, 0.03, note)]
    for rate in (0.19, 0.45):
        needed = np.array([judged_after(rng, facts, RuleSettings(), rate, _MOST) for _ in range(round(100 * scale))])
        note = f"both sides err in {rate:.0%}, 5 % tolerated; 30 % defects, raters err in 3 %; {len(needed)} sequences"
        figures.append(_mean(f"labels_to_proof_two_sides_at_{100 * rate:.0f}_percent", needed, note))
    return figures


def judged_after(rng: np.random.Generator, facts: BundleFacts, settings: RuleSettings, error: float, most: int) -> int:
    """Random labels until the evidence of an incident proves harm; `NEVER` where `most` are not enough."""
    evidence: Evidence = no_evidence(facts, settings)
    for number in range(1, most + 1):
        defect, wrong, misread = rng.random(3) < (facts.defect_share, error, settings.label_noise)
        evidence = counted(evidence, labelled(number, bool(defect), bool(wrong), bool(misread)), facts, settings)
        if harms(evidence, settings):
            return number
    return NEVER


def labelled(number: int, defect: bool, wrong: bool, misread: bool) -> LabelSeen:
    """A part that is defective or not, whose verdict is wrong or not, and whose rater saw it rightly or not."""
    return LabelSeen(
        at=_NOW,
        camera="agent/camera/cap",
        part_id=f"part-{number}",
        label="defect" if defect != misread else "good",
        source=OutcomeSource.DRIFT_SAMPLE,
        decision=Decision.NG if defect != wrong else Decision.OK,
        bundle_hash="0" * 64,
        triggered_at=_NOW,
    )


def promising(*, tolerated: float, defect_share: float = 0.3) -> BundleFacts:
    """A release that tolerates this error on both sides."""
    return BundleFacts(
        bundle_hash="0" * 64,
        number=1,
        labels=("good", "defect"),
        good_labels=("good",),
        escapes_tolerated=tolerated,
        false_rejects_tolerated=tolerated,
        defect_share=defect_share,
        activated_at=_NOW,
    )
