"""What an agent reports: `Birth` on connect, `Window` once a window, `Event` at once, `Status` retained by the broker.

Every one of birth, window and event travels in an `Envelope` with (agent, boot, sequence). Sequences start at 1 in each
boot and have no gaps: what the outbox had to drop is replaced by an `Event` of kind `dropped` under the first dropped
sequence, whose `last_sequence` covers the range. The monitor answers with an `Ack` after its own commit.

A boot is one run of numbers. A start begins one, and so does an outage now and then; the newest has the full state of
its connection. A monitor that says `takes_late` gets it beside the messages of older ones, which are then `late`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from contracts.frame import Decision, Outcome, Probability
from contracts.names import Identifier, Label, Moment, Name, Sha256, Wire

TOPIC_ROOT = "lineside/v1"
KINDS = ("telemetry", "event", "status", "ack", "orders")


def topic(site: str, agent: str, kind: str) -> str:
    """`lineside/v1/{site}/{agent}/{kind}`; the topic (the authenticated identity) wins over the payload."""
    if kind not in KINDS:
        raise ValueError(f"unknown topic kind {kind!r}; one of {KINDS}")
    return f"{TOPIC_ROOT}/{site}/{agent}/{kind}"


def parse_topic(text: str) -> tuple[str, str, str]:
    """(site, agent, kind) of a topic. Raises ValueError where it is none of ours.

    >>> parse_topic("lineside/v1/mono/agent-1/ack")
    ('mono', 'agent-1', 'ack')
    """
    import re

    match = re.fullmatch(r"lineside/v1/([a-z0-9-]{1,64})/([a-z0-9-]{1,64})/([a-z]+)", text)
    if match is None or match[3] not in KINDS:
        raise ValueError(f"not a Lineside topic: {text[:200]!r}")
    return match[1], match[2], match[3]


class Histogram(Wire):
    """Counts in fixed bins. `edges` has one entry more than `counts`; values outside fall into the end bins."""

    edges: tuple[float, ...] = Field(min_length=2)
    counts: tuple[int, ...]


CONFIDENCE_EDGES = tuple(i / 20 for i in range(21))
LATENCY_EDGES_SECONDS = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class CameraState(Wire):
    """What an agent runs for one camera."""

    camera: Name
    product: Name
    source: str
    line: Name = Field(default="line-1", description="cameras of one line and product are siblings")
    fault: str | None = Field(default=None, description='hard fault now; "": none, missing: an older agent')


class Birth(Wire):
    """Full state on every start and reconnect."""

    kind: Literal["birth"] = "birth"
    software_version: str
    started_at: Moment
    cameras: tuple[CameraState, ...]
    bundle_hash: Sha256 | None
    release_number: int | None
    shadow_hash: Sha256 | None = None
    channel_sequence: int = Field(ge=0)
    runtime: str = Field(description="target and version, e.g. onnxruntime-cpu 1.31.0")
    production: bool = Field(description="a production agent refuses bundles that are not for production")


class Window(Wire):
    """Sums over one window of one camera x product x bundle. They add up across time and fleet."""

    kind: Literal["window"] = "window"
    camera: Name
    product: Name
    bundle_hash: Sha256
    runtime: str
    started_at: Moment
    ended_at: Moment
    first_frame: int = Field(ge=0, description="first frame sequence of the camera in this window")
    last_frame: int = Field(ge=0)
    images: int = Field(
        ge=0, description="images in the sums; those without a verdict come on top, in `decisions` only"
    )
    vector_names: tuple[str, ...]
    vector_sum: tuple[float, ...] = Field(description="sum of the drift vectors")
    vector_square_sum: tuple[float, ...] = Field(description="sum of their squares, entry by entry")
    decisions: dict[Decision, int]
    labels: dict[Label, int] = Field(description="images by predicted class")
    confidence: Histogram
    latency: Histogram
    latency_seconds_sum: float = Field(ge=0.0)
    dropped_images: int = Field(default=0, ge=0)
    shadow: ShadowSummary | None = None
    size: tuple[int, int] | None = Field(
        default=None,
        description="width and height of its pictures as they came (older agents: as decoded); None: not all the same",
    )


class ShadowSummary(Wire):
    """What the shadow bundle answered on the same images."""

    bundle_hash: Sha256
    images: int = Field(ge=0)
    agreements: int = Field(ge=0, description="same OK / NG / REVIEW decision as the active bundle")
    decisions: dict[Decision, int]
    failures: int = Field(ge=0, description="images the shadow could not answer")
    latency_seconds_sum: float = Field(ge=0.0)


class EventKind(StrEnum):
    """Why an agent speaks up at once."""

    CAMERA_FAULT = "camera-fault"
    CAMERA_RECOVERED = "camera-recovered"
    BUNDLE_ACTIVATED = "bundle-activated"
    BUNDLE_REFUSED = "bundle-refused"
    BUNDLE_ROLLED_BACK = "bundle-rolled-back"
    SHADOW_STARTED = "shadow-started"
    THRESHOLDS_APPLIED = "thresholds-applied"
    THRESHOLDS_REFUSED = "thresholds-refused"
    INSPECTION_PAUSED = "inspection-paused"
    INSPECTION_RESUMED = "inspection-resumed"
    REPLAY_FINISHED = "replay-finished"
    ORDER_DONE = "order-done"
    ORDER_FAILED = "order-failed"
    OUTCOME = "outcome"
    DROPPED = "dropped"


class Event(Wire):
    """Something that must be known at once. `details` is kind-specific: `outcome` carries the fields of an
    `OutcomeReport`, `replay-finished` those of a `ShadowSummary`, `order-done` of a benchmark those of `Figures` and of
    a `CountScores` order those of `Scores`, `thresholds-applied` and `-refused` those of a `ThresholdsReport`."""

    kind: Literal["event"] = "event"
    event: EventKind
    at: Moment
    camera: Name | None = None
    product: Name | None = None
    bundle_hash: Sha256 | None = None
    order_id: Identifier | None = None
    reason: str = ""
    last_sequence: int | None = Field(
        default=None, description="only for `dropped`: covers up to and including this one"
    )
    details: dict[str, Any] = {}


class ThresholdsReport(Wire):
    """Signed thresholds that decide from the next image on, or were refused; all None: the bundle's own, again."""

    number: int | None = Field(default=None, ge=1)
    ng: Probability | None = None
    review_from: Probability | None = None


class OutcomeReport(Wire):
    """What the line found out about one part (an operator's "wrong, it is ...", an end-of-line test) beside what had
    been decided."""

    outcome: Outcome
    camera: Name
    product: Name
    bundle_hash: Sha256 | None
    decision: Decision
    label: Label | None = Field(default=None, description="the class that had been predicted")
    triggered_at: Moment


Body = Annotated[Birth | Window | Event, Field(discriminator="kind")]


class Head(Wire):
    """What an envelope says besides its body."""

    schema_version: Literal[1] = 1
    agent: Name
    boot: Identifier
    sequence: int = Field(ge=1)
    sent_at: Moment
    oldest_held: int | None = Field(
        default=None,
        ge=1,
        description="lowest sequence of this boot that the outbox still holds: everything below was acknowledged once, "
        "so a monitor with a younger database need not wait for it",
    )
    late: bool = Field(
        default=False,
        description="the agent has begun a newer boot, whose messages do not wait for this one: it tells what was, "
        "not what is",
    )


class Envelope(Head):
    """One telemetry message."""

    body: Body

    @staticmethod
    def text(head: Head, body: str) -> str:
        """The JSON of an envelope around the JSON of a body, which is not read again."""
        return f'{head.model_dump_json()[:-1]},"body":{body}}}'


class Status(Wire):
    """Retained; the last will says `online` False."""

    schema_version: Literal[1] = 1
    agent: Name
    boot: Identifier
    online: bool
    at: Moment


class Ack(Wire):
    """Everything of `boot` up to and including `sequence` is committed by the monitor; the outbox may delete it."""

    schema_version: Literal[1] = 1
    agent: Name
    boot: Identifier
    sequence: int = Field(ge=0)
    cameras: dict[Name, str] = Field(
        default={}, description="camera -> state of the monitor's machine (e.g. OK, DRIFT), for the operator's page"
    )
    takes_late: bool = Field(default=False, description="newer boots may be sent before older ones are delivered")


Window.model_rebuild()
