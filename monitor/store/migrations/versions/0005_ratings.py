"""What each person said about an image, from which the labels that count are made."""

import sqlalchemy as sa
from alembic import op

from monitor.store.columns import UtcMoment

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One table, with the labels given so far as one person's word each."""
    op.create_table(
        "ratings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("image_id", sa.String(), nullable=False),
        sa.Column("incident_id", sa.String(), nullable=True),
        sa.Column("rater", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("given_at", UtcMoment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ratings")),
        sa.UniqueConstraint("image_id", "rater", name=op.f("uq_ratings_image_id_rater")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_ratings_share", "ratings", ["site", "incident_id", "given_at", "rater"], unique=False)
    op.create_index("ix_labels_class", "labels", ["site", "use", "label"], unique=False)
    op.execute(
        "INSERT INTO ratings (site, image_id, incident_id, rater, label, via, given_at) "
        "SELECT site, image_id, incident_id, rater, label, 'page', decided_at FROM labels "
        "WHERE image_id IS NOT NULL ORDER BY id"
    )


def downgrade() -> None:
    """Without it."""
    op.drop_index("ix_labels_class", table_name="labels")
    op.drop_index("ix_ratings_share", table_name="ratings")
    op.drop_table("ratings")
