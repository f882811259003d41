"""What devices found out about bundles."""

import sqlalchemy as sa
from alembic import op

from monitor.store.columns import UtcMoment

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One table."""
    op.create_table(
        "benchmarks",
        sa.Column("benchmark_id", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("bundle_hash", sa.String(), nullable=False),
        sa.Column("device_class", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=True),
        sa.Column("by", sa.String(), nullable=True),
        sa.Column("measured_at", UtcMoment(), nullable=False),
        sa.Column("received_at", UtcMoment(), nullable=False),
        sa.Column("figures", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("benchmark_id", name=op.f("pk_benchmarks")),
    )
    op.create_index("ix_benchmarks_bundle", "benchmarks", ["site", "bundle_hash"], unique=False)


def downgrade() -> None:
    """Without it."""
    op.drop_index("ix_benchmarks_bundle", table_name="benchmarks")
    op.drop_table("benchmarks")
