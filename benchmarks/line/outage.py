"""The outbox that a long outage leaves behind."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from contracts.errors import ConfigurationError
from contracts.telemetry import Window
from edge_agent.outbox import Outbox
from edge_agent.store import Store


def fill_outbox(state: Path, agent: str, *, size_bytes: int) -> int:
    """Add copies of a window that waits there until that many bytes wait; returns how many messages wait.

    The station must not be running. Raises ConfigurationError where no window waits yet.
    """
    store = Store(state / "agent.sqlite")
    try:
        rows = store.rows("SELECT body FROM outbox WHERE kind = 'window' ORDER BY id DESC LIMIT 1")
        if not rows:
            raise ConfigurationError(f"no window waits in {state}; let the station inspect for longer first")
        window = TypeAdapter(Window).validate_json(rows[0]["body"])
        outbox = Outbox(store, agent=agent, max_bytes=2 * size_bytes)
        with store.transaction():
            for _ in range(max(0, size_bytes - outbox.size()[1]) // len(rows[0]["body"])):
                outbox.add(window)
        return outbox.size()[0]
    finally:
        store.close()
