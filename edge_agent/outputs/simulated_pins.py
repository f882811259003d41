"""Signal lines that are a file, for tests and for trying things out: `{"ok": false, ..., "heartbeat": true}`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from edge_agent.outputs.gpio import LINES
from runtime.durable import write_whole


class SimulatedPins:
    """Option `file`: where the levels stand, rewritten whole with every change, and a line of `file.log` for each."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._file = Path(options["file"])
        self._levels = dict.fromkeys(LINES, False)

    def set_outputs(self, values: Mapping[str, bool]) -> None:
        """Set lines. Raises KeyError for a line that does not exist."""
        for name, level in values.items():
            if name not in self._levels:
                raise KeyError(name)
            self._levels[name] = level
        text = json.dumps(self._levels)
        write_whole(self._file, text)
        with self._file.with_name(f"{self._file.name}.log").open("a", encoding="utf-8") as log:
            log.write(text + "\n")

    def close(self) -> None:
        """Nothing is held."""
