"""What `lineside benchmark` found out about a bundle on one machine.

Whoever has other hardware can send it: it names the machine's kind and versions, never a host, a user, a site or a
class of the plant.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from contracts.frame import Probability
from contracts.names import Moment, Sha256, Wire


class GoldenAnswers(Wire):
    """Against the answers that were certified, on the bundle's own sample images."""

    images: int = Field(ge=1)
    same_class: int = Field(ge=0, description="with the certified most probable class")
    largest_difference: float = Field(ge=0.0, description="of a probability")
    within_tolerance: bool


class ImageAnswers(Wire):
    """Against the truth, on labelled images that the user gave."""

    images: int = Field(ge=1)
    unreadable: int = Field(ge=0)
    accuracy: Probability | None = Field(description="of stopping what is a defect and passing what is not")
    balanced_accuracy: Probability | None
    balanced_interval: tuple[float, float] | None = Field(description="95 % interval")
    auroc: Probability | None


class Row(Wire):
    """One variant with so many threads, asked by so many callers at once. Batch is 1: a model answers for one image."""

    variant: str
    threads: int = Field(ge=1)
    callers: int = Field(ge=1)
    batch: Literal[1] = 1
    cold_start_seconds: float = Field(ge=0.0, description="from the start of a process to its first answer, median")
    p50_seconds: float = Field(ge=0.0, description="of one answer; pre-processing is not in it")
    p90_seconds: float = Field(ge=0.0)
    p99_seconds: float = Field(ge=0.0)
    runs: int = Field(ge=1)
    images_per_second: float = Field(ge=0.0)
    peak_bytes: int = Field(ge=0, description="resident, of a process that does nothing else")
    file_bytes: int = Field(ge=0)
    joules_per_image: float | None = Field(
        default=None, description="of all processors; None: the machine does not tell"
    )
    speedup: float = Field(description="p50 of the reference over this one's, median over rounds measured side by side")
    speedup_interval: tuple[float, float] | None = Field(default=None, description="95 % interval of that median")
    golden: GoldenAnswers
    certified: bool = Field(description="the bundle has a certificate of this class of devices that passed")
    certified_accuracy: Probability | None = Field(
        default=None, description="balanced accuracy on the test images, from the certificate: measured at the export"
    )
    images: ImageAnswers | None = None


class Benchmark(Wire):
    """All rows, what could not run here and why, and which variant this machine should serve."""

    schema_version: Literal[1] = 1
    bundle_hash: Sha256
    base_model: str
    default_variant: str
    input_shape: tuple[int, int, int, int] = Field(description="inputs of one image, 3, height, width")
    measured_at: Moment
    machine: dict[str, Any]
    rounds: int = Field(ge=1)
    reference: str = Field(description="the variant that `speedup` compares with, at equal threads and callers")
    rows: tuple[Row, ...]
    skipped: dict[str, str] = Field(default={}, description="variant -> why it does not run here")
    chosen: str | None = Field(description="fastest variant that is certified and answers as certified; None: none is")
    chosen_threads: int | None = None
    remarks: tuple[str, ...] = ()
