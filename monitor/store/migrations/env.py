"""Alembic's door. The connection comes from `monitor.store.migration`; there is no other way in."""

from alembic import context

from monitor.store import label_tables, rollout_tables, rule_tables, telemetry_tables  # noqa: F401  (fill the metadata)
from monitor.store.columns import Table

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
