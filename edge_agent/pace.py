"""Does a new bundle keep pace with the one that serves, as far as their certificates say that it should?

A model may well be slower: larger images, tiles, a larger network. Then its certificate says so. One that is far slower
here than its certificate, beside the bundle that serves and its certificate, would starve the line.
"""

from __future__ import annotations

from collections.abc import Callable

from contracts.errors import BundleError
from edge_agent.inspection import Inspector
from runtime.latency import fair_clock, interleaved_seconds
from runtime.probe import golden_tensor

_SLOWER = 5.0  # times
_NEGLIGIBLE_SECONDS = 0.005
_RUNS = 10
_WARM_UP = 2


def check_pace(new: Inspector, serving: Inspector, *, between: Callable[[], None] = lambda: None) -> None:
    """Times both on their first golden sample, in turn, with `between` before each time. Raises BundleError where the
    new one is five times slower than promised; nothing is promised where a certificate is missing."""
    promised = [_promised_seconds(each) for each in (new, serving)]
    if None in promised or new.bundle.hash == serving.bundle.hash:
        return
    seconds = _seconds(new, serving, between)
    here = [seconds[each] for each in ("new", "serving")]
    if too_slow(here, [seconds or 0.0 for seconds in promised]):
        raise BundleError(
            f"bundle {new.bundle.hash[:12]} takes {1000 * here[0]:.1f} ms for an image here, "
            f"{here[0] / here[1]:.1f} times what {serving.bundle.hash[:12]} takes, which serves; certified were "
            f"{1000 * (promised[0] or 0.0):.1f} ms and {1000 * (promised[1] or 0.0):.1f} ms"
        )


def too_slow(here: list[float], promised: list[float]) -> bool:
    """Seconds of the new bundle and of the one that serves, measured here and by their certificates.

    >>> too_slow([0.030, 0.003], [0.003, 0.003])
    True
    >>> too_slow([0.030, 0.003], [0.009, 0.001]), too_slow([0.003, 0.0003], [0.001, 0.001])
    (False, False)
    """
    slower, expected = here[0] / max(here[1], 1e-9), promised[0] / max(promised[1], 1e-9)
    return here[0] > _NEGLIGIBLE_SECONDS and slower > _SLOWER * max(expected, 1.0)


def _promised_seconds(inspector: Inspector) -> float | None:
    manifest, session = inspector.bundle.manifest, inspector.session
    found = manifest.certificate(session.variant, session.device_class) or manifest.certificate(session.variant)
    return None if found is None else found.latency.p50_seconds


def _seconds(new: Inspector, serving: Inspector, between: Callable[[], None]) -> dict[str, float]:
    """The least of a few runs each: what else the machine does only ever adds."""
    tensors = {"new": golden_tensor(new.bundle), "serving": golden_tensor(serving.bundle)}
    calls = {
        "new": lambda: new.session.infer(tensors["new"]),
        "serving": lambda: serving.session.infer(tensors["serving"]),
    }
    clock = fair_clock([new.session, serving.session])
    seconds = interleaved_seconds(calls, runs=_RUNS, warm_up=_WARM_UP, clock=clock, between=between)
    return {name: min(values) for name, values in seconds.items()}
