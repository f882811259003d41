"""Training alone on real solar cells: release 1 on mono, retrained with at most 300 poly labels, against offline.

    python -m benchmarks.elpv_training --json benchmarks/reports/elpv_training.json

`--data` holds `elpv/` and `weights/`. The labels are those that the loop would ask for, without the
loop around them (`benchmarks.elpv` has it): 200 random draws of the stream, a quarter of them for the gate alone, 60
atypical ones, 40 of the audit (half of them before the drift), 3 % of them wrong. Home, stream and test never share a
group. The offline model is trained in one go on the same images and labels, the gate's too, by the same code.
"""

from __future__ import annotations

import argparse
import csv
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.harness import Measured, add_data, main
from contracts.certificate import TaskMetrics
from contracts.orders import Retrain
from contracts.report import Figure
from lineside.demo.pictured import stratified_folds
from lineside.models import chosen_base
from lineside.stream.pictures import Picture, PictureConditions, PictureLine
from runtime.metrics import task_metrics
from trainer.bases.backbone import BaseModel
from trainer.dataset import Dataset, Example, checked, read_manifest
from trainer.evaluate import predict
from trainer.image import as_input, load_images
from trainer.licence import found
from trainer.retrain import read_labels, retrain
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import take_snapshot
from trainer.trained import TrainedModel

_RANDOM, _GATE, _ATYPICAL, _AUDIT_EACH = 200, 50, 60, 20
_SEEN = 600  # parts that pass while labels are collected
_WRONG = 0.03


@dataclass(frozen=True)
class Roles:
    """Who may see which images; no group is in two roles."""

    home: Dataset  # with its split stated
    home_stream: tuple[Example, ...]
    stream: tuple[Example, ...]
    test: tuple[Example, ...]


@dataclass(frozen=True)
class Result:
    """One model on the held-out images of both sites."""

    home: TaskMetrics
    shifted: TaskMetrics
    wall_seconds: float
    cpu_seconds: float


def measure(options: argparse.Namespace) -> Measured:
    """Three models for each split, judged on groups that none of them has seen."""
    base = chosen_base(weights=options.data / "weights" / "mobilenetv2_100_same.in1k.safetensors")
    cells = read_manifest(options.data / "elpv" / "manifest.csv")
    settings = TrainingSettings(threads=options.threads, max_seconds=options.max_seconds)
    rows = {}
    for fold in range(1) if options.quick else options.folds:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            if options.cache:
                options.cache.mkdir(parents=True, exist_ok=True)
                (work / "features").symlink_to(options.cache.resolve())
            rows[fold] = split_results(deal(cells, fold), base, settings, work, fold)
        print(_lines(fold, rows[fold]), flush=True)
    return Measured(_figures(list(rows.values())), {f"split {fold}": _details(row) for fold, row in rows.items()})


def deal(cells: Dataset, fold: int) -> Roles:
    """Home in six folds (test, stream, validation, three to train on), always the same; the shifted site in three, of
    which `fold` says which one is the test and the others are the stream."""
    mono = [example for example in cells.examples if example.site == "mono"]
    poly = [example for example in cells.examples if example.site == "poly"]
    test, stream, validation, *rest = stratified_folds(mono, 6)
    home = [replace(example, split="test") for example in test]
    home += [replace(example, split="validation") for example in validation]
    home += [replace(example, split="train") for part in rest for example in part]
    thirds = stratified_folds(poly, 3)
    others = [example for number, part in enumerate(thirds) if number != fold % 3 for example in part]
    return Roles(checked(tuple(home), "mono"), tuple(stream), tuple(others), tuple(thirds[fold % 3]))


def split_results(
    roles: Roles, base: BaseModel, settings: TrainingSettings, work: Path, fold: int
) -> dict[str, Result]:
    """Release 1, the retrained and the offline model."""
    snapshot = take_snapshot(roles.home, licence=found(roles.home.examples[0].path.parents[1]), seed=fold)
    first, *spent = _timed(lambda: train(
        snapshot, base, settings=settings, out=work / "first", site="mono", workspace=work
    ))  # fmt: skip
    results = {"release1": _judge(first, roles, *spent)}
    labels = collect(first, roles, work / "labels", seed=fold)
    order = _order(snapshot.hash, labels)
    second, *spent = _timed(lambda: retrain(order, work, work / "second", settings=settings))
    results["retrained"] = _judge(second, roles, *spent)
    everything = tuple(
        replace(example, split="train") for example in read_labels(labels, workspace=work, site="poly")
    )  # fmt: skip
    joint = take_snapshot(checked((*snapshot.examples, *everything), "joint"), licence=snapshot.licence, seed=fold)
    third, *spent = _timed(lambda: train(joint, base, settings=settings, out=work / "third", workspace=work / "3"))
    results["offline"] = _judge(third, roles, *spent)
    return results


def collect(model: TrainedModel, roles: Roles, folder: Path, *, seed: int) -> Path:
    """The CSV of the labels that the loop would have asked for, with the images as the camera gave them."""
    folder.mkdir(parents=True)
    line = PictureLine(seed, ("camera-1",), {"home": _pictures(roles.home_stream), "shifted": _pictures(roles.stream)})
    names, early = _passed(line, "shifted", folder), _passed(line, "home", folder)
    rest = names[_RANDOM:]
    odd = _farthest(model, roles, rest, folder)[:_ATYPICAL]
    audit = [name for name in rest if name not in odd][:_AUDIT_EACH] + early[:_AUDIT_EACH]
    chosen = [(name, "drift-sample", "gate") for name in names[:_GATE]]
    chosen += [(name, "drift-sample", "train") for name in names[_GATE:_RANDOM]]
    chosen += [(name, "atypical", "train") for name in odd] + [(name, "audit", "train") for name in audit]
    true = {example.path.stem: example for example in (*roles.home_stream, *roles.stream)}
    return _write_labels(folder, chosen, true, random.Random(seed))


def _passed(line: PictureLine, pool: str, folder: Path) -> list[str]:
    """Names of the parts that pass the camera, each once, their pictures written to `folder`."""
    parts = [line.next_part("camera-1", PictureConditions(pool=pool)) for _ in range(2 * _SEEN)]
    first = {part.part_id: part.image for part in reversed(parts)}
    for name, image in first.items():
        Image.fromarray(image).save(folder / f"{name}.png")
    return list(dict.fromkeys(part.part_id for part in parts))[:_SEEN]


def _write_labels(
    folder: Path, chosen: Sequence[tuple[str, str, str]], true: dict[str, Example], rng: random.Random
) -> Path:
    path = folder / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "group", "site", "part_id", "source", "split"))
        for name, source, split in chosen:
            label = _other(true[name].label) if rng.random() < _WRONG else true[name].label
            writer.writerow((f"{name}.png", label, true[name].group, true[name].site, name, source, split))
    return path


def _other(label: str) -> str:
    return {"functional": "defective", "defective": "functional"}[label]


def _pictures(examples: Sequence[Example]) -> list[Picture]:
    return [Picture(example.path, example.label, example.path.stem) for example in examples]


def _farthest(model: TrainedModel, roles: Roles, names: Sequence[str], folder: Path) -> list[str]:
    """The names, those farthest from the home images (in 16 whitened principal components) first."""
    home = _embeddings(model, [example.path for example in roles.home.examples if example.split == "validation"])
    new = _embeddings(model, [folder / f"{name}.png" for name in names])
    middle = home.mean(0)
    _, spread, axes = np.linalg.svd(home - middle, full_matrices=False)
    scores = (new - middle) @ axes[:16].T / spread[:16]  # [n, 16]
    return [names[int(row)] for row in np.argsort(-(scores**2).sum(1))]


def _embeddings(model: TrainedModel, paths: Sequence[Path]) -> NDArray[np.float32]:
    spec = model.record.preprocessing
    parts = []
    with torch.inference_mode():
        for start in range(0, len(paths), 16):
            images = load_images([Example(path, "") for path in paths[start : start + 16]], spec)
            parts.append(model.module(as_input(images, spec))[1].numpy())
    return np.concatenate(parts)


def _order(snapshot_hash: str, labels: Path) -> Retrain:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Retrain(
        order_id="retrain-1",
        issued_at=now,
        expires_at=now + timedelta(days=1),
        reason="benchmark",
        site="mono",
        product="default",
        parent_bundle="0" * 64,
        base_snapshot=snapshot_hash,
        labels_manifest=str(labels),
    )


def _timed(work: Callable[[], TrainedModel]) -> tuple[TrainedModel, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    model = work()
    return model, time.perf_counter() - wall, time.process_time() - cpu


def _judge(model: TrainedModel, roles: Roles, wall: float, cpu: float) -> Result:
    home = tuple(example for example in roles.home.examples if example.split == "test")
    return Result(_metrics(model, home), _metrics(model, roles.test), wall, cpu)


def _metrics(model: TrainedModel, examples: Sequence[Example]) -> TaskMetrics:
    logits = predict(model.module, examples, model.record.preprocessing) / model.record.temperature
    return task_metrics(logits.softmax(1).numpy(), [example.label for example in examples], model.record)


def _details(row: dict[str, Result]) -> dict[str, dict[str, float | None]]:
    return {
        name: {
            "poly_balanced_accuracy": result.shifted.balanced_accuracy,
            "poly_auroc": result.shifted.auroc,
            "poly_recall_good": result.shifted.recall_good,
            "poly_recall_defect": result.shifted.recall_defect,
            "mono_balanced_accuracy": result.home.balanced_accuracy,
            "mono_auroc": result.home.auroc,
            "wall_seconds": result.wall_seconds,
            "cpu_seconds": result.cpu_seconds,
        }
        for name, result in row.items()
    }


def _lines(fold: int, row: dict[str, Result]) -> str:
    """What is printed as each split ends."""
    return "\n".join(
        f"split {fold} {name:9} " + " ".join(f"{key} {value or 0:.3f}" for key, value in values.items())
        for name, values in _details(row).items()
    )


def _figures(rows: Sequence[dict[str, Result]]) -> list[Figure]:
    """Means over the splits, and the differences that the goals are about."""
    splits = [_details(row) for row in rows]
    means = {
        f"{key}_{name}": mean(split[name][key] or 0.0 for split in splits)
        for name in ("release1", "retrained", "offline")
        for key in splits[0][name]
    }
    means["balanced_accuracy_below_offline"] = (
        means["poly_balanced_accuracy_offline"] - means["poly_balanced_accuracy_retrained"]
    )
    means["auroc_below_offline"] = means["poly_auroc_offline"] - means["poly_auroc_retrained"]
    means["mono_balanced_accuracy_lost"] = (
        means["mono_balanced_accuracy_release1"] - means["mono_balanced_accuracy_retrained"]
    )
    note = f"mean of {len(splits)} splits by group"
    return [Figure(name=name, value=round(value, 4), note=note) for name, value in means.items()]


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--max-seconds", type=float, default=600.0, help="for each training")
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cache", type=Path, help="keep frozen features here: times are then not those of a first run")


if __name__ == "__main__":
    main("elpv_training", measure, add_arguments=_arguments)
