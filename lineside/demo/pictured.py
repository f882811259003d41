"""Real pictures as a scene: groups are dealt out once, so that training, stream and test never share one."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image

from contracts.errors import ConfigurationError, DatasetError
from lineside.demo.scene import CAMERAS, HARM, Labelled, NoHarm, Wrong
from lineside.stream.control import LineControl
from lineside.stream.pictures import Fault, PictureConditions, add_fault, draw_fault, draw_lasting_faults, read_picture
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
    lasting: Fault | None = field(init=False, default=None)  # without a shift: what befalls every camera for good

    def __post_init__(self) -> None:
        self._rng = rng = np.random.default_rng([self.seed, 78])
        self.fault: Fault = draw_fault(rng)
        self.faulty_camera = CAMERAS[int(rng.integers(len(CAMERAS)))]
        self._part_of = part_ids([example.path for example in (*self.home, *self.shifted)])
        self.roles = _deal_home(self.home)
        if self.shifted:
            self.roles |= _deal_shifted(self.shifted, self.fold)
        for role in ("stream", "shifted-stream"):
            if self.roles.get(role):
                _write_rows(self.folder / f"{role}.csv", self.roles[role], part_of=self._part_of)

    @property
    def nuisance(self) -> str:
        """In plain words."""
        return f"{self.fault.kind} on {self.faulty_camera} (strength {self.fault.strength:.2f})"

    @property
    def shift(self) -> str:
        """In plain words."""
        if self.shifted:
            return f"parts of {self.shifted[0].site!r} arrive"
        what = f"{self.lasting.kind}, strength {self.lasting.strength:.2f}" if self.lasting else "not drawn yet"
        return f"every camera sees everything differently for good ({what})"

    def settle_shift(self, wrong: Wrong) -> str:
        """Parts of another site come as they are; without one, faults of all cameras are drawn until one does harm."""
        if self.shifted:
            return ""
        pictures = self.roles["stream"]
        at_home = wrong(_seen(pictures, None))
        for number, fault in enumerate(faults := draw_lasting_faults(self._rng), start=1):
            self.lasting = fault
            found = wrong(_seen(pictures, fault))
            if found >= at_home + HARM:
                harm = f"{found:.0%} wrong verdicts instead of {at_home:.0%}"
                return f"fault {number} that was drawn: {harm}; a picture that comes again counts as a new part"
        self.lasting = None
        raise NoHarm(
            f"the first model stands all {len(faults)} faults that the demo can plant on your pictures "
            f"({at_home:.0%} wrong verdicts without any), so there is nothing to retrain for"
        )

    def write_home(self, folder: Path) -> Path:
        """The manifest of the first model: `train` and `validation` to learn from, `test` pinned as the gold set."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "manifest.csv"
        _write_rows(
            path, [*self.roles["train"], *self.roles["validation"], *self.roles["test"]], split_of=self._split_of()
        )
        return path

    def write_shifted(self, folder: Path) -> Path:
        """The pictures of the shifted stream; without a shift those of the stream, under the fault that lasts."""
        path = folder / "manifest.csv"
        if self.shifted:
            _write_rows(path, self.roles["shifted-stream"])
            return path
        folder.mkdir(parents=True, exist_ok=True)
        examples = self.roles["stream"]
        changed = [replace(example, path=folder / f"{row:05}.png") for row, example in enumerate(examples)]
        for example, seen in zip(changed, _seen(examples, self.lasting), strict=True):
            Image.fromarray(seen.image).save(example.path)
        _write_rows(path, changed)
        return path

    def _split_of(self) -> dict[Path, str]:
        return {example.path: split for split in ("train", "validation", "test") for example in self.roles[split]}

    def stream(self, control: Path, truth: Path) -> StreamSettings:
        """The line that deals the pictures of the stream's groups."""
        pools = {"home": self.folder / "stream.csv"}
        if self.shifted:
            pools["shifted"] = self.folder / "shifted-stream.csv"
        return StreamSettings(
            seed=self.seed,
            cameras=CAMERAS,
            control=control,
            truth=truth,
            pools=pools,
            new_part_each_time=not self.shifted,
        )

    def control(self, era: str, *, parts_per_second: float = 0.0, paused: bool = False) -> LineControl:
        """The era's pool and faults."""
        return LineControl(era=era, paused=paused, parts_per_second=parts_per_second, pictures=self._conditions(era))

    def _conditions(self, era: str) -> PictureConditions:
        if era == "nuisance":
            return PictureConditions(pool="home", faults={self.faulty_camera: self.fault})
        if era == "shifted" and self.shifted:
            return PictureConditions(pool="shifted")
        if era == "shifted" and self.lasting:
            return PictureConditions(pool="home", faults=dict.fromkeys(CAMERAS, self.lasting))
        return PictureConditions(pool="home")

    def test_set(self, era: str) -> Iterator[Labelled]:
        """The held-out pictures without jitter, those of a planted shift under its fault."""
        if era == "shifted" and self.shifted:
            return _seen(self.roles["shifted-test"], None)
        return _seen(self.roles["test"], self.lasting if era == "shifted" else None)


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


def _seen(examples: Sequence[Example], fault: Fault | None) -> Iterator[Labelled]:
    """The pictures as a camera with this fault gives them."""
    for example in examples:
        image = read_picture(example.path)
        yield Labelled(add_fault(image, fault) if fault else image, example.label)


def _deal_home(examples: Sequence[Example]) -> dict[str, list[Example]]:
    test, stream, validation, *train = stratified_folds(examples, _HOME_FOLDS)
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
    """`examples` in `count` folds of whole groups with about the same share of each label; a picture without a group is
    one of its own.

    Raises DatasetError when there are fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups = [example.group or str(example.path) for example in examples]
    if len(set(groups)) < count:
        raise DatasetError(f"{len(set(groups))} groups are too few for {count} folds; name more groups in the manifest")
    labels = [example.label for example in examples]
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=7).split(groups, labels, groups)
    return [[examples[int(index)] for index in held_out] for _, held_out in folds]


def part_ids(paths: Sequence[Path]) -> dict[Path, str]:
    """A part id for each picture: its file name as far as a part id allows, told apart where two have the same.

    >>> list(part_ids([Path("bad/photo 1.jpg"), Path("good/photo 2.jpg")]).values())
    ['photo_1', 'photo_2']
    """
    names = {path: re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem)[:80] for path in paths}
    twice = {name for name, count in Counter(names.values()).items() if count > 1}
    return {
        path: f"{name}-{sha256(str(path).encode()).hexdigest()[:8]}" if name in twice else name
        for path, name in names.items()
    }


def _write_rows(
    path: Path,
    examples: Sequence[Example],
    *,
    split_of: dict[Path, str] | None = None,
    part_of: dict[Path, str] | None = None,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "site", "group", "part_id", "severity", "split"))
        for example in examples:
            severity = example.attributes.get("severity", "")
            split = split_of[example.path] if split_of else ""
            part = part_of[example.path] if part_of else example.path.stem
            row = (example.path, example.label, example.site, example.group, part, severity, split)
            writer.writerow([str(value) for value in row])
