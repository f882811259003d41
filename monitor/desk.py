"""What people may do: answer tickets, hand in candidates, approve, reject, roll back, replace the gold set.

The same deeds serve a click on a page and a program. Each is one transaction with its line on the timeline. A wish that
cannot be granted is an OrderError (409) or a KeyError (404) that says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.errors import BundleError, OrderError
from contracts.upload import ImageUpload
from monitor import labels, releases, timeline
from monitor.benchmarks import BenchmarkDesk
from monitor.blobs import Blobs
from monitor.bundles import BundleShelf
from monitor.candidates import Candidates
from monitor.carried import Carried
from monitor.gold import GoldExample, current_gold, pin_gold, read_gold
from monitor.label_check import LabelCheck
from monitor.label_desk import LabelDesk
from monitor.retrain_desk import RetrainDesk
from monitor.rulebook import Rulebook
from monitor.store.database import Store
from monitor.store.rollout_tables import CandidateRow, ReleaseRow
from monitor.store.rule_tables import IncidentRow
from monitor.thresholds import ThresholdDesk
from runtime.bundle import Bundle

Said = Literal["repaired", "permanent", "adopt", "retrain", "close"]


class Desk:
    """`on_change` wakes the workers after a deed that gives them work. `benchmarks`: about figures of devices;
    `carried`: telemetry that people bring; `thresholds` and `retrains`: about these; `labels`: what people say about
    images; `label_check`: whether that fits them."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        shelf: BundleShelf,
        candidates: Candidates,
        rulebook: Rulebook,
        benchmarks: BenchmarkDesk,
        carried: Carried,
        thresholds: ThresholdDesk,
        labels: LabelDesk,
        retrains: RetrainDesk,
        label_check: LabelCheck,
        *,
        sites: Sequence[str],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._blobs, self._shelf = store, blobs, shelf
        self._candidates, self._rulebook = candidates, rulebook
        self.benchmarks, self.carried, self.thresholds, self.retrains = benchmarks, carried, thresholds, retrains
        self.labels, self.label_check = labels, label_check
        self._sites = tuple(sites)
        self._on_change = on_change

    def site(self, name: str | None) -> str:
        """The site that is meant: the only one where none is named. Raises KeyError for an unknown one."""
        if name is None and len(self._sites) == 1:
            return self._sites[0]
        if name not in self._sites:
            raise KeyError(f"there is no site {name!r}; this monitor serves {', '.join(self._sites)}")
        return str(name)

    # --- images

    def accept_image(self, upload: ImageUpload, data: bytes, *, media_type: str) -> str | None:
        """Keep an uploaded image and queue it; None where its part was asked about before. Raises KeyError for an
        unknown site. Nothing is written for an image that is not taken."""
        self.site(upload.site)
        with self._store.read() as session:
            if labels.is_known(session, upload):
                return None
        blob, size = self._blobs.write(data), len(data)
        with self._store.write() as session:
            return labels.accept_image(
                session, upload, blob=blob, size_bytes=size, media_type=media_type, at=datetime.now(UTC)
            )

    # --- incidents

    def person_said(self, incident_id: str, *, said: Said, who: str) -> None:
        """A person's word on an incident. Raises KeyError, or OrderError where it is over or the word does not fit."""
        with self._store.write() as session:
            incident = session.get(IncidentRow, incident_id)
            if incident is None:
                raise KeyError(f"there is no incident {incident_id!r}")
            if incident.state != "open":
                raise OrderError(f"incident {incident_id} is closed: {incident.resolution}")
            if said not in (allowed := incident.details.get("answers", [])):
                raise OrderError(f"incident {incident_id} cannot be answered {said!r} now, only {', '.join(allowed)}")
            timeline.note(
                session,
                f"person.{said}",
                site=incident.site,
                at=self._rulebook.clock(session, incident.site),
                incident_id=incident_id,
                by=who,
            )
            self._rulebook.tell_person(session, incident.site, incident_id=incident_id, said=said, who=who)
        self._on_change()

    # --- candidates and releases

    def submit(self, folder: Path, *, site: str, reason: str, submitted_by: str, gold_csv: Path | None = None) -> str:
        """Hand in a bundle; returns the candidate's id. The first one of a site brings its gold set along.

        Raises BundleError, DatasetError, OrderError.
        """
        bundle = self._shelf.take(folder)
        if bundle.manifest.site != site:
            raise BundleError(f"bundle {bundle.hash[:12]} was made for site {bundle.manifest.site!r}, not {site!r}")
        examples = read_gold(gold_csv, self._blobs) if gold_csv is not None else None
        with self._store.write() as session:
            first = current_gold(session, site) is None
            if first and examples is None:
                raise OrderError(f"site {site} has no gold set yet: hand in its first release together with gold_csv")
            if not first and examples is not None:
                raise OrderError(f"site {site} has its gold set; only POST /v1/gold replaces it, with a reason")
            if examples is not None and gold_csv is not None:
                self._pin(session, bundle, examples, gold_csv, by=submitted_by)
            row = self._candidates.submit(
                session, bundle, origin="first" if first else "hand", reason=reason, submitted_by=submitted_by
            )
            candidate_id = row.candidate_id
        self._on_change()
        return candidate_id

    def _pin(self, session: Session, bundle: Bundle, examples: Sequence[GoldExample], source: Path, *, by: str) -> None:
        site = bundle.manifest.site
        pin_gold(
            session,
            examples,
            site=site,
            source=source,
            base_snapshot=bundle.manifest.lineage.snapshot_hash,
            by=by,
            reason="pinned with the first release",
        )
        timeline.note(
            session,
            "gold.pinned",
            site=site,
            at=self._rulebook.clock(session, site),
            bundle_hash=bundle.hash,
            examples=len(examples),
            by=by,
        )

    def replace_gold(self, csv: Path, *, site: str, reason: str, by: str) -> int:
        """Another gold set; returns its version. Raises DatasetError, OrderError."""
        examples = read_gold(csv, self._blobs)
        with self._store.write() as session:
            before = current_gold(session, site)
            if before is None:
                raise OrderError(f"site {site} has no gold set to replace; it comes with the first release")
            version = pin_gold(
                session, examples, site=site, source=csv, base_snapshot=before.base_snapshot, by=by, reason=reason
            )
            timeline.note(
                session,
                "gold.replaced",
                site=site,
                at=self._rulebook.clock(session, site),
                examples=len(examples),
                version=version,
                by=by,
                why=reason,
            )
        return version

    def approve(self, number: int, *, site: str, by: str, reason: str = "") -> dict[str, Any]:
        """A person agrees with a candidate. Raises KeyError, OrderError."""
        return self._word(number, site=site, by=by, approved=True, reason=reason)

    def reject(self, number: int, *, site: str, by: str, reason: str) -> dict[str, Any]:
        """A person stops a candidate. Raises KeyError, OrderError."""
        return self._word(number, site=site, by=by, approved=False, reason=reason)

    def _word(self, number: int, *, site: str, by: str, approved: bool, reason: str) -> dict[str, Any]:
        with self._store.write() as session:
            row = session.scalars(
                select(CandidateRow).where(CandidateRow.site == site, CandidateRow.release_number == number)
            ).first()
            if row is None:
                raise KeyError(f"site {site} has no candidate with release number {number}")
            if row.state not in ("shadowing", "approving"):
                raise OrderError(f"release {number} is {row.state}: {row.closing}")
            self._candidates.record_word(session, row, by=by, approved=approved, reason=reason)
            answer = {"release": number, "approved": approved, "words": row.approvals}
        self._on_change()
        return answer

    def roll_back(self, *, site: str, to: int | None, reason: str, by: str, refuse: bool) -> dict[str, Any]:
        """Serve an earlier release again, at once. Raises KeyError, OrderError."""
        with self._store.write() as session:
            left = releases.active_release(session, site)
            release = session.get(ReleaseRow, (site, to)) if to else releases.previous_release(session, site)
            if release is None:
                raise KeyError(f"site {site} has no release {to or 'to go back to'}")
            at = self._rulebook.clock(session, site)
            channel = releases.go_back(session, release, reason=reason, at=at, refuse=refuse, by=by)
            timeline.note(
                session,
                "release.rolled-back",
                site=site,
                at=at,
                bundle_hash=release.bundle_hash,
                release=release.number,
                left=left.number if left is not None else None,
                by=by,
                why=reason,
            )
            self._rulebook.tell_release(session, release)
            answer = {"site": site, "release": release.number, "channel_sequence": channel.sequence}
        self._on_change()
        return answer
