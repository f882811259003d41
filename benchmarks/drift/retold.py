"""What the monitor made of a play, read from its timeline, its checks of labels and its page, and the figures of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from contracts.report import Figure
from monitor.rules.action import Kind, Symptom

_DRIFTS = ("drift", "slow-drift")
UNLABELLED = "defects-unlabelled"
_RESIZED = "diagnosis-sensor-size"

Event = Mapping[str, Any]
Day = Mapping[str, Any]


@dataclass(frozen=True)
class Changes:
    """What really happened: pitting began, another crop was set, and labels of one day are missing."""

    pitting: datetime
    crop: datetime
    unlabelled: date


@dataclass(frozen=True)
class Told:
    """`nights`: by day, the days whose labels do not fit as the night after it found them; `shown`: which of the five
    things to know stand on the page."""

    events: Sequence[Event]
    nights: Mapping[str, Sequence[Day]]
    shown: Mapping[str, bool]

    def drifts(self, *, until: datetime) -> int:
        """Drifts that were raised before."""
        return sum(event["code"] in _DRIFTS and _at(event) < until for event in self.events)

    def diagnosed(self, since: datetime, until: datetime | None = None) -> Event | None:
        """The last time in that span that an incident said what it takes the drift for."""
        named = [event for event in self._of("incident", since, until) if "diagnosis" in event["parameters"]]
        return named[-1] if named else None

    def ticket(self, since: datetime) -> Event | None:
        """The first ticket since, as of a camera that was to be looked at before."""
        return next((event for event in self._of("ticket", since) if event["parameters"].get("what") == "opened"), None)

    def tickets(self, since: datetime) -> list[str]:
        """What tickets say is to be looked at."""
        found = [event["parameters"].get("symptoms", ()) for event in self._of("ticket", since)]
        return [str(symptom) for symptoms in found for symptom in symptoms]

    def windows_until(self, event: Event, since: datetime, moments: Sequence[datetime], window: int) -> int:
        """Windows of pictures taken from `since` up to the event, that one included."""
        return -(-sum(since <= moment <= _at(event) for moment in moments) // window)

    def flagged(self) -> set[tuple[str, str]]:
        """(kind, day) of every finding of every night."""
        return {(day["kind"], day["day"]) for night in self.nights.values() for day in night}

    def retrains(self) -> int:
        """How many were ordered."""
        return sum(event["kind"] == "retrain" and event["parameters"].get("what") == "ordered" for event in self.events)

    def _of(self, kind: str, since: datetime, until: datetime | None = None) -> Iterator[Event]:
        for event in self.events:
            if event["kind"] == kind and since <= _at(event) and (until is None or _at(event) < until):
                yield event


def figures(told: Told, changes: Changes, moments: Sequence[datetime], window: int, learned: int) -> list[Figure]:
    """What it made of each change, and of the days without one; `moments`: when each picture was taken; `learned`:
    windows."""
    note = f"{len(moments)} pictures in order of time, {window} a window, through agent, Mosquitto and monitor"
    false, last = told.drifts(until=changes.pitting), changes.unlabelled.isoformat()
    judged = sum(moment < changes.pitting for moment in moments) // window - learned
    before = f"in {judged} windows judged before pitting began, after {learned} learned; {note}"
    at_last = [day for day in told.nights[last] if (day["kind"], day["day"]) == (UNLABELLED, last)]
    others = told.flagged() - {(UNLABELLED, last)}
    named = "; ".join(f"{kind} {day}" for kind, day in sorted(others)) or "none"
    return [
        Figure(name="replayed_false_drifts", value=false, unit="drifts", note=before),
        _pitting(told, changes, moments, window),
        _crop(told, changes, moments, window),
        Figure(name="replayed_last_day", value=len(at_last), unit="of 1", note=_words(at_last)),
        Figure(name="replayed_other_days", value=len(others), unit="days", note=f"{len(told.nights)} nights; {named}"),
        Figure(name="replayed_retrains", value=told.retrains(), unit="retrains", note="ordered"),
        Figure(name="replayed_on_one_page", value=sum(told.shown.values()), unit="of 5", note=", ".join(told.shown)),
    ]


def by_learning(courses: Mapping[int, Sequence[Mapping[str, Any]]]) -> list[Figure]:
    """How far the answers depend on how long the profile was learned; `courses` as `replays.in_time` tells them."""
    pitting = {n: _taken_for(course, "pitting") for n, course in courses.items()}
    resized = [n for n, course in courses.items() if any(_RESIZED in said for one in course for said in one["said"])]
    right = [n for n, kind in pitting.items() if kind in (Kind.PRIOR, Kind.PRODUCT)]
    note = f"in memory, after {min(courses)} to {max(courses)} windows of learning"
    told = f"{note}: " + ", ".join(f"{n} {kind or 'nothing'}" for n, kind in pitting.items())
    return [
        Figure(name="replayed_learnings_pitting", value=len(right) / len(courses), unit="share", note=told),
        Figure(name="replayed_learnings_crop", value=len(resized) / len(courses), unit="share", note=note),
    ]


def _taken_for(course: Sequence[Mapping[str, Any]], part: str) -> str | None:
    """What its incident is taken for at the end of a part."""
    found: str | None = [window["incident"] for window in course if window["part"] == part][-1]
    return found


def _pitting(told: Told, changes: Changes, moments: Sequence[datetime], window: int) -> Figure:
    event = told.diagnosed(changes.pitting, changes.crop)
    right = event is not None and _kind(event) in (Kind.PRIOR, Kind.PRODUCT)
    note = _taken(told, event, changes.pitting, moments, window)
    return Figure(name="replayed_pitting", value=int(right), unit="of 1", note=f"prior or product; {note}")


def _crop(told: Told, changes: Changes, moments: Sequence[datetime], window: int) -> Figure:
    event = told.diagnosed(changes.crop) or told.ticket(changes.crop)
    tickets = told.tickets(changes.crop)
    right = event is not None and _kind(event) == Kind.SENSOR and Symptom.MOVED in tickets
    note = f"{_taken(told, event, changes.crop, moments, window)}; ticket: {', '.join(tickets)}"
    return Figure(name="replayed_crop", value=int(right), unit="of 1", note=f"the camera; {note}")


def _taken(told: Told, event: Event | None, since: datetime, moments: Sequence[datetime], window: int) -> str:
    if event is None:
        return "taken for nothing"
    windows = told.windows_until(event, since, moments, window)
    return f"taken for {_kind(event)} in window {windows}: {event['text']}"


def _kind(event: Event) -> str:
    return str(event["parameters"].get("diagnosis", Kind.SENSOR.value))


def _words(days: Sequence[Day]) -> str:
    return "; ".join(f"{d['labelled']} of {d['images']} labelled, about {d['expected']} look so" for d in days) or "no"


def _at(event: Event) -> datetime:
    return datetime.fromisoformat(event["at"]).astimezone(UTC)
