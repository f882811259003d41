"""What others need of a benchmark, bounded: for a message of an agent, or for a registry that a person hands it to."""

from __future__ import annotations

from pydantic import ValidationError

from contracts.benchmark import Benchmark, Row
from contracts.errors import ConfigurationError
from contracts.figures import MOST_ROWS, Figures
from runtime.machine import NVIDIA, class_described

_REASON_CHARACTERS = 200
_MACHINE = {"processor", "flags", "cores", "memory_bytes", "system", "onnxruntime"}


def figures(found: Benchmark, *, remark: str = "") -> Figures:
    """The rows with one caller; of many the first. `remark`: what was done about it.

    Raises ConfigurationError, naming the value, where something is out of its bounds: no device measures that.
    """
    rows = [_figure(row) for row in found.rows if row.callers == 1][:MOST_ROWS]
    told = {
        "bundle_hash": found.bundle_hash,
        "device_class": _device_class(found),
        "measured_at": found.measured_at,
        "machine": {name: value for name, value in found.machine.items() if name in _MACHINE and value is not None},
        "rounds": found.rounds,
        "reference": found.reference,
        "rows": rows,
        "skipped": {name: _line(reason) for name, reason in list(found.skipped.items())[:MOST_ROWS]},
        "chosen": found.chosen,
        "chosen_threads": found.chosen_threads,
        "remark": _line(remark),
    }
    try:
        return Figures.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"no device's figures: {where}: {first['msg']}; benchmark again") from error


def _figure(row: Row) -> dict[str, object]:
    same = row.model_dump(exclude={"callers", "batch", "golden", "images", "joules_per_image", "certified_accuracy"})
    return {
        **same,
        "golden_images": row.golden.images,
        "golden_same": row.golden.same_class,
        "golden_difference": row.golden.largest_difference,
        "golden_passed": row.golden.within_tolerance,
    }


def _device_class(found: Benchmark) -> str:
    """Targets that run on the processor end in `-cpu`; the others need NVIDIA's GPU."""
    on_gpu = any(not row.variant.partition("/")[0].endswith("-cpu") for row in found.rows)
    return NVIDIA if on_gpu else class_described(found.machine) or "other"


def _line(text: str) -> str:
    """In one line that fits."""
    shown = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(shown.split())[:_REASON_CHARACTERS]
