"""Moves candidates on: gate, queue, shadow. `step` goes as far as each can go now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select

from monitor.blobs import Blobs
from monitor.bundles import BundleShelf
from monitor.candidate_states import OPEN_STATES
from monitor.candidates import Candidates
from monitor.comparing import Comparing
from monitor.gate import Gate
from monitor.rulebook import Rulebook
from monitor.settings import MonitorSettings
from monitor.shadow import Shadow
from monitor.store.database import Store
from monitor.store.rollout_tables import CandidateRow


class Judging:
    """The worker over candidates of all sites. `scratch` takes the evaluations' files."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        shelf: BundleShelf,
        candidates: Candidates,
        rulebook: Rulebook,
        settings: MonitorSettings,
        *,
        scratch: Path,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        comparing = Comparing(blobs, shelf, scratch=scratch, threads=settings.rollout.threads, stopping=stopping)
        self._gate = Gate(
            store,
            candidates,
            comparing,
            settings.gate,
            settings.rules_of,
            first_balanced_accuracy=settings.rollout.first_balanced_accuracy,
        )
        self._shadow = Shadow(store, candidates, comparing, rulebook, settings.shadow, settings.rollout)

    def step(self) -> bool:
        """Move on whatever can move; True when something did."""
        with self._store.read() as session:
            rows = session.scalars(
                select(CandidateRow).where(CandidateRow.state.in_(OPEN_STATES)).order_by(CandidateRow.submitted_at)
            ).all()
        moved = False
        for row in rows:
            if row.state == "submitted":
                moved |= self._gate.judge(row.candidate_id)
            elif row.state == "queued":
                moved |= self._gate.leave_queue(row.candidate_id)
            else:
                moved |= self._shadow.judge(row.candidate_id)
        return moved
