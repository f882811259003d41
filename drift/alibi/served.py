"""The other side: one detector of alibi-detect, fed with arrays on standard input. Run as a file, never imported.

Line by line: `{"name", "settings", "shape": [n, m]}` and n * m float64 for the reference; then for each batch
`{"shape"}` and its numbers, or `{"reset": true}`. Each is answered by one line of JSON, batches with the statistic of
each row (of an offline detector: of the batch), of all entries the largest.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from typing import Any, BinaryIO

import numpy as np

_MOST = 50_000_000  # numbers in one array


def main() -> None:
    """Serve until standard input ends. What alibi prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    asked = json.loads(sys.stdin.buffer.readline())
    reference = _array(asked["shape"], sys.stdin.buffer)
    try:
        detector = getattr(importlib.import_module("alibi_detect.cd"), asked["name"])(reference, **asked["settings"])
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        _say(answers, {"error": f"{type(error).__name__}: {error}"})
        return
    kept = getattr(getattr(detector, "_detector", detector), "ref_inds", None)  # the others are set aside
    about = {"version": importlib.import_module("alibi_detect").__version__}
    _say(answers, {**about, "kept": None if kept is None else [int(row) for row in kept]})
    while line := sys.stdin.buffer.readline():
        _say(answers, _answer(detector, json.loads(line), online=asked["name"].endswith("Online")))


def _answer(detector: Any, asked: dict[str, Any], *, online: bool) -> dict[str, Any]:
    if asked.get("reset"):
        with contextlib.suppress(AttributeError):
            detector.reset_state()
        return {"drift": False}
    rows = _array(asked["shape"], sys.stdin.buffer)
    found = [detector.predict(row)["data"] for row in rows] if online else [detector.predict(rows)["data"]]
    statistics = [_largest(each["test_stat" if online else "distance"]) for each in found]
    return {"drift": any(bool(each["is_drift"]) for each in found), "statistics": statistics}


def _largest(statistic: Any) -> float | None:
    """Of all entries; None while a window is not full."""
    finite = np.asarray(statistic, np.float64).ravel()
    finite = finite[np.isfinite(finite)]
    return float(finite.max()) if finite.size else None


def _array(shape: list[int], stream: BinaryIO) -> np.ndarray[Any, Any]:
    """[n, m] float32, which alibi's kernels expect."""
    rows, columns = (int(length) for length in shape)
    if min(rows, columns) < 1 or rows * columns > _MOST:
        raise ValueError(f"an array of {rows} x {columns} is refused")
    data = stream.read(8 * rows * columns)
    return np.frombuffer(data, "<f8").reshape(rows, columns).astype(np.float32)


def _say(answers: Any, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value).encode() + b"\n")


if __name__ == "__main__":
    main()
