"""What is said about the first model: against random weights, int8 against fp32, and the gold set it leaves."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from contracts.report import Figure
from runtime.bundle import Bundle
from trainer.dataset import Example
from trainer.trained import TrainedModel


def int8_figures(bundle: Bundle) -> list[Figure]:
    """int8 against fp32, from the certificates: agreement, accuracy and latency."""
    target = bundle.manifest.default_variant.split("/")[0]
    certificates = {certificate.variant: certificate for certificate in bundle.manifest.certificates}
    int8, fp32 = certificates.get(f"{target}/int8"), certificates.get(f"{target}/fp32")
    if int8 is None or fp32 is None:
        return []
    note = f"release 1, {target}, {int8.images} images, {int8.latency.threads} thread"
    lost = None
    if int8.metrics.balanced_accuracy is not None and fp32.metrics.balanced_accuracy is not None:
        lost = fp32.metrics.balanced_accuracy - int8.metrics.balanced_accuracy
    return [
        Figure(name="int8_agreement", value=int8.argmax_agreement, note=f"same answer as the trained model; {note}"),
        Figure(name="int8_balanced_accuracy_lost", value=lost, note=f"fp32 minus int8; {note}"),
        Figure(
            name="int8_speedup",
            value=fp32.latency.p50_seconds / int8.latency.p50_seconds,
            unit="x",
            note=f"median seconds, fp32 / int8, interleaved; {note}",
        ),
    ]


def write_gold(path: Path, examples: Iterable[Example]) -> Path:
    """Examples, such as the pinned test split of a run, as a gold set: a manifest with absolute paths."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "group"))
        for example in examples:
            writer.writerow((str(example.path.resolve()), example.label, example.group))
    return path


def yardstick_figures(model: TrainedModel) -> list[Figure]:
    """The backbone against the same architecture with random weights, where the training measured it."""
    found = model.record.details.get("yardstick", {})
    note = "the same recipe without fine-tuning on this backbone and on random weights, test split"
    return [
        Figure(name=f"{metric}_{weights}_backbone", value=found[weights][metric], note=note)
        for weights in ("pretrained", "random")
        for metric in found.get(weights, {})
    ]
