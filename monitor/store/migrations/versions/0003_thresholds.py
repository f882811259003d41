"""Scores of agents for previews, and the thresholds that people chose."""

import sqlalchemy as sa
from alembic import op

from monitor.store.columns import UtcMoment

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two tables."""
    op.create_table(
        "scores",
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("bundle_hash", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("received_at", UtcMoment(), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_scores")),
    )
    op.create_index("ix_scores_bundle", "scores", ["site", "bundle_hash", "product"], unique=False)
    op.create_table(
        "thresholds",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("bundle_hash", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=True),
        sa.Column("thresholds", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", UtcMoment(), nullable=False),
        sa.Column("seen", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("replaces", sa.Integer(), nullable=True),
        sa.Column("ended_at", UtcMoment(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.Column("ending", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("site", "number", name=op.f("pk_thresholds")),
    )
    op.create_index("ix_thresholds_bundle", "thresholds", ["site", "bundle_hash"], unique=False)


def downgrade() -> None:
    """Without them."""
    op.drop_index("ix_thresholds_bundle", table_name="thresholds")
    op.drop_table("thresholds")
    op.drop_index("ix_scores_bundle", table_name="scores")
    op.drop_table("scores")
