"""The store: migrations that cannot hurt, one monitor at a time, moments with zones."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError

from contracts.errors import ConfigurationError
from monitor.store import Store, migrate
from monitor.store.columns import Table
from monitor.store.migration import STEPS
from monitor.store.rollout_tables import RefusedRow
from monitor.store.telemetry_tables import BootRow
from monitor.timeline import note
from tests.monitor.telemetry import START

BROKEN_STEP = """
from alembic import op
revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None
def upgrade():
    op.execute("CREATE TABLE half_done (a INTEGER)")
    op.execute("DROP TABLE refused")
    op.execute("this is no SQL")
def downgrade():
    pass
"""


def test_migrations_make_exactly_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    migrate(tmp_path / "monitor.db")
    engine = create_engine(f"sqlite:///{tmp_path / 'monitor.db'}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    engine.dispose()


def test_failed_migration_stops_start_up_and_leaves_the_old_database_usable(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    store = Store(path)
    with store.write() as session:
        session.add(RefusedRow(site="mono", bundle_hash="a", reason="worse", at=START))
    store.close()
    steps = tmp_path / "steps"
    shutil.copytree(STEPS, steps, ignore=shutil.ignore_patterns("__pycache__"))
    head = sorted(file.stem[:4] for file in (steps / "versions").glob("[0-9]*.py"))[-1]
    (steps / "versions" / "9999_broken.py").write_text(BROKEN_STEP.format(head=head))

    with pytest.raises(ConfigurationError, match="left as it was"):
        migrate(path, steps=steps)

    store = Store(path)
    with store.read() as session:
        assert session.get_one(RefusedRow, ("mono", "a")).reason == "worse"
    store.close()
    assert sorted(file.name for file in tmp_path.glob("monitor.db*")) == ["monitor.db"]


def test_migration_keeps_what_still_lay_in_the_write_ahead_log(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    migrate(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("INSERT INTO refused VALUES ('mono', 'a', 'worse', '2026-01-01 00:00:00')")
    connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.commit()
    for suffix in ("", "-wal"):  # what a kill leaves behind
        shutil.copy(f"{path}{suffix}", f"{tmp_path / 'crashed.db'}{suffix}")
    connection.close()
    steps = tmp_path / "steps"
    shutil.copytree(STEPS, steps, ignore=shutil.ignore_patterns("__pycache__"))
    next_step = (
        BROKEN_STEP.format(head="0001").replace("this is no SQL", "SELECT 1").replace("DROP TABLE refused", "SELECT 1")
    )
    for step in (steps / "versions").glob("[0-9]*.py"):
        if not step.name.startswith("0001"):
            step.unlink()
    (steps / "versions" / "9999_next.py").write_text(next_step)

    migrate(tmp_path / "crashed.db", steps=steps)

    with sqlite3.connect(tmp_path / "crashed.db") as check:
        assert check.execute("SELECT reason FROM refused").fetchall() == [("worse",)]
        assert check.execute("SELECT name FROM sqlite_master WHERE name = 'half_done'").fetchall() == [("half_done",)]
    check.close()


def test_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    path.write_bytes(b"my thesis" * 100)
    with pytest.raises(ConfigurationError, match="not a readable SQLite database"):
        Store(path)
    assert path.read_bytes() == b"my thesis" * 100


def test_second_monitor_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "monitor.db")
    with pytest.raises(ConfigurationError, match="another monitor"):
        Store(tmp_path / "monitor.db")
    store.close()
    Store(tmp_path / "monitor.db").close()


def test_moment_without_a_zone_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "monitor.db")
    naive = datetime(2026, 1, 1)
    with pytest.raises(StatementError, match="no time zone"), store.write() as session:
        session.add(BootRow(site="s", agent="a", boot="b", first_seen_at=naive, last_seen_at=START))
    store.close()


@pytest.mark.parametrize("deed", ["UPDATE events SET text = 'nothing happened'", "DELETE FROM events"])
def test_nobody_rewrites_the_timeline(tmp_path: Path, deed: str) -> None:
    store = Store(tmp_path / "monitor.db")
    with store.write() as session:
        note(session, "gold.pinned", site="mono", at=START, examples=60, by="lead")
    with pytest.raises(IntegrityError, match="written once and stays"), store.write() as session:
        session.execute(text(deed))
    store.close()


def test_readers_cannot_write(tmp_path: Path) -> None:
    store = Store(tmp_path / "monitor.db")
    with pytest.raises(OperationalError, match="readonly"), store.read() as session:  # noqa: PT012
        session.add(RefusedRow(site="mono", bundle_hash="a", reason="worse", at=START))
        session.commit()
    store.close()


def test_write_inside_a_write_is_an_error_and_not_a_deadlock(tmp_path: Path) -> None:
    store = Store(tmp_path / "monitor.db")
    with store.write():
        with pytest.raises(RuntimeError, match="wait for itself"), store.write():
            pass
    store.close()
