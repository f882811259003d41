"""Trainings that the story needs beside the line: planted candidates, and the offline model to compare with.

They run in one child process of their own, one after the other, so that the line goes on meanwhile.
"""

from __future__ import annotations

import json
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.errors import LinesideError
from lineside.demo.measure import clearness
from lineside.demo.planted import Row, graded, lost_convention, read_rows, relabelled, shuffled, write_rows
from lineside.demo.scene import Scene
from lineside.process import Child
from runtime.bundle import Bundle

_PATIENCE_SECONDS = 900
_MOST_ROWS = 400  # of home and of the shift, that a planted candidate learns from


@dataclass
class Backstage:
    """`prepare` writes the manifests and starts the trainings; `candidate` waits for one of them."""

    scene: Scene
    folder: Path
    common: dict[str, Any]  # options that all trainings share
    features: Path  # of the first model's training
    threads: int = 1  # of a training that the story waits for; the planted ones have one
    children: dict[str, Child] = field(default_factory=dict)
    convention: str = ""

    def prepare(self, home: Path, first: Bundle) -> None:
        """Plan both planted candidates and begin to train them."""
        rows = self._some(read_rows(home))
        everything = [*rows, *self._some(read_rows(self.scene.write_shifted(self.folder / "shifted")))]
        everything = graded(everything, self.scene.good_labels[0], clearness(first))
        rule, self.convention = lost_convention(everything, self.scene.good_labels[0])
        plans = {
            "wrong": write_rows(self.folder / "wrong.csv", relabelled(everything, rule)),
            "worse": write_rows(self.folder / "worse.csv", shuffled(rows, seed=self.scene.seed)),
        }
        self._share_features()
        jobs = [{"name": name, "data": str(path)} for name, path in plans.items()]
        jobs[-1]["strategy"] = "probe"  # shuffled labels need no fine-tuning to be learned badly
        self._start("planted", jobs)

    def _some(self, rows: list[Row]) -> list[Row]:
        """At most so many that a planted training does not hold up the story."""
        return random.Random(self.scene.seed).sample(rows, min(len(rows), _MOST_ROWS))

    def _share_features(self) -> None:
        """What the frozen part of the backbone answered for the home images is not computed again."""
        for name in ("wrong", "worse"):
            workspace = self.folder / name / "workspace"
            workspace.mkdir(parents=True, exist_ok=True)
            (workspace / "features").symlink_to(self.features, target_is_directory=True)

    def train_offline(self, order: Path, workspace: Path) -> None:
        """Begin to train on all labels of a retrain order in one go, gate labels included."""
        job = {"name": "offline", "order": str(order), "workspace": str(workspace)}
        self._start("offline", [job], threads=self.threads)

    def candidate(self, name: str) -> Path:
        """The bundle folder of that planted model, once it is there. Raises LinesideError when its training failed."""
        return self._made(self.folder / name / "bundle" / "manifest.json", self.children["planted"]).parent

    def offline_run(self) -> Path:
        """The run folder of the offline model, once it is there. Raises LinesideError when its training failed."""
        return self._made(self.folder / "offline" / "run" / "run.json", self.children["offline"]).parent

    def _made(self, last: Path, child: Child) -> Path:
        """Waits for the file that `child` writes last."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while child.running and not last.exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        if not last.exists():
            raise LinesideError(f"the training for {last.parent} failed; see {child.log}:\n{child.tail()}")
        return last

    def wrong_gold(self) -> Path:
        """The gold set of the rater with the wrong convention: the test split of the model that follows it."""
        from trainer.trained import load_run

        test = load_run(self.folder / "wrong" / "run").snapshot.of("test")
        rows = [Row(example.path, example.label, example.group, 0) for example in test]
        return write_rows(self.folder / "wrong-gold.csv", rows)

    def stop(self) -> None:
        """End what still runs."""
        for child in self.children.values():
            child.stop()

    def _start(self, name: str, jobs: list[dict[str, str]], *, threads: int = 1) -> None:
        plan = self.folder / f"{name}.json"
        common = {**self.common, "threads": threads}
        plan.write_text(json.dumps({"folder": str(self.folder), "common": common, "jobs": jobs}), "utf-8")
        command = [sys.executable, "-m", "lineside.demo.backstage", str(plan)]
        child = Child(name, command, self.folder / f"{name}.log", {"OMP_NUM_THREADS": str(threads)})
        self.children[name] = child
        child.start()


def work(plan_file: Path) -> None:
    """Carry out a plan: one training and export after the other."""
    plan = json.loads(plan_file.read_text(encoding="utf-8"))
    for job in plan["jobs"]:
        folder = Path(plan["folder"]) / job["name"]
        if "order" in job:
            _train_offline(Path(job["order"]), Path(job["workspace"]), folder, plan["common"])
        else:
            settings = {"strategy": job["strategy"]} if "strategy" in job else {}
            _train_candidate(Path(job["data"]), folder, plan["common"], settings)


def _train_candidate(data: Path, folder: Path, common: dict[str, Any], settings: dict[str, object]) -> None:
    from lineside.train_options import TrainOptions
    from lineside.training import export_model, export_settings, train_model

    options = TrainOptions(
        data=data,
        out=folder / "run",
        workspace=folder / "workspace",
        site=common["site"],
        product=common["product"],
        weights=Path(common["weights"]) if common["weights"] else None,
        good_labels=tuple(common["good_labels"]),
        threads=common["threads"],
        settings=settings,
    )
    model = train_model(options, lambda *_, **__: None)
    said = export_settings(components=common["components"])
    export_model(model, folder / "bundle", threads=1, settings=said)


def _train_offline(order: Path, workspace: Path, folder: Path, common: dict[str, Any]) -> None:
    from lineside.training import obey

    obey(order, workspace, folder / "run", threads=common["threads"], use_gate_labels=True)


if __name__ == "__main__":
    work(Path(sys.argv[1]))
