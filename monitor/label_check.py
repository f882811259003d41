"""Do the labels fit their images? A process of the trainer looks them over, day by day, when new ones have come.

The monitor has neither the network nor its features for that: it hands over a manifest and reads the report. Images of
the gold set are looked at, too: the heads that judge are thrown away. What was looked at, and what was found, are lines
of the timeline; how many there are is the number of the next check, so that a process is found again after a restart
and its report is taken once.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contracts.errors import OrderError
from contracts.quality import OddDay, QualityReport
from monitor import timeline
from monitor.blobs import Blobs
from monitor.job_process import JobProcesses, Limits
from monitor.label_manifest import write_manifest
from monitor.labels import labels_with_images
from monitor.releases import active_release
from monitor.rulebook import Rulebook
from monitor.settings import LabelCheckSettings
from monitor.store.database import Store
from monitor.store.label_tables import LabelRow
from monitor.store.rollout_tables import BundleRow
from monitor.store.rule_tables import EventRow

ASKED, CHECKED, FAILED = "labels.check-asked", "labels.checked", "labels.check-failed"
ODD_DAYS = {"defects-unlabelled": "labels.defects-unlabelled", "defects-overlabelled": "labels.defects-overlabelled"}
"""Findings about a day that are known here, and how the timeline calls them."""
MOST_SHOWN = 6  # images of a day
_NEWEST = "newest"  # a file that says the number of the newest label that was handed over

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Standing:
    """Where the checks of a site stand. `done`: how many have ended; `last`: the event of the newest; `newest`: number
    of its newest label."""

    done: int
    last: EventRow | None
    asked: bool

    @property
    def number(self) -> int:
        """Of the next check, or of the one that runs."""
        return self.done + 1

    @property
    def newest(self) -> int:
        """Number of the newest label that was looked at."""
        return 0 if self.last is None else int(self.last.parameters["newest"])


class LabelCheck:
    """The worker over all sites, one check at a time. `stop` ends what runs, to be started again later."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        rulebook: Rulebook,
        settings: LabelCheckSettings,
        *,
        jobs: Path,
        sites: Sequence[str],
    ) -> None:
        self._store, self._blobs, self._rulebook, self._settings = store, blobs, rulebook, settings
        self._jobs, self._sites = jobs, tuple(sites)
        self.processes = JobProcesses()

    def step(self) -> None:
        """Follow the check that runs, or start one that is due."""
        if not self._settings.command:
            return
        with self._store.read() as session:
            standings = {site: standing_of(session, site) for site in self._sites}
            due = [site for site, standing in standings.items() if self._is_due(session, site, standing)]
        begun = [site for site, standing in standings.items() if self._place(site, standing).exists()]
        for site in begun:
            self._follow(site, standings[site])
        if due and not begun:
            self._start(due[0], standings[due[0]])

    def stop(self) -> None:
        """End what runs; it begins again when the monitor does."""
        for out in list(self.processes.children):
            self.processes.end(out)
            shutil.rmtree(out.parent, ignore_errors=True)

    def ask(self, site: str, *, by: str) -> None:
        """Somebody wants one now. Raises OrderError where no process is set."""
        if not self._settings.command:
            raise OrderError("no label check is set; set label_check.command, for example to `lineside check`")
        with self._store.write() as session:
            self._note(session, site, ASKED, by=by)

    def told(self, site: str) -> dict[str, Any]:
        """What the newest check found: days whose labels do not fit their images; whether another one is under way."""
        with self._store.read() as session:
            standing, last = standing_of(session, site), found_last(session, site)
        found = {} if last is None else last.parameters
        return {
            "site": site,
            "under_way": standing.asked or self._place(site, standing).exists(),
            "checked_at": None if last is None else last.recorded_at.isoformat(),
            "labels": found.get("labels", 0),
            "days": found.get("days", []),
        }

    def _place(self, site: str, standing: Standing) -> Path:
        """Where a check has its copies of the images: below `jobs/*/images`, where retention finds them."""
        return self._jobs / f"labels-{site}-{standing.number}"

    def _is_due(self, session: Session, site: str, standing: Standing) -> bool:
        if standing.asked:
            return True
        newest = _newest(session, site)
        if newest is None or newest.id <= standing.newest:
            return False
        first = select(LabelRow.received_at).where(LabelRow.site == site).order_by(LabelRow.id).limit(1)
        since = standing.last.recorded_at if standing.last is not None else session.scalars(first).one()
        return datetime.now(UTC) - since >= timedelta(hours=self._settings.hours)

    def _start(self, site: str, standing: Standing) -> None:
        place = self._place(site, standing)
        with self._store.read() as session:
            newest, rows = _newest(session, site), labels_with_images(session, site=site)
            good = [word for label in _good_labels(session, site) for word in ("--good", label)]
        place.mkdir(parents=True, exist_ok=True)
        (place / _NEWEST).write_text(str(0 if newest is None else newest.id), encoding="utf-8")
        if not rows:
            self._end(site, standing, QualityReport(source=site, examples=0, classes={}, findings=()))
            return
        write_manifest(place / "labels.csv", rows, self._blobs)
        command = (*self._settings.command, str(place / "labels.csv"), "--out", str(place / "out"), *good)
        try:
            self.processes.start(command, place / "out", threads=self._settings.threads)
        except OSError as error:
            self._end(site, standing, f"{command[0]!r} cannot be started: {error}")

    def _follow(self, site: str, standing: Standing) -> None:
        place = self._place(site, standing)
        if not (place / "out").exists():  # killed before the process began
            shutil.rmtree(place)
        elif not self.processes.running(place / "out"):
            self._end(site, standing, _report(place / "out") or f"no report; {self._last_words(place)}")
        elif (why := self._beyond(place)) is not None:
            self.processes.end(place / "out")
            self._end(site, standing, why)

    def _beyond(self, place: Path) -> str | None:
        """Which limit it went beyond, or None."""
        seconds = time.time() - (place / _NEWEST).stat().st_mtime
        limits = Limits(self._settings.limit_seconds, self._settings.limit_bytes)
        return limits.broken(seconds, lambda: self.processes.used_bytes(place / "out"))

    def _last_words(self, place: Path) -> str:
        return f"its last words: {self.processes.last_line(place / 'out') or 'nothing'}"

    def _end(self, site: str, standing: Standing, found: QualityReport | str) -> None:
        """Write down what came of it, and forget its copies of the images."""
        place = self._place(site, standing)
        newest = int((place / _NEWEST).read_text(encoding="utf-8"))
        with self._store.write() as session:
            if isinstance(found, str):
                _log.error("the labels of %s could not be checked: %s", site, found)
                self._note(session, site, FAILED, why=found, newest=newest)
            else:
                self._tell(session, site, found, newest)
        shutil.rmtree(place, ignore_errors=True)

    def _tell(self, session: Session, site: str, report: QualityReport, newest: int) -> None:
        before = found_last(session, site)
        days = [
            _described(finding.kind, finding.day, finding.images)
            for finding in report.findings
            if finding.day and finding.kind in ODD_DAYS
        ]
        known = [] if before is None else [_sense(day) for day in before.parameters["days"]]
        self._note(session, site, CHECKED, labels=report.examples, newest=newest, odd=len(days), days=days)
        for day in days:
            if _sense(day) not in known:
                self._note(session, site, ODD_DAYS[day["kind"]], **day)

    def _note(self, session: Session, site: str, code: str, **parameters: Any) -> None:
        timeline.note(session, code, site=site, at=self._rulebook.clock(session, site), **parameters)


def standing_of(session: Session, site: str) -> Standing:
    """What the timeline says of a site's checks."""
    of_site = select(EventRow).where(EventRow.site == site, EventRow.code.in_((CHECKED, FAILED)))
    last = session.scalars(of_site.order_by(EventRow.id.desc()).limit(1)).first()
    done = session.scalar(select(func.count()).select_from(of_site.subquery())) or 0
    asked = select(func.max(EventRow.id)).where(EventRow.site == site, EventRow.code == ASKED)
    newest_wish = session.scalar(asked)
    return Standing(done, last, newest_wish is not None and (last is None or newest_wish > last.id))


def found_last(session: Session, site: str) -> EventRow | None:
    """The newest check of a site that came to an end: its `days` are those whose labels do not fit now."""
    query = select(EventRow).where(EventRow.site == site, EventRow.code == CHECKED)
    return session.scalars(query.order_by(EventRow.id.desc()).limit(1)).first()


def _described(kind: str, day: OddDay, images: Sequence[Sequence[Path]]) -> dict[str, Any]:
    """A day's finding as the timeline keeps it; `shown`: ids of the images that tell most."""
    return {
        "kind": kind,
        "day": day.day.isoformat(),
        "images": day.images,
        "labelled": day.labelled,
        "expected": round(day.expected),
        "shown": [path.stem for paths in images[:MOST_SHOWN] for path in paths[:1]],
    }


def _sense(day: dict[str, Any]) -> tuple[Any, ...]:
    return day["kind"], day["day"], day["labelled"], day["images"]


def _report(out: Path) -> QualityReport | None:
    try:
        return QualityReport.model_validate_json((out / "quality.json").read_bytes())
    except (OSError, ValidationError):
        return None


def _newest(session: Session, site: str) -> LabelRow | None:
    query = select(LabelRow).where(LabelRow.site == site)
    return session.scalars(query.order_by(LabelRow.id.desc()).limit(1)).first()


def _good_labels(session: Session, site: str) -> tuple[str, ...]:
    """Classes that pass, as the served release has them."""
    release = active_release(session, site)
    bundle = session.get(BundleRow, release.bundle_hash) if release is not None else None
    return tuple(bundle.manifest["good_labels"]) if bundle is not None else ()
