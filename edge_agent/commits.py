"""When verdicts go on disk: at once, a little later together with what is under way, or when there is room again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from contracts.errors import QuotaError
from edge_agent.ledger import Ledger
from edge_agent.trouble import Trouble

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0
_GATHER_SECONDS = 0.01  # verdicts of a busy source are committed together for so long


class Commits:
    """Of one ledger. `took` is told how long each lasted, in seconds. Threads that inspect for somebody who waits ask
    for a commit and go on; `keep` makes it beside them."""

    def __init__(self, ledger: Ledger, took: Callable[[float], None]) -> None:
        self._ledger, self._took = ledger, took
        self._wanted = threading.Condition()
        self._due: float | None = None  # monotonic
        self._owed = False  # nobody has asked for it yet
        self.unwritable: Trouble | None = None
        """Why nothing can be put on record now, or None."""

    def now(self) -> None:
        """Put on disk what waits. Raises QuotaError where that fails; `unwritable` then says so until there is room."""
        started = time.perf_counter()
        try:
            if self.unwritable is not None:
                self._ledger.check_room()
            self._ledger.commit()
        except QuotaError as error:
            self.unwritable = Trouble(str(error), code="unwritable", details=str(error))
            raise
        self._took(time.perf_counter() - started)
        self.unwritable = None

    def hold(self, stopping: threading.Event) -> None:
        """Now, and where the disk is full as soon as it is not: a source that can wait is held meanwhile."""
        while True:
            try:
                self.now()
                return
            except QuotaError as error:
                _log.error("%s", error)
                if stopping.wait(_RETRY_SECONDS):
                    return

    def soon(self, *, gather: bool = False) -> None:
        """Let `keep` commit what waits: at once, or where more is under way a little later, together with that. It is
        woken only for what it does not know yet, and looks by itself a little after each commit: every wake-up takes
        the interpreter from those that inspect."""
        self._owed = False
        if self._ledger.holds_something:
            self._at(time.monotonic() + (_GATHER_SECONDS if gather else 0.0))

    def owe(self) -> None:
        """One is due, and this thread asks for its next image first: where there is none it commits at once."""
        self._owed = True

    def settle(self) -> None:
        """There is a next image: what is owed waits for it, unless somebody has waited for long."""
        if self._owed:
            self.soon(gather=not self._ledger.holds_late)

    def wake(self) -> None:
        """`keep` looks whether there is anything left to do."""
        self._at(time.monotonic())

    def keep(self, stopping: threading.Event) -> None:
        """Commit when that is asked for, beside the threads that inspect: they need not wait for the disk. Images of a
        commit that fails are refused, since somebody waits for them."""
        while not stopping.is_set():
            if self._waited_until_due() and self._ledger.holds_something:
                try:
                    self.now()
                except QuotaError as error:
                    _log.error("%s", error)
                else:
                    self._at(time.monotonic() + _GATHER_SECONDS)

    def _at(self, due: float) -> None:
        with self._wanted:
            if self._due is None or due < self._due:
                self._due = due
                self._wanted.notify()

    def _waited_until_due(self) -> bool:
        with self._wanted:
            self._wanted.wait_for(lambda: self._due is not None, _RETRY_SECONDS)
            while self._due is not None and (left := self._due - time.monotonic()) > 0:
                self._wanted.wait(left)
            due, self._due = self._due, None
            return due is not None
