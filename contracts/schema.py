"""JSON schemas of the contracts. `python -m contracts.schema` writes them to `contracts/schemas/`; they are checked in,
and a test fails when they are out of date."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter

from contracts.answer import Answer, Heartbeat
from contracts.benchmark import Benchmark
from contracts.bundle import Manifest
from contracts.channel import Channel
from contracts.figures import Figures
from contracts.frame import Frame, Outcome, Verdict
from contracts.orders import Order
from contracts.part import PartVerdict
from contracts.quality import QualityReport
from contracts.report import Report
from contracts.scores import Scores
from contracts.telemetry import Ack, Envelope, Status
from contracts.upload import ImageUpload

SCHEMA_FOLDER = Path(__file__).parent / "schemas"
EXAMPLE_FOLDER = Path(__file__).parent / "examples"

PUBLISHED: dict[str, TypeAdapter[object]] = {
    "frame-v1": TypeAdapter(Frame),
    "verdict-v1": TypeAdapter(Verdict),
    "outcome-v1": TypeAdapter(Outcome),
    "part-verdict-v1": TypeAdapter(PartVerdict),
    "manifest-v1": TypeAdapter(Manifest),
    "channel-v1": TypeAdapter(Channel),
    "envelope-v1": TypeAdapter(Envelope),
    "status-v1": TypeAdapter(Status),
    "ack-v1": TypeAdapter(Ack),
    "order-v1": TypeAdapter(Order),
    "image-upload-v1": TypeAdapter(ImageUpload),
    "report-v1": TypeAdapter(Report),
    "benchmark-v1": TypeAdapter(Benchmark),
    "figures-v1": TypeAdapter(Figures),
    "scores-v1": TypeAdapter(Scores),
    "answer-v1": TypeAdapter(Answer),
    "heartbeat-v1": TypeAdapter(Heartbeat),
    "quality-v1": TypeAdapter(QualityReport),
}
"""Every version that is read, for ever. A new version adds a name; none is removed."""


def schema_text(name: str) -> str:
    """The JSON schema of one published contract, as it is checked in."""
    return json.dumps(PUBLISHED[name].json_schema(), indent=1, sort_keys=True) + "\n"


def write(folder: Path = SCHEMA_FOLDER) -> list[Path]:
    """Write all schemas; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in PUBLISHED:
        path = folder / f"{name}.json"
        path.write_text(schema_text(name), encoding="utf-8")
        paths.append(path)
    return paths


if __name__ == "__main__":
    for written in write():
        print(written)
