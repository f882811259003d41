"""Reading a monitor's database from another process, beside the monitor or without one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from contracts.errors import ConfigurationError
from monitor.store.migration import newest_step, step_of


@contextmanager
def look_into(path: Path) -> Iterator[Session]:
    """A read-only snapshot of the database at `path`; nothing is written, migrated or locked. Raises ConfigurationError
    where there is none, or where it belongs to another version."""
    if not path.exists():
        raise ConfigurationError(f"there is no monitor database at {path}; is state_folder right?")
    if (found := step_of(path)) != (needed := newest_step()):
        raise ConfigurationError(
            f"the database {path} is at step {found}, this version needs {needed}; start its monitor once with it"
        )
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30.0),
        poolclass=NullPool,
    )
    try:
        with Session(engine) as session:
            yield session
    except SQLAlchemyError as error:
        raise ConfigurationError(f"the database {path} cannot be read: {error}") from error
    finally:
        engine.dispose()
