"""Signal lines: a pulse on one of four result lines, a level for Ready, a heartbeat that changes with every beat.

The hardware is a plug-in's business, see `Pins`. Everything low says nothing at all, so that a cut wire, a dead agent
and a machine that is starting look alike: no result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Protocol

from contracts.answer import Answer
from contracts.errors import ConfigurationError, LinkError
from contracts.frame import Decision
from edge_agent.outputs.output import Pulse

GROUP = "lineside.outputs"
"""Entry point group in which plug-ins are found by name."""

RESULTS = {
    Decision.OK: "ok",
    Decision.NG: "ng",
    Decision.REVIEW: "review",
    Decision.NO_VERDICT: "no_verdict",
}
LINES = (*RESULTS.values(), "ready", "heartbeat")


class Pins(Protocol):
    """What a plug-in gives: an object that sets signal lines. Called from one thread; may raise anything."""

    def set_outputs(self, values: Mapping[str, bool]) -> None:
        """Set lines (names of `LINES`) high or low, all in one step where the hardware can."""

    def close(self) -> None:
        """Let go; all lines low."""


MakePins = Callable[[Mapping[str, str]], Pins]
"""The entry point: given `options` of the settings, makes the pins. Raises whatever says why it cannot."""


class Gpio:
    """Drives the lines through a plug-in. A result line is high for `hold_seconds`, one at a time, with a gap of the
    same length between two results, so that two parts never look like one."""

    def __init__(
        self,
        name: str,
        make: MakePins,
        options: Mapping[str, str],
        *,
        hold_seconds: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._make, self._options = make, options
        self._hold_seconds, self._sleep = hold_seconds, sleep
        self._pins: Pins | None = None

    def open(self) -> None:
        """Raises LinkError where the plug-in cannot have its lines."""
        try:
            self._pins = self._make(self._options)
            self._pins.set_outputs(dict.fromkeys(LINES, False))
        except Exception as error:  # other people's code
            raise LinkError(f"the signal lines of output {self.name} cannot be opened: {error!r}") from error

    def deliver(self, answer: Answer) -> None:
        """Pulse the line of this answer. Raises LinkError where the plug-in fails, after trying to take it low."""
        line = RESULTS[answer.decision]
        try:
            self._set({line: True})
            self._sleep(self._hold_seconds)
        finally:
            self._set(dict.fromkeys(RESULTS.values(), False))
        self._sleep(self._hold_seconds)

    def beat(self, pulse: Pulse) -> bool:
        """Change the heartbeat, and say whether parts can be judged."""
        self._set({"heartbeat": pulse.count % 2 == 1, "ready": pulse.unready is None})
        return True

    def close(self) -> None:
        """All lines low."""
        pins, self._pins = self._pins, None
        if pins is not None:
            try:
                pins.set_outputs(dict.fromkeys(LINES, False))
            finally:
                pins.close()

    def _set(self, values: Mapping[str, bool]) -> None:
        if self._pins is None:
            raise LinkError(f"the signal lines of output {self.name} are not open")
        try:
            self._pins.set_outputs(values)
        except Exception as error:  # other people's code
            raise LinkError(f"the signal lines of output {self.name} cannot be set: {error!r}") from error


def find_pins(plugin: str) -> MakePins:
    """The plug-in of that name. Raises ConfigurationError where none is installed or it does not load."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    if plugin not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ConfigurationError(f"no plug-in {plugin!r} in the entry point group {GROUP}; installed: {known}")
    try:
        made: MakePins = found[plugin].load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"the plug-in {plugin!r} does not load: {error}; install it again") from error
    return made
