"""When each camera of the line triggers: evenly, the cameras in turn, whatever the station does meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Cadence:
    """`per_second` triggers of all cameras together for `seconds`, which `url` is asked about."""

    url: str
    cameras: tuple[str, ...]
    per_second: float
    seconds: float
    images: tuple[str, ...]
    """Files that are sent in turn."""

    @property
    def triggers(self) -> int:
        """How many parts there will be."""
        return int(self.per_second * self.seconds)

    def parts(self) -> Iterator[tuple[float, str, str]]:
        """(seconds after the start, camera, part id) of each trigger.

        >>> [each for each in Cadence("", ("a", "b"), 4.0, 0.75, ()).parts()]
        [(0.0, 'a', 'a-0'), (0.25, 'b', 'b-0'), (0.5, 'a', 'a-1')]
        """
        for number in range(self.triggers):
            camera = self.cameras[number % len(self.cameras)]
            yield number / self.per_second, camera, f"{camera}-{number // len(self.cameras)}"

    def as_dict(self) -> dict[str, object]:
        """For the process that keeps it."""
        return asdict(self)
