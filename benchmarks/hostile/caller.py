"""The process that is attacked: it opens bundles as an agent does, one a line of its input, and says how it went."""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any

from contracts.errors import BundleError
from edge_agent.loader import Loader
from edge_agent.selection import Selector
from runtime.bundle import open_bundle
from runtime.interpreter import peak_bytes
from runtime.trial import Trials

REFUSED, ACCEPTED, UNCLEAR, CRASHED, HUNG = "refused", "accepted", "unclear", "crashed", "hung"
PATIENCE_SECONDS = 240.0
_LIMIT_BYTES = 6 * 1024**3


class Caller:
    """Such a process, begun anew where it dies or hangs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._answers: Queue[str | None] = Queue()

    def ask(self, bundle: Path, variant: str) -> dict[str, Any]:
        """How it opened the bundle: `outcome`, `reason`, `seconds`, peaks of memory in bytes."""
        process = self._running()
        try:
            with contextlib.suppress(BrokenPipeError):  # then there is no answer either
                print(json.dumps({"bundle": str(bundle), "variant": variant}), file=process.stdin, flush=True)
            line = self._answers.get(timeout=PATIENCE_SECONDS)
        except Empty:
            self.close()
            return {"outcome": HUNG, "reason": f"no answer in {PATIENCE_SECONDS} s"}
        if line is None:
            status = process.wait()
            self.close()
            return {"outcome": CRASHED, "reason": f"the caller ended with status {status}"}
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.close()
            self._process = None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._answers = Queue()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.hostile.caller", str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            Thread(target=_read, args=(self._process.stdout, self._answers), daemon=True).start()
        return self._process


def _read(lines: IO[str], answers: Queue[str | None]) -> None:
    with lines:
        for line in lines:
            answers.put(line)
    answers.put(None)


def open_as_agent(bundle: Path, variant: str, trials: Trials) -> tuple[str, str]:
    """(outcome, reason) of what an agent does with a bundle that was sent to it, and of one answer where it serves."""
    try:
        selector = Selector(_Forgetful(), variant=variant, threads=1, engines=bundle / "engines", trials=trials)
        inspector = Loader(selector, production=False).load(bundle, _hash(bundle))
    except BundleError as error:
        reason = str(error)
        clear = "\n" not in reason and len(reason) < 3000 and any(word in reason for word in _NAMED)
        return (REFUSED if clear else UNCLEAR), reason[:3000]
    sample = inspector.bundle.manifest.golden_samples[0]
    answer = inspector.infer(_pixels(inspector.bundle.path / sample.file), limit_seconds=2.0)
    return ACCEPTED, f"answers {answer.probabilities.tolist()}"


class _Forgetful:
    """Remembers no choice: every bundle is a new one."""

    def fact(self, name: str) -> str | None:
        return None

    def remember(self, name: str, value: str) -> None:
        return None


_NAMED = (".onnx", "manifest", ".png", ".safetensors", "bundle", "golden", "onnxruntime-cpu/")


def _hash(bundle: Path) -> str:
    """As the channel would name it; of a bundle that does not open none is right."""
    return open_bundle(bundle).hash


def _pixels(file: Path) -> Any:
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(file).convert("RGB"))


def main() -> None:
    """Until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (_LIMIT_BYTES, _LIMIT_BYTES))
    trials = Trials(Path(sys.argv[1]) / "trials.json")
    for line in sys.stdin:
        asked = json.loads(line)
        started = time.monotonic()
        try:
            outcome, reason = open_as_agent(Path(asked["bundle"]), asked["variant"], trials)
        except Exception as error:  # noqa: BLE001 what is not a BundleError is a finding, not an end
            outcome, reason = UNCLEAR, f"{type(error).__name__}: {error}"[:3000]
        told = {
            "outcome": outcome,
            "reason": reason,
            "seconds": time.monotonic() - started,
            "caller_bytes": peak_bytes(),
            "trial_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
