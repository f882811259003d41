"""The demo's own scene: a simulated line on which everything follows from one seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lineside.demo.scene import CAMERAS, HARM, Labelled, NoHarm, Wrong
from lineside.line import (
    DEMO_PRODUCTS,
    Conditions,
    Dirt,
    Finish,
    SimulatedLine,
    draw_dirt,
    draw_new_finish,
    write_dataset,
)
from lineside.stream.control import LineControl
from lineside.stream.source import StreamSettings

_STREAM_FROM = 100_000  # part numbers: below are training images, above 700,000 what the stream never shows
_TRIED_FROM = 700_000
_PLANTED_FROM = 800_000
_HOME_TEST_FROM = 900_000
_SHIFTED_TEST_FROM = 950_000
_TRIED_PARTS = 200
_MOST_FINISHES = 20
_ROUGHER = 0.1  # contrast of the texture, a draw


@dataclass
class SimulatedScene:
    """Everything from one seed: product, dirt and new finish."""

    seed: int
    training_parts: int = 400
    test_parts: int = 1000
    site: str = "plant-1"
    good_labels: tuple[str, ...] = ("good",)
    licence: str = "Apache-2.0"
    judged_on_held_out: bool = False
    product: str = field(init=False)

    def __post_init__(self) -> None:
        self._rng = rng = np.random.default_rng([self.seed, 77])
        self.product = sorted(DEMO_PRODUCTS)[int(rng.integers(len(DEMO_PRODUCTS)))]
        self.dirt: Dirt = draw_dirt(rng)
        self.dirty_camera = CAMERAS[int(rng.integers(len(CAMERAS)))]
        self.finish: Finish | None = draw_new_finish(rng, self.product)

    @property
    def nuisance(self) -> str:
        """In plain words."""
        return f"{self.dirt.kind} on the lens of {self.dirty_camera} (strength {self.dirt.strength:.2f})"

    @property
    def shift(self) -> str:
        """In plain words."""
        texture = self.finish.texture if self.finish else "none that harms"
        return f"a new finish of the product {self.product!r}: {texture}"

    def conditions(self, era: str) -> Conditions:
        """What the line makes in that era."""
        if era == "nuisance":
            return Conditions(product=self.product, dirt={self.dirty_camera: self.dirt})
        return Conditions(product=self.product, finish=self.finish if era == "shifted" else None)

    def settle_shift(self, wrong: Wrong) -> str:
        """New finishes are drawn, each somewhat rougher than the one before, until one does harm."""
        at_home, most = wrong(self.parts("home", _TRIED_FROM, _TRIED_PARTS)), 0.0
        for number in range(1, _MOST_FINISHES + 1):
            found = wrong(self.parts("shifted", _TRIED_FROM, _TRIED_PARTS))
            if found >= at_home + HARM:
                return f"finish {number} that was drawn: {found:.0%} wrong verdicts instead of {at_home:.0%}"
            most = max(most, found)
            self.finish = draw_new_finish(self._rng, self.product, rougher=1 + _ROUGHER * number)
        self.finish = None
        raise NoHarm(
            f"none of {_MOST_FINISHES} finishes does the first model much harm (the worst: {most:.0%} wrong verdicts); "
            "take another --seed"
        )

    def write_home(self, folder: Path) -> Path:
        """Parts of the home finish as PNG, with a manifest."""
        line = SimulatedLine(self.seed, CAMERAS)
        return write_dataset(folder, line, CAMERAS, self.conditions("home"), self.training_parts, site=self.site)

    def write_shifted(self, folder: Path) -> Path:
        """Parts of the new finish with numbers of their own."""
        line = SimulatedLine(self.seed, CAMERAS)
        for camera in CAMERAS:
            line.resume(camera, _PLANTED_FROM)
        return write_dataset(folder, line, CAMERAS, self.conditions("shifted"), self.training_parts, site=self.site)

    def stream(self, control: Path, truth: Path) -> StreamSettings:
        """The same line and cameras, later in the day."""
        return StreamSettings(
            seed=self.seed, cameras=CAMERAS, product=self.product, control=control, truth=truth, first_part=_STREAM_FROM
        )

    def control(self, era: str, *, parts_per_second: float = 0.0, paused: bool = False) -> LineControl:
        """The era's conditions."""
        return LineControl(era=era, paused=paused, parts_per_second=parts_per_second, simulated=self.conditions(era))

    def test_set(self, era: str) -> Iterator[Labelled]:
        """Parts with numbers that neither training nor stream reach."""
        start = _HOME_TEST_FROM if era == "home" else _SHIFTED_TEST_FROM
        return self.parts(era, start, self.test_parts)

    def parts(self, era: str, start: int, count: int) -> Iterator[Labelled]:
        """`count` parts from both cameras, from part number `start` on."""
        line = SimulatedLine(self.seed, CAMERAS)
        conditions = self.conditions(era)
        for camera in CAMERAS:
            line.resume(camera, start)
        for index in range(count):
            part = line.next_part(CAMERAS[index % len(CAMERAS)], conditions)
            yield Labelled(part.image, part.label)
