"""A plain loop on one core: decode, resize, ask the network; no server, no record. Waits on standard input for how many
seconds to run, and says how many images that were and how long the middle one took.

    python -m benchmarks.serving.bare lineside|opencv BUNDLE VARIANT IMAGE...
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from runtime.bundle import open_bundle
from runtime.preprocessing import decode, prepare
from runtime.session import Session

_WARM_UP = 20  # images


def own(path: Path, variant: str) -> Callable[[bytes], object]:
    """With Lineside's own decoder and session."""
    bundle = open_bundle(path)
    session, spec = Session(bundle, variant=variant, threads=1), bundle.manifest.preprocessing
    return lambda image: session.infer(prepare(decode(image, spec), spec))


def opencv(path: Path, variant: str) -> Callable[[bytes], object]:
    """With OpenCV's."""
    from benchmarks.serving.plain import Plain

    return Plain(path, variant).answer


def main() -> None:
    """One line in, one line out, until the input ends."""
    answer = {"lineside": own, "opencv": opencv}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
    images = [Path(name).read_bytes() for name in sys.argv[4:]]
    for number in range(_WARM_UP):
        answer(images[number % len(images)])
    print("ready", flush=True)
    for line in sys.stdin:
        taken: list[float] = []
        began = time.perf_counter()
        while time.perf_counter() - began < float(line):
            start = time.perf_counter()
            answer(images[len(taken) % len(images)])
            taken.append(time.perf_counter() - start)
        print(len(taken) / (time.perf_counter() - began), statistics.median(taken), flush=True)


if __name__ == "__main__":
    main()
