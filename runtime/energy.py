"""Energy as the processor counts it (RAPL), where the machine tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Counter:
    """Of one processor package; it starts again at 0 after `range_microjoules`."""

    file: Path
    range_microjoules: int

    def read(self) -> int:
        """Microjoules so far. Raises OSError or ValueError."""
        return int(self.file.read_text(encoding="ascii"))


class EnergyMeter:
    """Joules of all processor packages together: the whole machine's processors, whoever used them."""

    def __init__(self, folder: Path = POWERCAP) -> None:
        self._counters = _counters(folder)

    @property
    def present(self) -> bool:
        """Whether this machine tells (most let only root read it)."""
        return bool(self._counters)

    def read(self) -> tuple[int, ...] | None:
        """A reading for `joules`; None where there is none."""
        try:
            return tuple(counter.read() for counter in self._counters) or None
        except (OSError, ValueError):
            return None

    def joules(self, before: tuple[int, ...] | None, after: tuple[int, ...] | None) -> float | None:
        """Between two readings not longer apart than a counter's round (minutes); None where one is missing."""
        if before is None or after is None:
            return None
        spent = [
            (late - early) % counter.range_microjoules
            for early, late, counter in zip(before, after, self._counters, strict=True)
        ]
        return sum(spent) / 1e6


def _counters(folder: Path) -> tuple[Counter, ...]:
    """Packages only: their parts (cores, memory) are in them already."""
    found = []
    for zone in sorted(folder.glob("*")) if folder.is_dir() else []:
        try:
            if not (zone / "name").read_text(encoding="ascii").startswith("package"):
                continue
            counter = Counter(zone / "energy_uj", int((zone / "max_energy_range_uj").read_text(encoding="ascii")) + 1)
            counter.read()
        except (OSError, ValueError):
            continue
        found.append(counter)
    return tuple(found)
