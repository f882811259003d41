"""May this bundle serve on this machine? Run before a switch, on the golden samples that travel in the bundle."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import GoldenSample
from contracts.errors import BundleError
from runtime.bundle import Bundle
from runtime.preprocessing import ImageError, decode, prepare
from runtime.session import Session

LIMIT_SECONDS = 2.0


def probe(
    bundle: Bundle,
    session: Session,
    *,
    limit_seconds: float = LIMIT_SECONDS,
    rounds: int = 2,
    between: Callable[[], object] = lambda: None,
) -> None:
    """Answer every golden sample, decode included, `rounds` times, with `between` before each. Nothing is returned: it
    passes or it raises.

    `limit_seconds` is for the inference of one image; the first round may take five times as long (caches are cold).
    Raises BundleError when an answer is missing, not finite, too late or differs from the certified one.
    """
    for turn in range(rounds):
        for sample in bundle.manifest.golden_samples:
            between()
            probe_sample(bundle, session, sample, limit_seconds=limit_seconds * (5 if turn == 0 else 1))


def probe_sample(bundle: Bundle, session: Session, sample: GoldenSample, *, limit_seconds: float) -> None:
    """Answer one of the golden samples; raises as `probe` does."""
    expected = expected_answer(sample, session.variant)
    if expected is None:
        raise BundleError(f"golden sample {sample.file} has no expected answer for {session.variant}; export again")
    tensor = golden_tensor(bundle, sample)
    started = time.monotonic()
    answer = session.infer(tensor, limit_seconds=limit_seconds).probabilities
    seconds = time.monotonic() - started
    if seconds > limit_seconds:
        raise BundleError(f"{session.variant} took {seconds:.2f} s for one image, {limit_seconds:.2f} s are allowed")
    if len(expected) != len(answer):
        raise BundleError(f"golden sample {sample.file} expects {len(expected)} classes, the model has {len(answer)}")
    difference = float(np.abs(answer - np.asarray(expected)).max())
    if not difference <= sample.tolerance:
        raise BundleError(
            f"{session.variant} answers golden sample {sample.file} {difference:.3f} away from the certified answer "
            f"(allowed {sample.tolerance}); this machine computes it differently, keep the previous bundle"
        )


def golden_tensor(bundle: Bundle, sample: GoldenSample | None = None) -> NDArray[np.float32]:
    """What the network sees of a golden sample, by default the first. Raises BundleError where it cannot be used."""
    sample, spec = sample or bundle.manifest.golden_samples[0], bundle.manifest.preprocessing
    try:
        return prepare(decode(bundle.read(sample.file), spec), spec)
    except ImageError as error:
        raise BundleError(f"golden sample {sample.file} cannot be used: {error}") from error


def expected_answer(sample: GoldenSample, variant: str) -> tuple[float, ...] | None:
    """Probabilities [k] that the exporter had from this variant; of one that could not run there, from the same
    precision on another target, else from fp32."""
    precision = variant.rpartition("/")[2]
    like = [name for wanted in (precision, "fp32") for name in sample.expected if name.endswith(f"/{wanted}")]
    return next((sample.expected[name] for name in (variant, *like) if name in sample.expected), None)
