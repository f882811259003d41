"""Bringing an existing database to the tables this version needs.

The steps run on a copy, which then takes the old one's place in one rename: a step that fails stops start-up and leaves
the old database, and the version that wrote it, usable.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from contracts.errors import ConfigurationError
from runtime.durable import move_durably

STEPS = Path(__file__).parent / "migrations"


def migrate(path: Path, *, steps: Path = STEPS) -> None:
    """Bring the database at `path` to the newest step (or create it). Raises ConfigurationError; the old one stays."""
    configuration = alembic_configuration(steps)
    head = newest_step(steps=steps)
    if path.exists() and step_of(path) == head:
        return
    copy = path.with_name(path.name + ".migrating")
    _remove(copy)
    try:
        if path.exists():
            _copy(path, copy)
        _upgrade(copy, configuration)
        _settle(copy)
    except (SQLAlchemyError, sqlite3.Error, CommandError, OSError, ArithmeticError, LookupError, ValueError) as error:
        _remove(copy)
        raise ConfigurationError(
            f"the database {path} could not be brought to step {head}: {error}. It was left as it was; "
            "run the version that wrote it, or report this message"
        ) from error
    _swap(copy, path)


def newest_step(*, steps: Path = STEPS) -> str | None:
    """The step that this version brings a database to."""
    return ScriptDirectory.from_config(alembic_configuration(steps)).get_current_head()


def alembic_configuration(steps: Path) -> Config:
    """Where alembic finds the steps."""
    configuration = Config()
    configuration.set_main_option("script_location", str(steps))
    configuration.set_main_option("path_separator", "os")
    return configuration


def step_of(path: Path) -> str | None:
    """The step that a database is at. Raises ConfigurationError for what is none."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        raise ConfigurationError(
            f"{path} is not a readable SQLite database: {error}; restore it from a copy"
        ) from error
    finally:
        engine.dispose()


def _copy(path: Path, copy: Path) -> None:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # afterwards the log beside it holds nothing that counts
        source.backup(target)


def _upgrade(path: Path, configuration: Config) -> None:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    try:
        with engine.begin() as connection:
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, "head")
    finally:
        engine.dispose()


def _settle(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        broken = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if broken != "ok":
            raise sqlite3.DatabaseError(f"integrity check of the migrated copy says: {broken}")
        connection.execute("PRAGMA journal_mode=DELETE")  # one file, so that one rename moves all of it


def _swap(copy: Path, path: Path) -> None:
    for suffix in ("-wal", "-shm"):  # emptied in _copy; left behind they would be taken for the new file's
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    move_durably(copy, path)


def _remove(copy: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
