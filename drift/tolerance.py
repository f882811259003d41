"""Which error is tolerated before labels prove harm: what the certificate could not rule out, plus a margin, plus what
wrong labels alone would look like.

Errors are two things: an escape (a defective part decided OK) and a false reject (a good part decided NG). Each is a
rate within its own true class, so neither moves when only the share of defects moves.
"""

from __future__ import annotations

from contracts.certificate import TaskMetrics
from contracts.errors import ConfigurationError
from drift.quantile import clopper_pearson

MARGIN = 0.03
LABEL_NOISE = 0.03
_LEAST_SHARE = 0.005  # of a side: below it, labels of that side prove nothing


def certified_bound(errors: int, parts: int, *, margin: float = MARGIN) -> float:
    """Tolerated error: the one-sided Clopper-Pearson 95 % upper bound of the certified test error, plus `margin`, at
    most 0.95.

    >>> round(certified_bound(3, 100), 3)
    0.106
    """
    return min(clopper_pearson(errors, parts, confidence=0.9)[1] + margin, 0.95)


def apparent_error(error: float, *, share: float, noise: float = LABEL_NOISE, other_error: float = 0.0) -> float:
    """Error that shows in parts *labelled* as a class when the true error within that class is `error`.

    `share` is the class's share of the parts, `noise` the share of labels that say the other side. A part whose label
    is wrong belongs to the other side, where its verdict was probably right, and so looks like an error here.

    >>> round(apparent_error(0.05, share=0.3), 3)
    0.114
    """
    share = min(max(share, _LEAST_SHARE), 1.0 - _LEAST_SHARE)
    true, foreign = share * (1.0 - noise), (1.0 - share) * noise
    mixed = foreign / (true + foreign)
    return min((1.0 - mixed) * error + mixed * (1.0 - other_error), 0.97)


def certified_counts(metrics: TaskMetrics, good_labels: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """(errors, parts) of `defect` and `good` on the certified test set. Raises ConfigurationError where the bundle's
    metrics lack recalls or the confusion matrix that says how many parts there were."""
    parts = {"good": 0, "defect": 0}
    for label, row in metrics.confusion.items():
        parts["good" if label in good_labels else "defect"] += sum(row.values())
    recalls = {"good": metrics.recall_good, "defect": metrics.recall_defect}
    counts = {}
    for side, recall in recalls.items():
        if recall is None or parts[side] == 0:
            raise ConfigurationError(
                f"the bundle's test metrics say nothing about {side} parts: train with a test split"
            )
        counts[side] = (round((1.0 - recall) * parts[side]), parts[side])
    return counts
