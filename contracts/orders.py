"""What a monitor asks. Each order has an id, an expiry and a reason; doing one twice changes nothing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contracts.names import Identifier, Moment, Name, Sha256, Wire


class _Order(Wire):
    order_id: Identifier
    issued_at: Moment
    expires_at: Moment
    reason: str


class Install(_Order):
    """Look at the signed channel now: its sequence is at least this. A hint only; the channel decides."""

    kind: Literal["install"] = "install"
    channel_sequence: int = Field(ge=1)


class Rollback(_Order):
    """Look at the signed channel now: it names an earlier bundle. A hint only; the channel decides."""

    kind: Literal["rollback"] = "rollback"
    channel_sequence: int = Field(ge=1)


class Replay(_Order):
    """Run the shadow bundle over the buffered images and report (`replay-finished`)."""

    kind: Literal["replay"] = "replay"
    bundle_hash: Sha256
    images: int = Field(ge=1, le=100_000)


class Sample(_Order):
    """Upload images for labelling: `random` drawn without looking at the answer; on top of them `atypical` ones, the
    farthest first, `unsure` ones, whose scores lie nearest to the threshold, and `overruled` ones, whose verdicts were
    contradicted at the line. A standing order: collected from now on (and from the buffer since `since`) until the
    numbers are reached or it expires. One part is uploaded at most once. An older agent knows `random` and `atypical`
    alone."""

    kind: Literal["sample"] = "sample"
    camera: Name
    product: Name
    random: int = Field(ge=0, le=10_000)
    atypical: int = Field(default=0, ge=0, le=1_000)
    unsure: int = Field(default=0, ge=0, le=1_000)
    overruled: int = Field(default=0, ge=0, le=1_000)
    since: Moment
    purpose: Literal["drift-sample", "audit"] = "drift-sample"


class Benchmark(_Order):
    """Measure every variant of a bundle that lies on the device, beside the line and behind it in priority. Its
    `order-done` carries `Figures`. Where another certified variant of the serving bundle is surely faster, the agent
    serves it."""

    kind: Literal["benchmark"] = "benchmark"
    bundle_hash: Sha256
    runs: int = Field(default=200, ge=20, le=1000, description="answers of each variant")
    threads: int | None = Field(
        default=None, ge=1, le=64, description="of one inference, at most the device's cores; default: as it serves"
    )


class CountScores(_Order):
    """How the defect scores on record lie, for a preview of other thresholds. `order-done` carries `Scores`: counts
    only, no part."""

    kind: Literal["count-scores"] = "count-scores"
    bundle_hash: Sha256
    product: Name
    days: int = Field(default=7, ge=1, le=31, description="up to now, by the record's clock")


class Configure(_Order):
    """Change the audit rate. Thresholds are no order: they come signed, with the channel."""

    kind: Literal["configure"] = "configure"
    audit_fraction: float | None = Field(default=None, ge=0.0, le=1.0)


class Retrain(_Order):
    """Train a successor. Obeyed by a trainer process, which writes a bundle directory and ends."""

    kind: Literal["retrain"] = "retrain"
    site: Name
    product: Name
    parent_bundle: Sha256
    base_snapshot: Sha256
    labels_manifest: str = Field(description="path or URL of the CSV with the new labels (path,label,group,source,...)")
    seed: int = 0
    incident_id: Identifier | None = None


Order = Annotated[
    Install | Rollback | Replay | Sample | Benchmark | CountScores | Configure | Retrain,
    Field(discriminator="kind"),
]
