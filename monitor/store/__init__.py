"""The monitor's memory: one SQLite file (WAL, synchronous=FULL), one connection for writing.

Reading order: `columns` (how a moment is kept), `telemetry_tables`, `label_tables`, `rollout_tables`, `rule_tables`
(what is remembered), `database` (opening, reading, writing), `migration` (from the first table on; a failed one stops
start-up and leaves the old database as it was), `migrations/` (the steps).
"""

from monitor.store.database import Store
from monitor.store.migration import migrate

__all__ = ["Store", "migrate"]
