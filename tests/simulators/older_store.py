"""A monitor's database as an older version had written it: newer steps are taken back by their own `downgrade`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from monitor.store.migration import STEPS, alembic_configuration


def take_back(path: Path, *, to: str) -> None:
    """Bring the closed database at `path` to an earlier step."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    configuration = alembic_configuration(STEPS)
    with engine.begin() as connection:
        configuration.attributes["connection"] = connection
        command.downgrade(configuration, to)
    engine.dispose()
