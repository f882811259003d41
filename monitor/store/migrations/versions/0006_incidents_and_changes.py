"""Fleet incidents, change records, retrains that are tried again, and a timeline that nobody can rewrite."""

import sqlalchemy as sa
from alembic import op

from monitor.store.columns import UtcMoment

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_FOR_EVER = {"events": "the timeline", "changes": "a change record"}


def upgrade() -> None:
    """Two tables, two columns, and triggers that refuse to rewrite what was recorded."""
    op.create_table(
        "fleet_incidents",
        sa.Column("fleet_id", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("reason", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("opened_at", UtcMoment(), nullable=False),
        sa.Column("updated_at", UtcMoment(), nullable=False),
        sa.Column("closed_at", UtcMoment(), nullable=True),
        sa.PrimaryKeyConstraint("fleet_id", name=op.f("pk_fleet_incidents")),
    )
    op.create_table(
        "changes",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("release", sa.Integer(), nullable=False),
        sa.Column("bundle_hash", sa.String(), nullable=False),
        sa.Column("at", UtcMoment(), nullable=False),
        sa.Column("recorded_at", UtcMoment(), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("previous_sha256", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("site", "number", name=op.f("pk_changes")),
    )
    op.add_column("retrains", sa.Column("retry_at", UtcMoment(), nullable=True))
    op.add_column("retrains", sa.Column("peak_bytes", sa.BigInteger(), nullable=True))
    for table, name in _FOR_EVER.items():
        for deed in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{deed.lower()} BEFORE {deed} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{name} is written once and stays'); END"
            )


def downgrade() -> None:
    """Without them."""
    for table in _FOR_EVER:
        for deed in ("update", "delete"):
            op.execute(f"DROP TRIGGER {table}_no_{deed}")
    op.drop_column("retrains", "peak_bytes")
    op.drop_column("retrains", "retry_at")
    op.drop_table("changes")
    op.drop_table("fleet_incidents")
