"""Which variant of a bundle serves on this device: certified for its class or proven here, and the fastest of those.

The golden samples prove a variant (`runtime.probe`); it is timed on one of them, in turn with the others. What was
chosen is remembered, so that a restart neither takes that time again nor lets noise choose differently.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from contracts.bundle import Variant
from contracts.errors import BundleError
from edge_agent.evidence import Basis, Selection
from edge_agent.inspection import Inspector
from runtime.bundle import Bundle
from runtime.choice import Candidate, Candidates, candidates, fastest
from runtime.latency import fair_clock, interleaved_seconds
from runtime.probe import golden_tensor, probe
from runtime.targets import Builds, targets
from runtime.trial import Trials

_RUNS = 20
_WARM_UP = 3
_REMEMBERED = 8  # bundles
_FACT = "selections"
_log = logging.getLogger(__name__)


class Memory(Protocol):
    """Keeps what was chosen; `edge_agent.store.Store` fits."""

    def fact(self, name: str) -> str | None: ...

    def remember(self, name: str, value: str) -> None: ...


class Selector:
    """Loads bundles with the variant that should serve here, each tried in a process of its own first: behind the line,
    while something is `serving`. `engines` is where built engines are kept; `breathe` lets the line pass between two
    timed inferences."""

    def __init__(
        self,
        memory: Memory,
        *,
        variant: str | None,
        threads: int,
        engines: Path,
        trials: Trials,
        serving: Callable[[], bool] = lambda: False,
        breathe: Callable[[], None] = lambda: None,
    ) -> None:
        self._breathe = breathe
        self._memory, self._variant, self._threads, self.engines = memory, variant, threads, engines
        self._trials, self._serving = trials, serving

    def select(self, bundle: Bundle) -> tuple[Inspector, Selection]:
        """A loaded inspector that passed its probe. Raises BundleError, with all reasons, where there is none."""
        found = candidates(bundle.manifest)
        unbuilt = self._unbuilt(bundle, found)
        if self._variant is not None and self._variant not in {each.name for each in unbuilt}:
            return self._set(bundle, self._variant, found)
        ready = Candidates(tuple(each for each in found.serving if each.variant not in unbuilt), found.passed_over)
        recalled = self._recall(bundle, ready)
        passed_over = dict(found.passed_over) | {each.name: "its engine is not built yet" for each in unbuilt}
        for group in ([recalled] if recalled else [], to_try(ready), ready.serving):
            proven = self._prove(bundle, [each for each in group if each.variant.name not in passed_over], passed_over)
            if proven:
                return self._choose(bundle, proven, ready, passed_over, unbuilt, recalled=group == [recalled])
        raise BundleError(_all_reasons(passed_over))

    def take(self, bundle: Bundle, variant: str, *, why: str) -> tuple[Inspector, Selection]:
        """The same with the certified variant that a benchmark found to be the one to serve; later starts recall it.

        Raises BundleError where it may not serve here or does not prove itself now; nothing is remembered then.
        """
        found = candidates(bundle.manifest)
        unbuilt = self._unbuilt(bundle, found)
        ready = Candidates(tuple(each for each in found.serving if each.variant not in unbuilt), found.passed_over)
        candidate = next((each for each in ready.certified if each.variant.name == variant), None)
        if candidate is None:
            raise BundleError(
                f"{variant} of bundle {bundle.hash[:12]} has no certificate for this device, or no engine"
            )
        inspector = self._inspector(bundle, variant)
        probe(bundle, inspector.session, between=self._breathe)
        self._keep(bundle, ready, variant)
        return inspector, Selection(variant, candidate.device_class, "certificate", why, found.passed_over, unbuilt)

    def _set(self, bundle: Bundle, variant: str, found: Candidates) -> tuple[Inspector, Selection]:
        inspector = self._inspector(bundle, variant)
        probe(bundle, inspector.session, between=self._breathe)
        session = inspector.session
        certified = any(each.variant.name == variant for each in found.certified)
        basis: Basis = "certificate" if certified else "settings"
        return inspector, Selection(session.variant, session.device_class, basis, "the settings name it")

    def _inspector(self, bundle: Bundle, variant: str) -> Inspector:
        background = self._serving()
        self._trials.check(bundle, variant=variant, threads=self._threads, engines=self.engines, background=background)
        return Inspector(bundle, variant=variant, threads=self._threads, engines=self.engines, background=background)

    def _unbuilt(self, bundle: Bundle, found: Candidates) -> tuple[Variant, ...]:
        return tuple(
            each.variant
            for each in found.serving
            if isinstance(target := targets()[each.variant.target], Builds)
            and not target.built(bundle.read(each.variant.file), precision=each.variant.precision, engines=self.engines)
        )

    def _prove(
        self, bundle: Bundle, group: Sequence[Candidate], passed_over: dict[str, str]
    ) -> dict[str, tuple[Candidate, Inspector]]:
        """Those of `group` that load and pass their probe; the reasons of the others go into `passed_over`."""
        proven = {}
        for candidate in group:
            name = candidate.variant.name
            try:
                inspector = self._inspector(bundle, name)
                probe(bundle, inspector.session, between=self._breathe)
            except BundleError as error:
                _log.warning("bundle %s: %s does not serve here: %s", bundle.hash[:12], name, error)
                passed_over[name] = str(error)
            else:
                proven[name] = (candidate, inspector)
        return proven

    def _choose(
        self,
        bundle: Bundle,
        proven: Mapping[str, tuple[Candidate, Inspector]],
        ready: Candidates,
        passed_over: Mapping[str, str],
        unbuilt: tuple[Variant, ...],
        *,
        recalled: bool,
    ) -> tuple[Inspector, Selection]:
        name, why = next(iter(proven)), "chosen at an earlier start"
        if not recalled:
            name, why = fastest(
                _seconds(bundle, {each: inspector for each, (_, inspector) in proven.items()}, self._breathe)
            )
            self._keep(bundle, ready, name)
        candidate, inspector = proven[name]
        basis: Basis = "certificate" if candidate.certified else "golden samples"
        return inspector, Selection(name, candidate.device_class, basis, why, passed_over, unbuilt)

    def _recall(self, bundle: Bundle, ready: Candidates) -> Candidate | None:
        """The candidate that was chosen among the same ones on the same runtimes."""
        kept = json.loads(self._memory.fact(_FACT) or "{}").get(bundle.hash, {})
        if kept.get("among") != _among(ready):
            return None
        return next((each for each in ready.serving if each.variant.name == kept.get("variant")), None)

    def _keep(self, bundle: Bundle, ready: Candidates, variant: str) -> None:
        kept = json.loads(self._memory.fact(_FACT) or "{}")
        kept.pop(bundle.hash, None)
        kept[bundle.hash] = {"variant": variant, "among": _among(ready)}
        self._memory.remember(_FACT, json.dumps(dict(list(kept.items())[-_REMEMBERED:])))


def to_try(found: Candidates) -> list[Candidate]:
    """Of each class of devices the certified candidates; of a class without any, those that may prove themselves."""
    certified = {each.device_class for each in found.certified}
    return [each for each in found.serving if each.certified or each.device_class not in certified]


def _among(found: Candidates) -> list[str]:
    """The candidates with their runtimes' versions."""
    return [f"{each.variant.name} {targets()[each.variant.target].version()}" for each in found.serving]


def _seconds(
    bundle: Bundle, inspectors: Mapping[str, Inspector], between: Callable[[], None]
) -> dict[str, list[float]]:
    """Of one inference each, in turn, on the first golden sample; not measured for one alone."""
    if len(inspectors) == 1:
        return {name: [] for name in inspectors}
    tensor = golden_tensor(bundle)
    calls: dict[str, Callable[[], object]] = {
        name: lambda session=inspector.session: session.infer(tensor)  # type: ignore[misc]
        for name, inspector in inspectors.items()
    }
    clock = fair_clock(inspector.session for inspector in inspectors.values())
    return interleaved_seconds(calls, runs=_RUNS, warm_up=_WARM_UP, clock=clock, between=between)


def _all_reasons(passed_over: Mapping[str, str]) -> str:
    if len(passed_over) == 1:
        return next(iter(passed_over.values()))
    return "no variant may serve here: " + "; ".join(f"{name}: {reason}" for name, reason in passed_over.items())
