"""What a model card holds: `card.json`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.bundle import Licence, Lineage
from contracts.certificate import TaskMetrics
from contracts.names import Label, Moment, Name, Sha256, Wire
from contracts.preprocessing import Preprocessing
from contracts.quality import RaterAgreement, Weight
from contracts.tasks import Tasks
from contracts.thresholds import Thresholds
from trainer.bases.backbone import Described
from trainer.bases.worth import Worth
from trainer.evaluation.report import Estimate, Evaluation, TaskFigures
from trainer.forgetting import Kept
from trainer.network import Pooling
from trainer.sites.by_site import AtSite
from trainer.snapshot import SplitWay
from trainer.views import Flip


class BaseFacts(Wire):
    """The model that was fine-tuned."""

    id: str
    architecture: str
    sha256: Sha256 | None = Field(description="of its weights; None: random ones")
    licence: Licence
    accepted_risk: str = Field(default="", description="what somebody accepted by name; empty: nothing had to be")
    line: tuple[Described, ...] = Field(
        default=(), description="it, then what it was made from, nearest first; empty where random weights learned"
    )


class SplitFacts(Wire):
    """One split of the snapshot."""

    images: dict[Label, int]
    groups: int = Field(ge=0, description="named ones; an image without a group stands for itself")


class DataFacts(Wire):
    """The images; their hashes are in the lineage."""

    splits: dict[str, SplitFacts]
    split_by: SplitWay = Field(description="of the first snapshot of the line; empty: nobody wrote it down")
    ungrouped: int = Field(ge=0, description="images without a group")
    parent_snapshot: Sha256 | None = Field(description="what this one grew from")
    pinned: str = Field(description="what is known of its test groups in earlier snapshots, as a sentence")
    raters: RaterAgreement | None = Field(description="None: nobody was asked twice")


class QualityKind(Wire):
    """One kind of finding."""

    kind: str
    weight: Weight
    images: int = Field(ge=0)


class QualityFacts(Wire):
    """What was found before the training (`quality.json`)."""

    errors: int = Field(ge=0)
    warnings: int = Field(ge=0)
    notes: int = Field(ge=0)
    findings: tuple[QualityKind, ...] = Field(description="the gravest first")


class TrainingFacts(Wire):
    """How it was trained; every setting is in the lineage."""

    strategy: str
    reasons: tuple[str, ...] = Field(description="why this one; none where no other was tried")
    tuning: tuple[str, ...]
    restarts: tuple[str, ...]
    flips: str = Field(description="mirrorings that were seen while learning; empty: nobody wrote it down")
    augmentation: str = Field(description="everything that varied while learning, as a sentence")
    graft: bool
    looks: tuple[Flip, ...] = Field(description="mirrorings over which every answer is the mean")
    pooling: Pooling
    device: str


class InputFacts(Wire):
    """What the network gets to see."""

    preprocessing: Preprocessing
    smallest_defect: float | None = Field(description="side in pixels of the image, as it was named")
    reasons: tuple[str, ...] = Field(description="why this size, where it was chosen")


class Together(Wire):
    """One task's mean error beside the others and alone, and the standard error of the difference."""

    together: float | None
    alone: float | None
    error: float | None


class ModelCard(Wire):
    """What has to be known of one model before it is trusted."""

    schema_version: Literal[1] = 1
    site: Name
    product: Name
    created_at: Moment
    seconds: float = Field(ge=0.0, description="wall time of the training")
    labels: tuple[Label, ...]
    good_labels: tuple[Label, ...]
    model_sha256: Sha256 = Field(description="of the weights that the card is about")
    licence: Licence = Field(description="the strictest of images and base model")
    lineage: Lineage
    base: BaseFacts
    worth: Worth = Field(description="of the base model's weights against random ones")
    data: DataFacts
    quality: QualityFacts | None = Field(description="None: nobody checked")
    training: TrainingFacts
    input: InputFacts
    thresholds: Thresholds
    temperature: float = Field(gt=0.0)
    calibration_shift: float | None = Field(description="by which the line was moved, in log-odds; it is in the head")
    metrics: TaskMetrics = Field(description="of the float model on the pinned test split")
    intervals: dict[str, Estimate] = Field(description="95 %, over groups, by name of the metric; none in older runs")
    tasks: Tasks | None
    task_figures: TaskFigures | None
    task_comparisons: dict[str, Together]
    sites: tuple[AtSite, ...] = Field(default=(), description="the test site by site, where there are several")
    kept: tuple[Kept, ...] = Field(description="what a retrained model has kept of its parent")
    kept_unknown: str = Field(description="why nobody knows what it has kept; empty: known, or it has no parent")
    cannot_promise: tuple[str, ...]
    evaluation: Evaluation | None = Field(default=None, description="without the pictures of its failures")
    failures: int = Field(default=0, ge=0, description="the surest wrong answers, which the run's report shows")
