"""An agent's record as another program on its machine may look at it: reading only, whether the agent runs or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contracts.bundle import Manifest
from contracts.errors import ConfigurationError
from contracts.scores import Scores
from contracts.thresholds import Thresholds
from edge_agent.scores import count_scores, edges_with
from edge_agent.settings import AgentSettings
from edge_agent.slots import Slots
from edge_agent.thresholds import kept_entries
from runtime.bundle import Bundle, open_bundle
from runtime.thresholds import Deciding, ThresholdBook


class Reader:
    """Runs reading queries; never writes, never checkpoints."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> Sequence[sqlite3.Row]:
        """All rows of a query."""
        return self._db.execute(query, values).fetchall()

    def fact(self, name: str) -> str | None:
        """A remembered setting."""
        found = self.rows("SELECT value FROM facts WHERE name = ?", (name,))
        return str(found[0]["value"]) if found else None


@dataclass(frozen=True)
class Counted:
    """The scores of one product under the bundle that serves, and what decides on it."""

    manifest: Manifest
    deciding: Deciding
    scores: Scores

    @property
    def now(self) -> Thresholds:
        """The thresholds that decide."""
        return self.deciding.rule.thresholds


@contextmanager
def reading(settings: AgentSettings) -> Iterator[Reader]:
    """The agent's database. Raises ConfigurationError where there is none or it cannot be read."""
    path = settings.state_folder / "agent.sqlite"
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10.0)) as db:
            db.row_factory = sqlite3.Row
            yield Reader(db)
    except sqlite3.Error as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error}); has this agent ever run, and are you its user?"
        ) from error


def counted(settings: AgentSettings, *, product: str | None, days: int) -> Counted:
    """Of the last `days`; of the newest product on record where none is named. Raises ConfigurationError and
    BundleError."""
    bundle = serving(settings)
    with reading(settings) as reader:
        named = product or _newest_product(reader, bundle.hash)
        deciding = ThresholdBook(bundle.manifest, bundle.hash, kept_entries(reader)).of(named)
        scores = count_scores(
            reader.rows,
            bundle_hash=bundle.hash,
            product=named,
            good_labels=bundle.manifest.good_labels,
            days=days,
            until=datetime.now(UTC),
            edges=edges_with(bundle.manifest.thresholds, deciding.rule.thresholds),
        )
    return Counted(bundle.manifest, deciding, scores)


def serving(settings: AgentSettings) -> Bundle:
    """The bundle that this agent serves. Raises ConfigurationError where there is none, BundleError."""
    place = Slots(settings.state_folder / "slots").active()
    if place is not None:
        return open_bundle(place, expected_hash=place.name)
    if settings.bundle is None:
        raise ConfigurationError(f"no bundle is installed in {settings.state_folder}")
    return open_bundle(settings.bundle.path, expected_hash=settings.bundle.hash)


def _newest_product(reader: Reader, bundle_hash: str) -> str:
    newest = "SELECT product FROM verdicts WHERE bundle_hash = ? ORDER BY id DESC LIMIT 1"
    found = reader.rows(newest, (bundle_hash,))
    if not found:
        raise ConfigurationError(f"nothing is on record that bundle {bundle_hash[:12]} has decided")
    return str(found[0]["product"])
