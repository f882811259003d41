"""What people may do about labels: ask for the next picture, answer, bring answers from Label Studio, see how far they
agree. The page, programs and an import go through the same rules."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from drift.agreement import agreement
from monitor import classes, labels, ratings, timeline
from monitor.labels import AlreadyLabelled, QuestionExpired, ShareReached
from monitor.people import People
from monitor.ratings import ASKED_STATES, Answer
from monitor.rulebook import Rulebook
from monitor.settings import LabelSettings
from monitor.store.database import Store
from monitor.store.label_tables import ImageRow, LabelRow, RatingRow


class UnknownClass(ValueError):
    """A label that no model, no setting and no rater has named before."""


@dataclass(frozen=True)
class Imported:
    """What became of the answers of a file: `taken`, or left out because the image has its label (`labelled`), is no
    longer asked about (`expired`), or its rater's share is used up (`over_share`)."""

    taken: int = 0
    labelled: int = 0
    expired: int = 0
    over_share: int = 0


class LabelDesk:
    """`people`: who labels. `on_change` wakes the workers after an answer."""

    def __init__(
        self,
        store: Store,
        rulebook: Rulebook,
        people: People,
        *,
        settings: LabelSettings,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._rulebook, self.people = store, rulebook, people
        self._settings = settings
        self._on_change = on_change

    @property
    def extra(self) -> tuple[str, ...]:
        """Classes a rater may name that no model knows yet."""
        return self._settings.extra

    def queue(self, *, limit: int, site: str | None = None, rater: str | None = None) -> dict[str, Any]:
        """What to ask this person next, and the classes to choose from. Nothing here tells what the model thought."""
        with self._store.read() as session:
            closed = self._over_share(session, rater)
            questions = labels.queue(session, limit=limit, site=site, rater=rater, without=closed)
            sites = {question.site for question in questions} | ({site} if site is not None else set())
            offered = {name: classes.offered(session, name, extra=self._settings.extra) for name in sites}
            return {
                "labels": sorted({label for known in offered.values() for label in known}),
                "waiting": labels.waiting(session, site=site, rater=rater),
                "share_reached": bool(closed),
                "items": [
                    {
                        **asdict(question),
                        "triggered_at": question.triggered_at.isoformat(),
                        "image": f"/v1/images/{question.image_id}",
                        "labels": offered[question.site],
                    }
                    for question in questions
                ],
            }

    def _over_share(self, session: Session, rater: str | None) -> list[str | None]:
        """Incidents (None: outside of them) of which this person has labelled enough."""
        if rater is None or self.people.count < 2:
            return []
        asked = select(ImageRow.site, ImageRow.incident_id).where(ImageRow.state.in_(ASKED_STATES)).distinct()
        return [
            incident
            for site, incident in session.execute(asked).all()
            if not ratings.has_room(
                session, site, incident, rater, at=datetime.now(UTC), settings=self._settings, people=self.people.count
            )
        ]

    def answer(self, answer: Answer, *, new_class: bool = False) -> bool:
        """A rater's label; returns whether it counts now. Raises KeyError, AlreadyLabelled, QuestionExpired,
        ShareReached, and UnknownClass for a class that nobody has named before, unless it is meant: five misspelt
        labels would look like a new kind of defect."""
        with self._store.write() as session:
            counts = self._take(session, answer, new_classes=(answer.label,) if new_class else ())
        self._on_change()
        return counts

    def take_file(self, answers: Sequence[Answer], *, by: str, new_classes: Collection[str] = ()) -> Imported:
        """All answers of a file, in one transaction. Raises KeyError for an image that never was, and UnknownClass;
        then nothing of the file counts. An image that others have answered meanwhile is left out, as on the page."""
        counts: dict[str, int] = defaultdict(int)
        with self._store.write() as session:
            for answer in answers:
                counts[self._became(session, answer, new_classes)] += 1
            done = Imported(**counts)
            for site in sorted(self._sites_of(session, answers)):
                at = self._rulebook.clock(session, site)
                timeline.note(session, "labels.imported", site=site, at=at, by=by, **asdict(done))
        self._on_change()
        return done

    def _became(self, session: Session, answer: Answer, new_classes: Collection[str]) -> str:
        try:
            self._take(session, answer, new_classes=new_classes)
        except AlreadyLabelled:
            return "labelled"
        except QuestionExpired:
            return "expired"
        except ShareReached:
            return "over_share"
        return "taken"

    def _sites_of(self, session: Session, answers: Sequence[Answer]) -> set[str]:
        return {session.get_one(ImageRow, answer.image_id).site for answer in answers}

    def _take(self, session: Session, answer: Answer, *, new_classes: Collection[str]) -> bool:
        image = session.get(ImageRow, answer.image_id)
        if image is None:
            raise KeyError(answer.image_id)
        before = classes.counting(session, image.site, extra=self._settings.extra)
        if answer.label not in new_classes:
            self._check_class(session, image.site, answer.label)
        rows = ratings.rate(session, answer, at=datetime.now(UTC), settings=self._settings, people=self.people.count)
        for row in rows:
            self._rulebook.tell_label(session, row)
        if before is not None and answer.label not in before and any(row.label == answer.label for row in rows):
            at = self._rulebook.clock(session, image.site)
            timeline.note(session, "labels.class-confirmed", site=image.site, at=at, label=answer.label)
        return any(row.image_id == answer.image_id for row in rows)

    def _check_class(self, session: Session, site: str, label: str) -> None:
        known = classes.offered(session, site, extra=self._settings.extra)
        if known and label not in known:
            near = difflib.get_close_matches(label, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the classes are {', '.join(known)}"
            raise UnknownClass(f"{label!r} is no class of site {site}: {hint}")

    def agreement(self, *, site: str | None = None) -> dict[str, Any]:
        """How far people agree on the images that several judged, and what labels cost. Nobody is listed or ranked."""
        with self._store.read() as session:
            return report(session, site=site)


def report(session: Session, *, site: str | None = None) -> dict[str, Any]:
    """`agreement` over all images of the site; `person_minutes` and `median_seconds` where somebody measured."""
    query = select(RatingRow.image_id, RatingRow.rater, RatingRow.label, RatingRow.seconds)
    rows = session.execute(query if site is None else query.where(RatingRow.site == site)).all()
    images: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for image_id, rater, label, _ in rows:
        images[image_id].append((rater, label))
    timed = [seconds for *_, seconds in rows if seconds is not None]
    disputed = select(LabelRow.id).where(LabelRow.use == labels.DISPUTED)
    disputed = disputed if site is None else disputed.where(LabelRow.site == site)
    return {
        **asdict(agreement(list(images.values()))),
        "ratings": len(rows),
        "disputed": len(session.scalars(disputed).all()),
        "timed": len(timed),
        "person_minutes": round(sum(timed) / 60.0, 2),
        "median_seconds": round(median(timed), 2) if timed else None,
    }
