"""Real pictures as a scene: groups are dealt out once, so that training, stream and test never share one."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from contracts.errors import ConfigurationError, DatasetError
from lineside.demo.scene import CAMERAS, Labelled
from lineside.stream.control import LineControl
from lineside.stream.pictures import Fault, PictureConditions, draw_fault, read_picture
from lineside.stream.source import StreamSettings
from trainer.dataset import Dataset, Example, read

_HOME_FOLDS = 6  # one for test, one for the stream, the rest to train on
_SHIFTED_FOLDS = 3  # one for test, the rest for the stream


@dataclass
class PictureScene:
    """`home` pictures train the first model; then `shifted` ones arrive, or camera faults are planted.

    `fold` picks which third of the shifted groups is the held-out test set.
    """

    home: Sequence[Example]
    shifted: Sequence[Example]
    site: str
    good_labels: tuple[str, ...]
    folder: Path
    seed: int
    fold: int = 0
    product: str = "default"
    licence: str = ""
    judged_on_held_out: bool = True
    roles: dict[str, list[Example]] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, 78])
        self.fault: Fault = draw_fault(rng)
        self.faulty_camera = CAMERAS[int(rng.integers(len(CAMERAS)))]
        self.roles = _deal_home(self.home, self.fold)
        if self.shifted:
            self.roles |= _deal_shifted(self.shifted, self.fold)
        for role in ("stream", "shifted-stream"):
            if self.roles.get(role):
                _write_rows(self.folder / f"{role}.csv", self.roles[role])

    @property
    def nuisance(self) -> str:
        """In plain words."""
        return f"{self.fault.kind} on {self.faulty_camera} (strength {self.fault.strength:.2f})"

    @property
    def shift(self) -> str:
        """In plain words."""
        if not self.shifted:
            return "new lamps: every camera sees everything differently for good"
        return f"parts of {self.shifted[0].site!r} arrive"

    def write_home(self, folder: Path) -> Path:
        """The manifest of the first model: `train` and `validation` to learn from, `test` pinned as the gold set."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "manifest.csv"
        _write_rows(path, [*self.roles["train"], *self.roles["validation"], *self.roles["test"]], self._split_of())
        return path

    def write_shifted(self, folder: Path) -> Path:
        """The pictures of the shifted stream; without a shift those of the stream."""
        path = folder / "manifest.csv"
        _write_rows(path, self.roles["shifted-stream" if self.shifted else "stream"])
        return path

    def _split_of(self) -> dict[Path, str]:
        return {example.path: split for split in ("train", "validation", "test") for example in self.roles[split]}

    def stream(self, control: Path, truth: Path) -> StreamSettings:
        """The line that deals the pictures of the stream's groups."""
        pools = {"home": self.folder / "stream.csv"}
        if self.shifted:
            pools["shifted"] = self.folder / "shifted-stream.csv"
        return StreamSettings(seed=self.seed, cameras=CAMERAS, control=control, truth=truth, pools=pools)

    def control(self, era: str, *, parts_per_second: float = 0.0, paused: bool = False) -> LineControl:
        """The era's pool and faults."""
        return LineControl(era=era, paused=paused, parts_per_second=parts_per_second, pictures=self._conditions(era))

    def _conditions(self, era: str) -> PictureConditions:
        if era == "nuisance":
            return PictureConditions(pool="home", faults={self.faulty_camera: self.fault})
        if era == "shifted" and self.shifted:
            return PictureConditions(pool="shifted")
        if era == "shifted":
            return PictureConditions(pool="home", faults=dict.fromkeys(CAMERAS, Fault(kind="bright", strength=0.6)))
        return PictureConditions(pool="home")

    def test_set(self, era: str) -> Iterator[Labelled]:
        """The held-out pictures as they are, without jitter."""
        role = "test" if era == "home" or not self.shifted else "shifted-test"
        for example in self.roles[role]:
            yield Labelled(read_picture(example.path), example.label)


def picture_scene(
    data: Path,
    *,
    site: str | None,
    shift_to: str | None,
    good_labels: tuple[str, ...],
    folder: Path,
    seed: int,
    fold: int,
) -> PictureScene:
    """The scene of the user's own pictures. Raises DatasetError and ConfigurationError."""
    from trainer.licence import found
    from trainer.run import good_labels as chosen_good

    dataset = read(data.resolve())
    home = _of_site(dataset, site, data) if site else list(dataset.examples)
    shifted = _of_site(dataset, shift_to, data) if shift_to else []
    labels = tuple(sorted({example.label for example in home}))
    return PictureScene(
        home=home,
        shifted=shifted,
        site=site or "my-site",
        good_labels=chosen_good(labels, good_labels),
        folder=folder,
        seed=seed,
        fold=fold,
        licence=found(data).licence,
    )


def _of_site(dataset: Dataset, site: str, source: Path) -> list[Example]:
    chosen = [example for example in dataset.examples if example.site == site]
    if not chosen:
        sites = ", ".join(sorted({example.site for example in dataset.examples}))
        raise ConfigurationError(f"{source} has no rows of site {site!r}; it has {sites}")
    return chosen


def _deal_home(examples: Sequence[Example], fold: int) -> dict[str, list[Example]]:
    folds = stratified_folds(examples, _HOME_FOLDS)
    order = [(fold + step) % _HOME_FOLDS for step in range(_HOME_FOLDS)]
    test, stream, validation, *train = (folds[index] for index in order)
    return {
        "test": test,
        "stream": stream,
        "validation": validation,
        "train": [example for part in train for example in part],
    }


def _deal_shifted(examples: Sequence[Example], fold: int) -> dict[str, list[Example]]:
    folds = stratified_folds(examples, _SHIFTED_FOLDS)
    test = folds[fold % _SHIFTED_FOLDS]
    rest = [example for index, part in enumerate(folds) if index != fold % _SHIFTED_FOLDS for example in part]
    return {"shifted-test": test, "shifted-stream": rest}


def stratified_folds(examples: Sequence[Example], count: int) -> list[list[Example]]:
    """`examples` in `count` folds of whole groups with about the same share of each label.

    Raises DatasetError when there are fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups = [example.group for example in examples]
    if len(set(groups)) < count:
        raise DatasetError(f"{len(set(groups))} groups are too few for {count} folds; name more groups in the manifest")
    labels = [example.label for example in examples]
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=7).split(groups, labels, groups)
    return [[examples[int(index)] for index in held_out] for _, held_out in folds]


def _write_rows(path: Path, examples: Sequence[Example], split_of: dict[Path, str] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "site", "group", "part_id", "severity", "split"))
        for example in examples:
            severity = example.attributes.get("severity", "")
            split = split_of[example.path] if split_of else ""
            row = (example.path, example.label, example.site, example.group, example.path.stem, severity, split)
            writer.writerow([str(value) for value in row])
