"""Which variant of a bundle should serve here. Values in, values out; no I/O but the questions to the targets."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contracts.benchmark import Row
from contracts.bundle import Manifest, Precision, Variant
from contracts.certificate import Certificate
from contracts.errors import BundleError
from runtime.machine import class_described
from runtime.targets import Builds, targets, why_not

MINIMUM_GAIN = 0.05
"""A variant takes another's place for less time by this share, so that noise does not decide."""

_SURE_GAIN = 1 / (1 - MINIMUM_GAIN)
"""What a speed-up surely is, at the lower end of its interval, where a variant displaces the default one; a station
decides by the same share."""
_Z_95 = 1.96


@dataclass(frozen=True)
class Candidate:
    """A variant that can run here. `certified`: it has passed on this class of devices."""

    variant: Variant
    device_class: str
    certified: bool


@dataclass(frozen=True)
class Candidates:
    """The candidates, the first choice first, and why the other variants are none."""

    serving: tuple[Candidate, ...]
    passed_over: Mapping[str, str]

    @property
    def certified(self) -> tuple[Candidate, ...]:
        """Those that have passed on this class of devices."""
        return tuple(each for each in self.serving if each.certified)

    @property
    def unproven(self) -> tuple[Candidate, ...]:
        """Those that nobody has certified on this class of devices."""
        return tuple(each for each in self.serving if not each.certified)


def candidates(
    manifest: Manifest,
    *,
    unavailable: Callable[[str, Precision], str | None] = why_not,
    device_class: Callable[[str], str] | None = None,
) -> Candidates:
    """What may serve here: certified variants before unproven ones, the default one first, then in their order.

    `unavailable(target, precision)` says why variants cannot run, `device_class(target)` on what they would.
    """
    class_of_target = device_class or (lambda target: targets()[target].device_class())
    found, passed_over = [], {}
    for variant in sorted(manifest.variants, key=lambda each: each.name != manifest.default_variant):
        reason = unavailable(variant.target, variant.precision)
        if reason is None:
            where = class_of_target(variant.target)
            of_variant = [one for one in manifest.certificates if one.variant == variant.name]
            reason = _objection(of_variant, where)
        if reason is not None:
            passed_over[variant.name] = reason
        else:
            found.append(Candidate(variant, where, any(_class(one) == where for one in of_variant)))
    return Candidates(tuple(sorted(found, key=lambda each: not each.certified)), passed_over)


def first_choice(manifest: Manifest) -> Candidate:
    """The one that serves where nothing is measured and no engine built. Raises BundleError, with all reasons, where
    there is none."""
    found = candidates(manifest)
    ready = [each for each in found.serving if not isinstance(targets()[each.variant.target], Builds)]
    if not ready:
        built = {each.variant.name: "an agent has to build its engine first" for each in found.serving}
        reasons = "; ".join(f"{name}: {reason}" for name, reason in {**found.passed_over, **built}.items())
        raise BundleError(f"no variant does run here: {reasons}")
    return ready[0]


def _objection(certificates: Iterable[Certificate], device_class: str) -> str | None:
    """Why a variant may not serve on this class of devices: it failed there, or wherever it was tried."""
    known = {_class(one): one for one in certificates}
    told = known.get(device_class)
    failed = told if told is not None else next(iter(known.values()), None)
    if failed is None or failed.passed or (told is None and any(one.passed for one in known.values())):
        return None
    return f"its certificate did not pass: {'; '.join(failed.reasons) or 'no reason given'}"


def _class(certificate: Certificate) -> str | None:
    return certificate.device_class or class_described(certificate.machine)


def fastest(seconds: Mapping[str, Sequence[float]], *, minimum_gain: float = MINIMUM_GAIN) -> tuple[str, str]:
    """The name that serves, of seconds measured in turn, round by round, and why.

    The first one does, unless another is faster by more than `minimum_gain`: by the median of the ratios of each round,
    with the upper end of its 95 % interval (order statistics). Whatever noise decides then costs at most that share.

    >>> fastest({"a": [1.0] * 20, "b": [0.96] * 20, "c": [0.5] * 20})[0]
    'c'
    >>> fastest({"a": [1.0] * 20, "b": [0.96] * 20})
    ('a', 'a is as fast as any: b takes 0.96 of its time, and 0.95 would be needed')
    """
    (best, *others), best_ratio = list(seconds), 1.0
    told = []
    for name in others:
        middle, upper = _ratio(seconds[name], seconds[best])
        if upper < 1.0 - minimum_gain:
            told = [f"{name} takes {middle:.2f} of the time of {best} (at most {upper:.2f})"]
            best, best_ratio = name, middle
        else:
            told.append(f"{name} takes {middle:.2f} of its time")
    if best_ratio < 1.0:
        return best, "; ".join(told[:1])
    if not told:
        return best, f"{best} is the only one"
    return best, f"{best} is as fast as any: {', '.join(told)}, and {1.0 - minimum_gain:.2f} would be needed"


def _ratio(mine: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Median of the ratios of each round, and the upper end of its interval."""
    ratios = np.sort(np.asarray(mine, dtype=np.float64) / np.asarray(other, dtype=np.float64))
    n = len(ratios)
    upper = min(n - 1, math.ceil(n / 2 + 0.98 * math.sqrt(n)))
    return float(np.median(ratios)), float(ratios[upper])


def choose(
    default: str, rows: Sequence[Row], medians: Mapping[tuple[str, int, int], Sequence[float]]
) -> tuple[Row | None, list[str]]:
    """(the row to serve, what to say about it): among those of one caller that are certified and answer the golden
    samples as certified, the default variant, unless another one is surely faster in the same rounds."""
    fit = [row for row in rows if row.callers == 1 and row.certified and row.golden.within_tolerance]
    if not fit:
        return None, ["no variant is both certified and answers the golden samples as certified: serve none of them"]
    order = sorted(fit, key=lambda row: (row.p50_seconds, row.threads))
    own = next((row for row in order if row.variant == default), None)
    if own is None:
        return order[0], [f"the default variant {default} may not serve here"]
    chosen = own
    for row in order:
        ratio, interval = paired_ratio(medians[_key(chosen)], medians[_key(row)])
        if row.p50_seconds < chosen.p50_seconds and (ratio if interval is None else interval[0]) > _SURE_GAIN:
            chosen = row
    if chosen.variant == default:
        return chosen, []
    return chosen, [f'faster here than the default {default}: set `variant = "{chosen.variant}"` for the agent']


def paired_ratio(reference: Sequence[float], mine: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """Median of reference / mine over rounds, and the 95 % interval of that median by order statistics; None below six
    rounds.

    >>> paired_ratio([2.0, 4.0, 6.0], [1.0, 2.0, 2.0])
    (2.0, None)
    """
    ratios = sorted(theirs / own for theirs, own in zip(reference, mine, strict=True))
    count = len(ratios)
    median = float(statistics.median(ratios))
    if count < 6:
        return median, None
    away = int(count / 2 - _Z_95 * count**0.5 / 2)
    return median, (ratios[max(away, 0)], ratios[count - 1 - max(away, 0)])


def _key(row: Row) -> tuple[str, int, int]:
    return row.variant, row.threads, row.callers
