"""`lineside demo`: sets the scene, starts the plant, plays the story, writes the report."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from contracts.errors import ConfigurationError, LinesideError
from contracts.report import Report, judge, read_goals
from lineside.demo.backstage import Backstage
from lineside.demo.figures import figures_of
from lineside.demo.live import LiveRecord
from lineside.demo.narrator import Narrator
from lineside.demo.operator import Habits, Operator
from lineside.demo.scene import Scene
from lineside.demo.settings import FAST, FAST_SHORTENED, LARGE, Pace, Shortened
from lineside.demo.simulated import SimulatedScene
from lineside.demo.story import Notes, Story
from lineside.demo.watcher import Watcher
from lineside.machine import describe_commit, describe_machine
from lineside.plant import Plant
from lineside.stream.truth import TruthReader

GOALS_FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "goals"


@dataclass(frozen=True)
class DemoOptions:
    """What `lineside demo` was asked for."""

    data: Path | None = None
    site: str | None = None
    shift_to: str | None = None
    weights: Path | None = None
    good_labels: tuple[str, ...] = ()
    report: Path | None = None
    seed: int = 1
    keep: Path | None = None
    fast: bool = False
    stay: bool = False
    fold: int = 0
    wrong_labels: float = Habits.wrong_share
    command: str = "lineside demo"


def run_demo(options: DemoOptions) -> bool:
    """Play the story; returns whether everything that the report promises came out. Raises LinesideError."""
    narrator = Narrator()
    with _folder(options) as folder:
        scene = make_scene(options, folder)
        story, finished = _play(options, scene, folder, narrator)
        report = _report(options, story, narrator, finished=finished)
        _print_summary(report, story, narrator)
        if options.report:
            options.report.parent.mkdir(parents=True, exist_ok=True)
            options.report.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
            narrator.say(f"report: {options.report}")
        return finished


def make_scene(options: DemoOptions, folder: Path) -> Scene:
    """The simulated line, or the user's pictures. Raises ConfigurationError and DatasetError."""
    if options.data is None:
        if options.shift_to or options.site:
            raise ConfigurationError("--site and --shift-to need --data; without it the line is simulated")
        return SimulatedScene(options.seed, test_parts=300 if options.fast else 1000)
    from lineside.demo.pictured import picture_scene

    return picture_scene(
        options.data,
        site=options.site,
        shift_to=options.shift_to,
        good_labels=options.good_labels,
        folder=folder / "pictures",
        seed=options.seed,
        fold=options.fold,
    )


def _play(options: DemoOptions, scene: Scene, folder: Path, narrator: Narrator) -> tuple[Story, bool]:
    """Everything from the first image to the last chapter; services are ended whatever happens."""
    shortened = FAST_SHORTENED if options.fast else Shortened()
    pace = FAST if options.fast else LARGE if options.weights else Pace()
    plant = Plant.make(folder / "plant", scene.site)
    plant.training_threads = 2 if options.weights else 1
    plant.components = shortened.components
    truth = folder / "line" / "truth.jsonl"
    common = {
        "site": scene.site,
        "product": scene.product,
        "weights": str(options.weights.resolve()) if options.weights else "",
        "good_labels": list(scene.good_labels),
        "components": shortened.components,
    }
    features = plant.workspace / "features"
    backstage = Backstage(scene, folder / "backstage", common, features, threads=2 if options.weights else 1)
    habits = Habits(late_seconds=pace.late_seconds, wrong_share=options.wrong_labels)
    operator = Operator(plant, TruthReader(truth), habits, good_labels=scene.good_labels, seed=options.seed)
    watcher = Watcher(plant, narrator, operator)
    live = LiveRecord(plant.agent_url, truth, scene.good_labels)
    story = Story(scene, plant, watcher, narrator, backstage, live, shortened, pace, folder, options.weights)
    try:
        story.tell()
        if options.stay:
            _stay(story, narrator)
        return story, True
    except LinesideError as error:
        narrator.bad(str(error))
        story.notes.reasons["ended"] = str(error)
        return story, False
    except KeyboardInterrupt:
        narrator.say("ended before the story was told")
        return story, False
    finally:
        watcher.close()
        backstage.stop()
        plant.stop()


def _stay(story: Story, narrator: Narrator) -> None:
    """Keep the line, the services and their pages running until Ctrl-C."""
    narrator.chapter("The pages stay up", f"monitor {story.plant.monitor_url}  operator {story.plant.agent_url}")
    narrator.say("Ctrl-C ends everything")
    story.idle()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            story.watcher.poll()
            time.sleep(0.5)


@contextlib.contextmanager
def _folder(options: DemoOptions) -> Iterator[Path]:
    """`--keep`, or a folder that goes away at the end."""
    if options.keep is not None:
        if options.keep.exists() and any(options.keep.iterdir()):
            raise ConfigurationError(f"{options.keep} is not empty; give --keep a new folder")
        options.keep.mkdir(parents=True, exist_ok=True)
        yield options.keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="lineside-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _report(options: DemoOptions, story: Story, narrator: Narrator, *, finished: bool) -> Report:
    goals_file = GOALS_FOLDER / ("demo-shift.toml" if options.shift_to else "demo.toml")
    goals = read_goals(goals_file) if goals_file.exists() and not (options.data and not options.shift_to) else []
    figures = figures_of(story.notes, wall_seconds=narrator.seconds if finished else None)
    return Report(
        command=options.command,
        commit=describe_commit(),
        machine=describe_machine(),
        seconds=round(narrator.seconds, 1),
        quick=options.fast,
        figures=tuple(judge(figures, goals, quick=options.fast)),
        details={
            "seed": options.seed,
            "nuisance": story.scene.nuisance,
            "shift": story.scene.shift,
            "shortened": story.shortened.in_words(),
            "reasons": story.notes.reasons,
            "timeline": [asdict(moment) for moment in narrator.timeline],
        },
    )


def _print_summary(report: Report, story: Story, narrator: Narrator) -> None:
    narrator.chapter("Summary")
    rows = [
        [name, *(_cell(getattr(quality, metric)) for metric in ("accuracy", "balanced_accuracy", "auroc")),
         _cell(quality.best_constant), quality.note]
        for name, quality in story.notes.quality.items()
    ]  # fmt: skip
    columns = ["", "accuracy", "balanced", "AUROC", "best constant", "measured on"]
    narrator.table("How good", columns, rows)
    plain = [figure for figure in report.figures if not figure.name.startswith(_QUALITY)]
    narrator.table(
        "What happened",
        ["figure", "value", "unit", "goal", "holds"],
        [
            [
                figure.name,
                _cell(figure.value),
                figure.unit,
                f"{figure.goal.comparison} {figure.goal.limit:g}" if figure.goal else "",
                {None: "", True: "yes", False: "no"}[figure.holds],
            ]
            for figure in plain
        ],
    )
    for sentence in story.shortened.in_words():
        narrator.say(f"shortened: {sentence}")


_QUALITY = tuple(
    f"{metric}_{name}"
    for metric in ("accuracy", "balanced_accuracy", "auroc", "best_constant", "recall_good", "recall_defect")
    for name in ("before", "drifted", "after", "home_before", "home_after", "offline")
)


def _cell(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3f}"


__all__ = ["DemoOptions", "Notes", "make_scene", "run_demo"]
