"""The gate of a site's first release: with nothing to compare it with, the model must be worth something by itself."""

from __future__ import annotations

from contracts.certificate import TaskMetrics
from monitor.rules.gate import GateVerdict, Verdict
from monitor.rules.reason import Reason


def judge_first(
    metrics: TaskMetrics,
    *,
    certificate_passed: bool,
    certificate_reasons: tuple[str, ...],
    licence_production: bool,
    production: bool,
    least_balanced_accuracy: float,
) -> GateVerdict:
    """Whether a bundle may become the first release. `metrics`: measured on the gold set. A constant answer has a
    balanced accuracy of 0.5, whatever its accuracy; `least_balanced_accuracy` is what it takes to be worth more."""
    against = []
    if not certificate_passed:
        against.append(
            Reason(code="first.certificate", parameters={"why": "; ".join(certificate_reasons) or "not given"})
        )
    if production and not licence_production:
        against.append(Reason(code="first.licence"))
    reached = metrics.balanced_accuracy
    if reached is None:
        against.append(Reason(code="first.one-sided"))
    elif reached < least_balanced_accuracy:
        against.append(
            Reason(code="first.too-weak", parameters={"reached": round(reached, 3), "needed": least_balanced_accuracy})
        )
    if against:
        return GateVerdict(verdict=Verdict.REFUSE, next="none", reasons=tuple(against), differences=())
    passed = Reason(
        code="first.passed",
        parameters={
            "reached": round(reached or 0.0, 3),
            "examples": metrics.examples,
            "constant": round(metrics.best_constant or 0.0, 3),
        },
    )
    return GateVerdict(verdict=Verdict.PASS, next="shadow", reasons=(passed,), differences=())
