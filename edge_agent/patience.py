"""A disk that is full or fails makes what is done beside the line wait; it ends nothing."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from contracts.errors import QuotaError

WAIT_SECONDS = 5.0

_log = logging.getLogger(__name__)


@contextmanager
def patience(what: str, stopping: threading.Event) -> Iterator[None]:
    """Where the disk does not let it, say so and wait; who looks for work finds it again."""
    try:
        yield
    except (QuotaError, sqlite3.OperationalError, OSError) as error:
        _log.error("%s must wait: %s", what, error)
        stopping.wait(WAIT_SECONDS)
