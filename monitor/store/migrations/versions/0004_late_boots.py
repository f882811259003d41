"""Boots that a newer one has overtaken."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column; what is there already came in its order."""
    op.add_column("boots", sa.Column("late", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Without it."""
    op.drop_column("boots", "late")
