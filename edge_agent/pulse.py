"""Does the model really answer? What the line asks of it counts, and a golden sample where the line is quiet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from contracts.errors import BundleError
from edge_agent.inspection import Inspector
from edge_agent.trouble import Trouble
from runtime.probe import probe_sample

_LOOK_SECONDS = 1.0
_QUIET_SECONDS = 5.0  # without an image of the line for so long, a golden sample is asked
_FRESH_SECONDS = 1.0  # an answer that old still says that the model answers
_LIMIT_SECONDS = 5.0  # of a test inference


class Pulse:
    """`run` in a thread of its own; a runtime that hangs holds nobody else.

    `active` gives the bundle that serves, `answered` how many images have had an answer of it; `beat` is called about
    every second, with when the model last answered (monotonic seconds; None: never yet).
    """

    def __init__(
        self,
        active: Callable[[], Inspector | None],
        answered: Callable[[], int],
        *,
        beat: Callable[[float | None], None] = lambda last: None,
    ) -> None:
        self._active, self._answered, self._beat = active, answered, beat
        self._state = threading.Condition()
        self._asked = False
        self._seen, self._sample = 0, 0
        self._last: float | None = None
        self.trouble: Trouble | None = None
        """Why the last test inference was not answered as certified; None where it was."""

    def check(self, *, patience_seconds: float = _LIMIT_SECONDS) -> str | None:
        """Ask the model now, unless it has just answered: why it does not answer, or None."""
        with self._state:
            self._look()
            since = time.monotonic() - _FRESH_SECONDS
            if self._is_newer(since):
                return None
            self._asked = True
            self._state.notify_all()
            told = self._state.wait_for(lambda: not self._asked or self._is_newer(since), patience_seconds)
            if not told:
                return f"the model has not answered a golden sample within {patience_seconds:g} s"
            return None if self._is_newer(since) else self.trouble

    def wake(self) -> None:
        """Look at once whether it is over."""
        with self._state:
            self._state.notify_all()

    def run(self, stopping: threading.Event) -> None:
        """Watch, and ask a golden sample where nothing else does."""
        while not stopping.is_set():
            with self._state:
                self._state.wait_for(lambda: self._asked or stopping.is_set(), _LOOK_SECONDS)
                self._look()
                wanted = self._asked or not self._is_newer(time.monotonic() - _QUIET_SECONDS)
            active = self._active()
            if active is not None and wanted:
                self._test(active)
            with self._state:
                self._asked = False
                self._state.notify_all()
            self._beat(self._last)

    def _look(self) -> None:
        """Whether the line has had answers since the last look."""
        answered = self._answered()
        if answered != self._seen:
            self._seen = answered
            self._last, self.trouble = time.monotonic(), None

    def _is_newer(self, moment: float) -> bool:
        return self._last is not None and self._last >= moment and self.trouble is None

    def _test(self, active: Inspector) -> None:
        samples = active.bundle.manifest.golden_samples
        self._sample = (self._sample + 1) % len(samples)
        try:
            probe_sample(active.bundle, active.session, samples[self._sample], limit_seconds=_LIMIT_SECONDS)
        except BundleError as error:
            text = f"the model does not answer as certified: {error}"
            self.trouble = Trouble(text, code="model-fails", details=str(error))
        else:
            self._last, self.trouble = time.monotonic(), None
