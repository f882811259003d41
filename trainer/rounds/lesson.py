"""What a round learns from."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from trainer.features import Features
from trainer.marks import TileLesson
from trainer.tasks import TaskLesson


@dataclass(frozen=True)
class Lesson:
    """What is learned from: features of n images, targets [n, k] probabilities, weights [n]; where an image is several
    inputs, what is known of each of them; `tasks` beside the class, where there are any."""

    features: Features
    targets: Tensor
    weights: Tensor
    tiles: TileLesson | None = None
    groups: tuple[str, ...] = ()  # of the images, where they are known
    tasks: TaskLesson | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def rows(self, index: Tensor) -> Lesson:
        """The lesson of some images."""
        tiles = self.tiles.rows(index) if self.tiles else None
        groups = tuple(self.groups[row] for row in index.tolist()) if self.groups else ()
        tasks = self.tasks.rows(index) if self.tasks else None
        return Lesson(self.features.rows(index), self.targets[index], self.weights[index], tiles, groups, tasks)
