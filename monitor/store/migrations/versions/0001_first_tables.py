"""The first tables."""

import sqlalchemy as sa
from alembic import op

from monitor.store.columns import UtcMoment

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "agents",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("boot", sa.String(), nullable=True),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("status_at", UtcMoment(), nullable=True),
        sa.Column("last_seen_at", UtcMoment(), nullable=False),
        sa.Column("birth", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("bundle_hash", sa.String(), nullable=True),
        sa.Column("release_number", sa.Integer(), nullable=True),
        sa.Column("shadow_hash", sa.String(), nullable=True),
        sa.Column("channel_sequence", sa.Integer(), nullable=False),
        sa.Column("audit_fraction", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("site", "agent", name=op.f("pk_agents")),
    )
    op.create_table(
        "boots",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("contiguous", sa.Integer(), nullable=False),
        sa.Column("processed", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", UtcMoment(), nullable=False),
        sa.Column("last_seen_at", UtcMoment(), nullable=False),
        sa.PrimaryKeyConstraint("site", "agent", "boot", name=op.f("pk_boots")),
    )
    op.create_table(
        "bundles",
        sa.Column("bundle_hash", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("manifest", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("stored_at", UtcMoment(), nullable=False),
        sa.PrimaryKeyConstraint("bundle_hash", name=op.f("pk_bundles")),
    )
    op.create_table(
        "cameras",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("camera", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("bundle_hash", sa.String(), nullable=False),
        sa.Column("runtime", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("learned_windows", sa.Integer(), nullable=False),
        sa.Column("windows_needed", sa.Integer(), nullable=False),
        sa.Column("t2", sa.Double(), nullable=True),
        sa.Column("limit", sa.Double(), nullable=True),
        sa.Column("fault", sa.String(), nullable=True),
        sa.Column("incident_id", sa.String(), nullable=True),
        sa.Column("windows", sa.Integer(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("decisions", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("last_window_at", UtcMoment(), nullable=False),
        sa.PrimaryKeyConstraint("site", "agent", "camera", "product", name=op.f("pk_cameras")),
    )
    op.create_table(
        "candidates",
        sa.Column("candidate_id", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("bundle_hash", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("submitted_by", sa.String(), nullable=False),
        sa.Column("submitted_at", UtcMoment(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("incident_id", sa.String(), nullable=True),
        sa.Column("parent_bundle", sa.String(), nullable=True),
        sa.Column("gate", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("shadow", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("approvals", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("release_number", sa.Integer(), nullable=True),
        sa.Column("closed_at", UtcMoment(), nullable=True),
        sa.Column("closing", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("candidate_id", name=op.f("pk_candidates")),
    )
    op.create_index("ix_candidates_state", "candidates", ["site", "state"], unique=False)
    op.create_table(
        "channels",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", UtcMoment(), nullable=False),
        sa.Column("published_at", UtcMoment(), nullable=True),
        sa.PrimaryKeyConstraint("site", "sequence", name=op.f("pk_channels")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("at", UtcMoment(), nullable=False),
        sa.Column("recorded_at", UtcMoment(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("parameters", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("agent", sa.String(), nullable=True),
        sa.Column("camera", sa.String(), nullable=True),
        sa.Column("product", sa.String(), nullable=True),
        sa.Column("bundle_hash", sa.String(), nullable=True),
        sa.Column("incident_id", sa.String(), nullable=True),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_code", "events", ["code", "bundle_hash"], unique=False)
    op.create_index("ix_events_kind", "events", ["kind"], unique=False)
    op.create_index("ix_events_site", "events", ["site", "id"], unique=False)
    op.create_table(
        "gold_sets",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("csv", sa.Text(), nullable=False),
        sa.Column("examples", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("base_snapshot", sa.String(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", UtcMoment(), nullable=False),
        sa.PrimaryKeyConstraint("site", "version", name=op.f("pk_gold_sets")),
    )
    op.create_table(
        "images",
        sa.Column("image_id", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("camera", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("part_id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("incident_id", sa.String(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("verdict", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("bundle_hash", sa.String(), nullable=True),
        sa.Column("blob", sa.String(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("triggered_at", UtcMoment(), nullable=False),
        sa.Column("received_at", UtcMoment(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("shown_at", UtcMoment(), nullable=True),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_images")),
        sa.UniqueConstraint("site", "part_id", name=op.f("uq_images_site_part_id")),
    )
    op.create_index("ix_images_state", "images", ["state", "received_at"], unique=False)
    op.create_table(
        "incidents",
        sa.Column("incident_id", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("bundle_hash", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("diagnosis", sa.String(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("reason", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("cameras", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("details", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("opened_at", UtcMoment(), nullable=False),
        sa.Column("updated_at", UtcMoment(), nullable=False),
        sa.Column("closed_at", UtcMoment(), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("incident_id", name=op.f("pk_incidents")),
    )
    op.create_index("ix_incidents_state", "incidents", ["site", "state"], unique=False)
    op.create_table(
        "labels",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("camera", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("part_id", sa.String(), nullable=False),
        sa.Column("image_id", sa.String(), nullable=True),
        sa.Column("incident_id", sa.String(), nullable=True),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("rater", sa.String(), nullable=False),
        sa.Column("use", sa.String(), nullable=False),
        sa.Column("bundle_hash", sa.String(), nullable=True),
        sa.Column("decision", sa.String(), nullable=False),
        sa.Column("predicted", sa.String(), nullable=True),
        sa.Column("triggered_at", UtcMoment(), nullable=False),
        sa.Column("decided_at", UtcMoment(), nullable=False),
        sa.Column("received_at", UtcMoment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
        sa.UniqueConstraint("site", "part_id", "source", name=op.f("uq_labels_site_part_id_source")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_labels_bundle", "labels", ["site", "bundle_hash"], unique=False)
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("sent_at", UtcMoment(), nullable=False),
        sa.Column("received_at", UtcMoment(), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("site", "agent", "boot", "sequence", name=op.f("uq_messages_site_agent_boot_sequence")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "models",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("state", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("clock", UtcMoment(), nullable=False),
        sa.Column("clock_set_at", UtcMoment(), nullable=False),
        sa.PrimaryKeyConstraint("site", name=op.f("pk_models")),
    )
    op.create_table(
        "orders",
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("issued_at", UtcMoment(), nullable=False),
        sa.Column("expires_at", UtcMoment(), nullable=False),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("last_sent_at", UtcMoment(), nullable=True),
        sa.Column("closed_at", UtcMoment(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("incident_id", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_orders")),
    )
    op.create_index("ix_orders_state", "orders", ["state", "last_sent_at"], unique=False)
    op.create_table(
        "poison",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", UtcMoment(), nullable=False),
        sa.Column("sample", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site", "agent", "reason", name=op.f("pk_poison")),
    )
    op.create_table(
        "refused",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("bundle_hash", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", UtcMoment(), nullable=False),
        sa.PrimaryKeyConstraint("site", "bundle_hash", name=op.f("pk_refused")),
    )
    op.create_table(
        "releases",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("bundle_hash", sa.String(), nullable=False),
        sa.Column("candidate_id", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", UtcMoment(), nullable=False),
        sa.Column("activated_at", UtcMoment(), nullable=True),
        sa.Column("ended_at", UtcMoment(), nullable=True),
        sa.PrimaryKeyConstraint("site", "number", name=op.f("pk_releases")),
    )
    op.create_table(
        "retrains",
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("incident_id", sa.String(), nullable=True),
        sa.Column("parent_bundle", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("process", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("progress", sa.Text(), nullable=True),
        sa.Column("requested_at", UtcMoment(), nullable=False),
        sa.Column("started_at", UtcMoment(), nullable=True),
        sa.Column("ended_at", UtcMoment(), nullable=True),
        sa.Column("labels", sa.Integer(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_retrains")),
    )
    op.create_index("ix_retrains_state", "retrains", ["state"], unique=False)
    op.create_table(
        "tombstones",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("noted", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("site", "agent", "boot", "first", name=op.f("pk_tombstones")),
    )
    op.create_table(
        "windows",
        sa.Column("message_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("camera", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("bundle_hash", sa.String(), nullable=False),
        sa.Column("runtime", sa.String(), nullable=False),
        sa.Column("started_at", UtcMoment(), nullable=False),
        sa.Column("ended_at", UtcMoment(), nullable=False),
        sa.Column("first_frame", sa.Integer(), nullable=False),
        sa.Column("last_frame", sa.Integer(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("dropped_images", sa.Integer(), nullable=False),
        sa.Column("decisions", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("labels", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("latency_seconds_sum", sa.Double(), nullable=False),
        sa.Column("t2", sa.Double(), nullable=True),
        sa.Column("limit", sa.Double(), nullable=True),
        sa.Column("contributions", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("shadow", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_windows")),
    )
    op.create_index("ix_windows_camera", "windows", ["site", "agent", "camera", "product", "ended_at"], unique=False)
    op.create_index("ix_windows_ended_at", "windows", ["site", "ended_at"], unique=False)


def downgrade() -> None:
    """Remove everything."""
    op.drop_index("ix_windows_ended_at", table_name="windows")
    op.drop_index("ix_windows_camera", table_name="windows")
    op.drop_table("windows")
    op.drop_table("tombstones")
    op.drop_index("ix_retrains_state", table_name="retrains")
    op.drop_table("retrains")
    op.drop_table("releases")
    op.drop_table("refused")
    op.drop_table("poison")
    op.drop_index("ix_orders_state", table_name="orders")
    op.drop_table("orders")
    op.drop_table("models")
    op.drop_table("messages")
    op.drop_index("ix_labels_bundle", table_name="labels")
    op.drop_table("labels")
    op.drop_index("ix_incidents_state", table_name="incidents")
    op.drop_table("incidents")
    op.drop_index("ix_images_state", table_name="images")
    op.drop_table("images")
    op.drop_table("gold_sets")
    op.drop_index("ix_events_site", table_name="events")
    op.drop_index("ix_events_kind", table_name="events")
    op.drop_index("ix_events_code", table_name="events")
    op.drop_table("events")
    op.drop_table("channels")
    op.drop_index("ix_candidates_state", table_name="candidates")
    op.drop_table("candidates")
    op.drop_table("cameras")
    op.drop_table("bundles")
    op.drop_table("boots")
    op.drop_table("agents")
