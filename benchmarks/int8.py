"""What int8 costs and saves on real solar cells, and what each step of the quantisation is worth.

    python -m benchmarks.int8 --json benchmarks/reports/int8.json

`--data` holds `elpv/` and `weights/`. ImageNet MobileNetV2 with a head trained on mono cells; compared
with the float model on the validation and test splits, one thread, batch 1.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Measured, add_data, main
from contracts.bundle import Licence
from contracts.report import Figure
from exporter.bias_correction import correct_biases
from exporter.export import export_source
from exporter.graph import export_graph
from exporter.quantise import quantise, sensitive_stem, simplify
from exporter.settings import ExportSettings
from exporter.source import Labelled, Source, balanced, some, source_of, tensors
from lineside.models import chosen_base
from runtime.latency import measure_interleaved
from runtime.metrics import task_metrics, wilson_interval
from runtime.session import Inference, Session
from trainer.dataset import read_manifest
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import take_snapshot

_SETTINGS = ExportSettings()


@dataclass(frozen=True)
class Answers:
    """Of one file, on the same images."""

    probabilities: NDArray[np.float32]
    embeddings: NDArray[np.float32]


def measure(options: argparse.Namespace) -> Measured:
    """Train once, quantise in four ways, compare each with the float file."""
    with tempfile.TemporaryDirectory(prefix="lineside-int8-") as name:
        folder = Path(name)
        source = trained_source(options.data, folder, images=160 if options.quick else None)
        files = _files(source, folder)
        examples = [*source.test, *source.validation]
        sessions = {name: _session(source, file) for name, file in files.items()}
        answers = {name: _answers(session, source, examples) for name, session in sessions.items()}
        figures = [figure for name in files if name != "fp32" for figure in _compared(name, answers)]
        figures += _lost(answers, source) + _speed(source, sessions, runs=20 if options.quick else 200)
        figures.append(_export_seconds(source, folder))
    return Measured(figures, {"images": {"test": len(source.test), "validation": len(source.validation)}})


def trained_source(data: Path, folder: Path, *, images: int | None) -> Source:
    """ImageNet MobileNetV2 with a head trained on mono cells; of every split at most `images` where that is given."""
    dataset = read_manifest(data / "elpv" / "manifest.csv").only(lambda example: example.site == "mono")
    snapshot = take_snapshot(dataset, licence=Licence(production=False), seed=0)
    base = chosen_base(weights=data / "weights" / "mobilenetv2_100_same.in1k.safetensors")
    settings = TrainingSettings(strategy="probe", flips="none")
    source = source_of(train(snapshot, base, settings=settings, out=folder / "run", site="mono"))
    if images is None:
        return source
    return _fewer(source, images)


def _fewer(source: Source, images: int) -> Source:
    """The same model, fewer images of every split."""
    return replace(
        source,
        train=some(source.train, images, seed=0),
        validation=some(source.validation, images // 4, seed=0),
        test=some(source.test, images // 4, seed=0),
    )


def _files(source: Source, folder: Path) -> dict[str, Path]:
    """The float file and four int8 ones, from the plainest to the one that is shipped."""
    fp32, simplified = folder / "fp32.onnx", folder / "simplified.onnx"
    export_graph(source.module, source.signature, fp32)
    simplify(fp32, simplified)
    stem = sensitive_stem(simplified)
    return {
        "fp32": fp32,
        "plain": _int8(source, simplified, folder / "plain.onnx", keep_float=(), corrected=False),
        "stem": _int8(source, simplified, folder / "stem.onnx", keep_float=stem, corrected=False),
        "corrected": _int8(source, simplified, folder / "corrected.onnx", keep_float=(), corrected=True),
        "int8": _int8(source, simplified, folder / "int8.onnx", keep_float=stem, corrected=True),
    }


def _int8(source: Source, simplified: Path, out: Path, *, keep_float: Collection[str], corrected: bool) -> Path:
    chosen = balanced(source.train, _SETTINGS.calibration_images, seed=0)
    quantise(simplified, out, tensors(chosen, source.preprocessing), keep_float=keep_float)
    if corrected:
        correct_biases(simplified, out, list(tensors(chosen[: _SETTINGS.correction_images], source.preprocessing)))
    return out


def _session(source: Source, file: Path) -> Session:
    return Session.of_model(
        file.read_bytes(), variant=file.stem, signature=source.signature, temperature=source.temperature
    )


def _answers(session: Session, source: Source, examples: list[Labelled]) -> Answers:
    found: list[Inference] = [session.infer(tensor) for tensor in tensors(examples, source.preprocessing)]
    return Answers(np.stack([each.probabilities for each in found]), np.stack([each.embedding for each in found]))


def _compared(name: str, answers: dict[str, Answers]) -> list[Figure]:
    mine, theirs = answers[name], answers["fp32"]
    same = mine.probabilities.argmax(axis=1) == theirs.probabilities.argmax(axis=1)
    noise = np.square(mine.embeddings - theirs.embeddings).sum()
    error = 10 * np.log10(noise / np.square(theirs.embeddings).sum())
    note = f"{len(same)} test and validation images, against the float file"
    return [
        Figure(
            name=f"{name}_agreement",
            value=float(same.mean()),
            interval=wilson_interval(int(same.sum()), len(same)),
            note=f"same most probable class on {note}",
        ),
        Figure(name=f"{name}_embedding_error", value=float(error), unit="dB", note=note),
    ]


def _lost(answers: dict[str, Answers], source: Source) -> list[Figure]:
    """On the test split: float minus int8."""
    count = len(source.test)
    true = [each.label for each in source.test]
    found = {name: task_metrics(answers[name].probabilities[:count], true, source) for name in ("fp32", "int8")}
    figures = []
    for metric in ("balanced_accuracy", "auroc"):
        theirs, mine = getattr(found["fp32"], metric), getattr(found["int8"], metric)
        note = f"float {theirs:.4f} minus int8 {mine:.4f}, {count} test images"
        figures.append(Figure(name=f"int8_{metric}_lost", value=theirs - mine, note=note))
    return figures


def _speed(source: Source, sessions: dict[str, Session], *, runs: int) -> list[Figure]:
    tensor = next(tensors(source.test, source.preprocessing))
    calls = {name: partial(session.infer, tensor) for name, session in sessions.items()}
    timed = measure_interleaved(calls, runs=runs)
    note = "one thread, batch 1, measured in turn with the others"
    figures = [Figure(name=f"{name}_p50", value=each.p50_seconds, unit="s", note=note) for name, each in timed.items()]
    ratio = timed["fp32"].p50_seconds / timed["int8"].p50_seconds
    return [*figures, Figure(name="int8_speedup", value=ratio, note="p50 of fp32 over p50 of int8")]


def _export_seconds(source: Source, folder: Path) -> Figure:
    started = time.process_time()
    export_source(source, folder / "bundle")
    seconds = time.process_time() - started
    return Figure(name="export_cpu_seconds", value=seconds, unit="s", note="whole export, one thread, processor time")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)


if __name__ == "__main__":
    main("int8", measure, add_arguments=_add_arguments)
