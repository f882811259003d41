"""What a device found out about a bundle, in a form that cannot grow: it fits into one message, and a monitor keeps it.

`Benchmark` is all that `lineside benchmark` has to say; `Figures` are what others need of it, with every number and
text bounded.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from contracts.frame import Probability
from contracts.names import Moment, Name, Sha256, Wire

MOST_ROWS = 32
"""Variants times numbers of threads."""

VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}/[a-z0-9]{1,16}$")]
"""`target/precision`."""

_Line = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Seconds = Annotated[float, Field(ge=0.0, le=3600.0)]
_Bytes = Annotated[int, Field(ge=0, le=2**50)]
_Ratio = Annotated[float, Field(ge=0.0, le=1e6)]


class Machine(Wire):
    """Its kind and versions; never a host or a user."""

    processor: _Line
    flags: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}$")], ...] = Field(
        default=(), max_length=32, description="instruction sets that matter for int8"
    )
    cores: int | None = Field(default=None, ge=1, le=100_000)
    memory_bytes: _Bytes | None = None
    system: _Line = ""
    onnxruntime: _Line = ""


class Figure(Wire):
    """One variant with so many threads, asked by one caller. Batch is 1."""

    variant: VariantName
    threads: int = Field(ge=1, le=1024)
    cold_start_seconds: _Seconds
    p50_seconds: _Seconds = Field(description="of one answer; pre-processing is not in it")
    p90_seconds: _Seconds
    p99_seconds: _Seconds
    runs: int = Field(ge=1, le=10_000_000)
    peak_bytes: _Bytes = Field(description="resident, of a process that does nothing else")
    file_bytes: _Bytes
    speedup: _Ratio = Field(description="p50 of the reference over this one's, median over rounds")
    speedup_interval: tuple[_Ratio, _Ratio] | None = Field(default=None, description="95 % interval of that median")
    golden_images: int = Field(ge=1, le=100_000)
    golden_same: int = Field(ge=0, description="golden samples with the certified most probable class")
    golden_difference: Probability = Field(description="the largest of a probability, against the certified answer")
    golden_passed: bool = Field(description="every answer is as near to the certified one as the bundle asks")
    certified: bool = Field(description="the bundle has a certificate of this class of devices that passed")

    @property
    def may_serve(self) -> bool:
        """Certified, and answers as certified."""
        return self.certified and self.golden_passed

    @model_validator(mode="after")
    def _consistent(self) -> Figure:
        if not self.p50_seconds <= self.p90_seconds <= self.p99_seconds:
            raise ValueError(f"{self.variant}: p50, p90 and p99 must not fall")
        if self.golden_same > self.golden_images:
            raise ValueError(f"{self.variant}: more golden samples answered alike than there are")
        return self


class Figures(Wire):
    """All rows of one device, what could not run there, and which variant it should serve."""

    schema_version: Literal[1] = 1
    bundle_hash: Sha256
    device_class: Name = Field(description="of its GPU where a variant ran there, else of its processor")
    measured_at: Moment
    machine: Machine
    rounds: int = Field(ge=1, le=10_000)
    reference: VariantName = Field(description="the variant that `speedup` compares with, at equal threads")
    rows: tuple[Figure, ...] = Field(min_length=1, max_length=MOST_ROWS)
    skipped: dict[VariantName, _Line] = Field(
        default={}, max_length=MOST_ROWS, description="variant -> why it does not run there"
    )
    chosen: VariantName | None = Field(description="what it should serve; None: no variant may serve there")
    chosen_threads: int | None = Field(default=None, ge=1, le=1024)
    remark: _Line = Field(default="", description="what the device did about it")

    @model_validator(mode="after")
    def _consistent(self) -> Figures:
        keys = [(row.variant, row.threads) for row in self.rows]
        if len(set(keys)) < len(keys):
            raise ValueError("two rows of the same variant and threads")
        if self.chosen is not None and not any(self.is_chosen(row) and row.may_serve for row in self.rows):
            raise ValueError(f"{self.chosen} is chosen and no row says that it may serve")
        return self

    def is_chosen(self, row: Figure) -> bool:
        """Whether the device should serve with this one."""
        return (row.variant, row.threads) == (self.chosen, self.chosen_threads)
