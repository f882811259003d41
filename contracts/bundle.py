"""A bundle: a directory of plain files (never an archive, never a pickle) described by `manifest.json`.

The bundle's identity is the SHA-256 of the bytes of its `manifest.json`, which in turn names every other file with its
SHA-256 and size. Changing any byte of any file therefore changes the identity or breaks verification.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, Literal

from pydantic import Field, model_validator

from contracts.certificate import Certificate, TaskMetrics
from contracts.names import FilePath, Label, Moment, Name, Sha256, Wire, absent
from contracts.preprocessing import Preprocessing
from contracts.quantisation import Quantisation
from contracts.signatures import Signatures
from contracts.tasks import Tasks
from contracts.thresholds import Thresholds

Precision = Literal["fp32", "int8", "bf16", "fp16"]
"""What a variant computes in. The last two are for hardware that has them; the weights then lie in the file as fp32."""

MANIFEST_NAME = "manifest.json"
CARD_NAME = "card.md"
"""The model card, for people. It is a file like any other, and bundles that are older than this have none."""


def _empty(value: Sized) -> bool:
    """For `exclude_if`, as `absent`: of a collection."""
    return not value


class FileEntry(Wire):
    """One file of the bundle."""

    sha256: Sha256
    bytes: int = Field(ge=0)


class Variant(Wire):
    """One runnable file for one target, for example `onnxruntime-cpu/int8`. A station passes over variants of targets
    that it does not know (see `runtime.targets`).

    Input `image` float32 [n, 3, height, width], n inputs of one image (1 without tiles); outputs `logits` float32
    [1, labels] and `embedding` float32 [1, d], and those of the bundle's `tasks`.
    """

    target: Name
    precision: Precision
    file: FilePath

    @property
    def name(self) -> str:
        """`target/precision`, the key of the certificates."""
        return f"{self.target}/{self.precision}"


class GoldenSample(Wire):
    """A stored image and what the variant must answer; the agent's probe runs them before it switches."""

    file: FilePath
    expected: dict[str, tuple[float, ...]] = Field(description="variant name -> probabilities in label order")
    tolerance: float = Field(default=0.05, gt=0.0, description="largest allowed difference of a probability")


class DriftReference(Wire):
    """Where the arrays that turn an embedding into a drift vector lie (see `drift.vector`)."""

    file: FilePath = "reference.safetensors"
    components: int = Field(ge=1, le=64, description="whitened principal components of the embedding")
    embedding_width: int = Field(ge=1)
    names: tuple[str, ...] = Field(description="names of the drift vector's entries, in order")
    signatures: Signatures | None = Field(
        default=None, exclude_if=absent, description="what camera faults do to that vector; None: nobody tried"
    )

    @model_validator(mode="after")
    def _signed_for_these_entries(self) -> DriftReference:
        if self.signatures is not None and len(self.signatures.scale) != len(self.names):
            raise ValueError(f"signatures of {len(self.signatures.scale)} entries, the vector has {len(self.names)}")
        return self


class Licence(Wire):
    """Owner and permission of images or weights. `production` False marks everything made from them as not for
    production; a bundle inherits the strictest."""

    owner: str = "unknown"
    licence: str = "unknown"
    permitted_use: str = "unknown"
    production: bool = True


class Lineage(Wire):
    """Where a bundle comes from."""

    snapshot_hash: Sha256
    split_hash: Sha256
    base_model: str
    base_model_licence: str
    base_model_sha256: Sha256 | None = Field(description="None for random weights")
    parent_bundle: Sha256 | None = None
    order_id: str | None = Field(default=None, description="the retrain order that asked for it")
    training: dict[str, Any] = Field(default={}, description="the training configuration as run, with the seed")
    changed: dict[str, Any] = Field(
        default={}, exclude_if=_empty, description="what a retrain was told otherwise than the site's first training"
    )
    code_version: str


class Manifest(Wire):
    """`manifest.json`. The release number is the monitor's and lies in the channel, not here."""

    schema_version: Literal[1] = 1
    site: Name
    product: Name = "default"
    created_at: Moment
    labels: tuple[Label, ...] = Field(min_length=2, description="order of the logits")
    good_labels: tuple[Label, ...] = Field(min_length=1, description="classes that pass; all others are defects")
    preprocessing: Preprocessing
    variants: tuple[Variant, ...] = Field(min_length=1)
    default_variant: str
    thresholds: Thresholds
    temperature: float = Field(default=1.0, gt=0.0, description="logits are divided by it before the softmax")
    tasks: Tasks | None = Field(
        default=None, exclude_if=absent, description="what the model answers beside the class; None: nothing"
    )
    quantisation: Quantisation | None = Field(
        default=None, exclude_if=absent, description="how the int8 file was made; None: nobody wrote it down"
    )
    drift_reference: DriftReference = Field(description="of the default variant")
    drift_references: dict[str, DriftReference] = Field(
        default={},
        exclude_if=_empty,
        description="variant name -> its own, where it answers other embeddings than the default variant",
    )
    golden_samples: tuple[GoldenSample, ...] = Field(min_length=1)
    certificates: tuple[Certificate, ...]
    test_metrics: TaskMetrics = Field(description="of the default variant on the pinned test split")
    licence: Licence
    lineage: Lineage
    files: dict[FilePath, FileEntry] = Field(description="every file but manifest.json")

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if unknown := set(self.good_labels) - set(self.labels):
            raise ValueError(f"good_labels names classes that labels lacks: {sorted(unknown)}")
        if self.default_variant not in {variant.name for variant in self.variants}:
            raise ValueError(f"default_variant {self.default_variant!r} is not among the variants")
        needed = {variant.file for variant in self.variants} | {sample.file for sample in self.golden_samples}
        needed |= {reference.file for reference in (self.drift_reference, *self.drift_references.values())}
        if missing := needed - set(self.files):
            raise ValueError(f"files lacks {sorted(missing)}")
        return self

    def drift_reference_of(self, variant: str) -> DriftReference:
        """What drift is measured against while this variant serves."""
        return self.drift_references.get(variant, self.drift_reference)

    def certificate(self, variant: str, device_class: str | None = None) -> Certificate | None:
        """Of a variant, for a class of devices where one is asked for; None where there is none."""
        of_variant = [one for one in self.certificates if one.variant == variant]
        return next((one for one in of_variant if device_class in (None, one.device_class)), None)

    def variant(self, name: str | None = None) -> Variant:
        """The variant of that name, or the default one. Raises KeyError when there is none."""
        wanted = name or self.default_variant
        for variant in self.variants:
            if variant.name == wanted:
                return variant
        raise KeyError(f"no variant {wanted!r}; this bundle has {[variant.name for variant in self.variants]}")
