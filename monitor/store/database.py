"""Opening, reading and writing the store.

SQLite before 3.51.3 can corrupt a WAL when two connections checkpoint at once, so exactly one connection writes (and
checkpoints); readers are `query_only` and never the last to close.
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool, StaticPool

from contracts.errors import ConfigurationError
from monitor.store.migration import migrate

BUSY_SECONDS = 30.0


class Store:
    """The monitor's database. `write()` is one transaction that is on disk when it returns; `read()` sees a snapshot.

    One process at a time: a second one is refused with ConfigurationError. Threads may share a Store.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock_file = _only_one(path.with_suffix(".lock"))
        try:
            migrate(path)
            self._writer = _engine(path, writing=True)
            self._reader = _engine(path, writing=False)
        except BaseException:
            self._lock_file.close()
            raise
        self._writing = threading.Lock()
        self._owner: int | None = None

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction, committed (and synced) at the end, rolled back on any error. Never nest two of them."""
        if self._owner == threading.get_ident():
            raise RuntimeError("a write transaction inside another one would wait for itself; pass the session on")
        with self._writing:
            self._owner = threading.get_ident()
            try:
                with Session(self._writer, expire_on_commit=False) as session, session.begin():
                    yield session
            finally:
                self._owner = None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A read-only snapshot."""
        with Session(self._reader) as session:
            yield session

    def close(self) -> None:
        """Close readers, then the writer (which checkpoints), then let the next monitor in."""
        self._reader.dispose()
        with self._writing:
            self._writer.dispose()
        self._lock_file.close()


def _only_one(path: Path) -> IO[str]:
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise ConfigurationError(
            f"another monitor already uses {path.parent}; stop it, or choose another folder"
        ) from error
    return file


def _engine(path: Path, *, writing: bool) -> Engine:
    if writing:
        engine = create_engine(
            f"sqlite:///{path}",
            poolclass=StaticPool,
            connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        )
    else:
        engine = create_engine(
            f"sqlite:///{path}",
            poolclass=QueuePool,
            pool_size=4,
            max_overflow=8,
            connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy begins; the driver must not
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        if not writing:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine
