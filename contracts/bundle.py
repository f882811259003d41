"""A bundle: a directory of plain files (never an archive, never a pickle) described by `manifest.json`.

The bundle's identity is the SHA-256 of the bytes of its `manifest.json`, which in turn names every other file with its
SHA-256 and size. Changing any byte of any file therefore changes the identity or breaks verification.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from contracts.frame import Probability
from contracts.names import Label, Moment, Name, Sha256, Wire
from contracts.quantisation import Quantisation
from contracts.signatures import Signatures
from contracts.tasks import TaskCertificate, Tasks

FilePath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$")]
"""A path inside the bundle: relative, forward slashes, no `..`, no leading dot."""

Precision = Literal["fp32", "int8", "bf16", "fp16"]
"""What a variant computes in. The last two are for hardware that has them; the weights then lie in the file as fp32."""

MANIFEST_NAME = "manifest.json"


def _absent(value: object) -> bool:
    """A field that is not there is not written: manifests of models without it stay as they were."""
    return value is None


def _empty(value: Sized) -> bool:
    """The same for a collection."""
    return not value


class FileEntry(Wire):
    """One file of the bundle."""

    sha256: Sha256
    bytes: int = Field(ge=0)


Polygon = Annotated[tuple[tuple[float, float], ...], Field(min_length=3, max_length=200)]
"""Corners (x, y) in pixels of the source image, in order."""


def _crosses_itself(polygon: Polygon) -> bool:
    """Whether two sides cross that do not follow each other.

    >>> _crosses_itself(((0, 0), (2, 0), (2, 2), (0, 2))), _crosses_itself(((0, 0), (2, 2), (2, 0), (0, 2)))
    (False, True)
    """
    sides = list(zip(polygon, (*polygon[1:], polygon[0]), strict=True))
    return any(
        _side(*one, other[0]) * _side(*one, other[1]) < 0 and _side(*other, one[0]) * _side(*other, one[1]) < 0
        for number, one in enumerate(sides)
        for other in sides[number + 2 :]
    )


def _side(start: tuple[float, float], end: tuple[float, float], point: tuple[float, float]) -> float:
    """On which side of a line a point lies: positive, negative, or 0 on it."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])


class Tiles(Wire):
    """The region of interest as a grid of equal, overlapping windows, each of which becomes one network input: small
    defects keep their pixels. The network answers once for all of them."""

    columns: int = Field(ge=1, le=16)
    rows: int = Field(ge=1, le=16)
    overlap: float = Field(
        default=0.15, ge=0.0, le=0.5, description="share of a tile's side that its neighbour has too"
    )

    @property
    def count(self) -> int:
        """Tiles of an image."""
        return self.columns * self.rows

    def boxes(self, width: float, height: float) -> tuple[tuple[float, float, float, float], ...]:
        """Left, top, right, bottom of every tile in pixels, row by row, of a region of this size.

        >>> Tiles(columns=2, rows=1, overlap=0.5).boxes(30, 10)
        ((0.0, 0.0, 20.0, 10.0), (10.0, 0.0, 30.0, 10.0))
        """
        across, down = self._spans(width, self.columns), self._spans(height, self.rows)
        return tuple((left, top, right, bottom) for top, bottom in down for left, right in across)

    def _spans(self, length: float, count: int) -> list[tuple[float, float]]:
        side = length / (count - (count - 1) * self.overlap)
        step = side * (1 - self.overlap)
        return [(number * step, min(number * step + side, float(length))) for number in range(count)]


class Preprocessing(Wire):
    """How an image becomes the network's input. One implementation (`runtime.preprocessing`) serves trainer,
    certificate and agent. Order: decode -> colour -> blank what is hidden -> crop to region of interest ->
    tiles -> resize -> scale -> layout."""

    schema_version: Literal[1, 2, 3] = Field(
        default=1, description="2 where there are tiles or places to hide, 3 where least_scale is 1"
    )
    formats: tuple[str, ...] = ("PNG", "JPEG", "BMP", "TIFF")
    colour: Literal["RGB"] = "RGB"
    width: int = Field(ge=16, le=4096, description="network input, pixels")
    height: int = Field(ge=16, le=4096, description="network input, pixels")
    resize: Literal["stretch", "pad"] = "stretch"
    filter: Literal["bilinear", "box", "bicubic"] = "bilinear"
    region_of_interest: tuple[int, int, int, int] | None = Field(
        default=None, description="left, top, right, bottom in source pixels"
    )
    region_polygon: Polygon | None = Field(
        default=None, description="what lies outside is neither seen nor kept; without a box the image is cropped to it"
    )
    source_size: tuple[int, int] | None = Field(
        default=None, description="width and height of the images in which areas were named; others are refused"
    )
    hidden: tuple[Polygon, ...] = Field(default=(), description="areas that are neither seen nor kept: people, screens")
    tiles: Tiles | None = Field(default=None, description="None: the whole region of interest at once")
    mean: tuple[float, float, float] = Field(description="per channel, of values in 0..1")
    std: tuple[float, float, float] = Field(description="per channel, of values in 0..1")
    layout: Literal["NCHW"] = "NCHW"
    dtype: Literal["float32"] = "float32"
    max_pixels: int = Field(default=50_000_000, ge=1, description="larger images are refused from their header")
    least_scale: Literal[1, 2] = Field(
        default=2,
        description="a large JPEG is decoded smaller, to at least so many pixels for each of the network's input",
    )

    @model_validator(mode="after")
    def _understood(self) -> Preprocessing:
        """A station that does not know what changes the pixels must refuse it, not pass over it."""
        if self.schema_version == 1 and (self.tiles or self.hides):
            raise ValueError("tiles, region_polygon and hidden need schema_version 2")
        if self.schema_version < 3 and self.least_scale != 2:
            raise ValueError("least_scale 1 needs schema_version 3")
        if self.hides and self.source_size is None:
            raise ValueError("region_polygon and hidden need source_size: of the images that they were named in")
        for polygon in (*self.hidden, *filter(None, [self.region_polygon])):
            if _crosses_itself(polygon):
                raise ValueError(f"the sides of the area {polygon} cross each other; name its corners in order")
        return self

    @property
    def hides(self) -> bool:
        """Whether there is something in an image that may be neither seen nor kept."""
        return self.region_polygon is not None or bool(self.hidden)

    @property
    def inputs(self) -> int:
        """Network inputs that one image becomes."""
        return self.tiles.count if self.tiles else 1

    @property
    def in_source_pixels(self) -> bool:
        """Whether it names places of the source image, which must then keep its full scale."""
        return self.region_of_interest is not None or self.hides

    @property
    def resolution(self) -> tuple[int, int]:
        """Width and height of all inputs side by side, pixels: how much of an image can reach the network."""
        return (
            (self.width * self.tiles.columns, self.height * self.tiles.rows)
            if self.tiles
            else (self.width, self.height)
        )


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


class TaskMetrics(Wire):
    """Quality on one labelled set. Values are 0..1; None where undefined (a class without examples)."""

    examples: int = Field(ge=0)
    accuracy: Probability | None
    balanced_accuracy: Probability | None = Field(description="mean of the recalls of good and defect, by decision")
    auroc: Probability | None = Field(description="of the defect score")
    best_constant: Probability | None = Field(description="accuracy of always answering the commoner of good / defect")
    recall_good: Probability | None
    recall_defect: Probability | None
    recall_per_label: dict[Label, Probability | None] = {}
    confusion: dict[Label, dict[Label, int]] = Field(default={}, description="true label -> predicted label -> count")


class LatencySummary(Wire):
    """Seconds for one inference, batch 1, with the stated threads."""

    p50_seconds: float = Field(ge=0.0)
    p95_seconds: float = Field(ge=0.0)
    runs: int = Field(ge=1)
    threads: int = Field(ge=1)


class Calibration(Wire):
    """How far the probability of the answered class is from how often it is right (expected calibration error over ten
    equal bins), 0..1, on the test images."""

    error: Probability
    reference_error: Probability


class Certificate(Wire):
    """Evidence that one variant answers like the fp32 model on one class of devices, measured through the runtime that
    will serve it."""

    variant: str
    device_class: Name | None = Field(
        default=None, exclude_if=_absent, description="see `runtime.machine`; None: older than device classes"
    )
    reference: str = "torch/fp32"
    images: int = Field(ge=1)
    argmax_agreement: Probability
    max_probability_difference: Probability
    mean_probability_difference: Probability | None = Field(default=None, exclude_if=_absent)
    calibration: Calibration | None = Field(default=None, exclude_if=_absent)
    embedding_shift: float | None = Field(
        default=None,
        ge=0.0,
        exclude_if=_absent,
        description="root mean square difference of the embedding over that of the float one about its mean",
    )
    metrics: TaskMetrics
    reference_metrics: TaskMetrics
    tasks: TaskCertificate | None = Field(default=None, exclude_if=_absent)
    latency: LatencySummary
    machine: dict[str, Any] = {}
    passed: bool
    reasons: tuple[str, ...] = Field(default=(), description="why it did not pass, empty when it did")


class GoldenSample(Wire):
    """A stored image and what the variant must answer; the agent's probe runs them before it switches."""

    file: FilePath
    expected: dict[str, tuple[float, ...]] = Field(description="variant name -> probabilities in label order")
    tolerance: float = Field(default=0.05, gt=0.0, description="largest allowed difference of a probability")


class Thresholds(Wire):
    """Decision on the defect score s: NG at s >= ng, OK below review_from, REVIEW between (none if they are equal)."""

    ng: Probability
    review_from: Probability
    cost_escape: float = Field(default=1.0, gt=0.0)
    cost_false_reject: float = Field(default=1.0, gt=0.0)
    cost_review: float | None = Field(
        default=None, gt=0.0, exclude_if=_absent, description="of a part that a person looks at; None: not asked"
    )
    most_reviewed: Probability | None = Field(
        default=None, exclude_if=_absent, description="share of the parts that people have time for; None: any"
    )
    defect_share: float = Field(default=0.5, gt=0.0, lt=1.0, description="of the parts on the line, as was expected")
    slope: float | None = Field(
        default=None,
        gt=0.0,
        exclude_if=_absent,
        description="how much surer of a defect one is, in log-odds, where the score is by one surer (`runtime.band`); "
        "None: nobody wrote it down",
    )
    chosen_by: str = "balanced accuracy on the validation split"

    @property
    def recall_weights(self) -> tuple[float, float]:
        """What a lost share of the defects and of the good parts costs: equal where both kinds are equally common and
        their errors equally dear."""
        return 2 * self.defect_share * self.cost_escape, 2 * (1 - self.defect_share) * self.cost_false_reject

    @model_validator(mode="after")
    def _ordered(self) -> Thresholds:
        if self.review_from > self.ng:
            raise ValueError("review_from must not exceed ng")
        return self


class DriftReference(Wire):
    """Where the arrays that turn an embedding into a drift vector lie (see `drift.vector`)."""

    file: FilePath = "reference.safetensors"
    components: int = Field(ge=1, le=64, description="whitened principal components of the embedding")
    embedding_width: int = Field(ge=1)
    names: tuple[str, ...] = Field(description="names of the drift vector's entries, in order")
    signatures: Signatures | None = Field(
        default=None, exclude_if=_absent, description="what camera faults do to that vector; None: nobody tried"
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
        default=None, exclude_if=_absent, description="what the model answers beside the class; None: nothing"
    )
    quantisation: Quantisation | None = Field(
        default=None, exclude_if=_absent, description="how the int8 file was made; None: nobody wrote it down"
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
