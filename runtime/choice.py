"""Which variant of a bundle should serve here. Values in, values out; no I/O but the questions to the targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contracts.bundle import Certificate, Manifest, Precision, Variant
from contracts.errors import BundleError
from runtime.machine import class_described
from runtime.targets import Builds, targets, why_not

MINIMUM_GAIN = 0.05
"""A variant takes another's place for less time by this share, so that noise does not decide."""


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
