"""What has to be done now and then: commits that are due, quotas, retention, cameras that have fallen silent."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from contracts.errors import LinesideError

_BEAT_SECONDS = 0.1
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Duty:
    """One thing to do every `seconds`."""

    name: str
    seconds: float
    do: Callable[[], object]


def take_care(duties: Sequence[Duty], stopping: threading.Event) -> None:
    """Do all duties in turn until stopped. One that fails is reported and tried again when it is due."""
    due = {duty.name: 0.0 for duty in duties}
    while not stopping.wait(_BEAT_SECONDS):
        now = time.monotonic()
        for duty in duties:
            if now >= due[duty.name]:
                due[duty.name] = now + duty.seconds
                try:
                    duty.do()
                except (LinesideError, OSError) as error:
                    _log.error("%s: %s", duty.name, error)
