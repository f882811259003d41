"""Watches the monitor as a person at the pages would, and waits for things to happen."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import httpx

from contracts.errors import LinesideError, LinkError
from lineside.demo.narrator import Narrator
from lineside.demo.operator import Operator
from lineside.plant import Plant

_POLL_SECONDS = 0.25
_AWAY_SECONDS = 30.0


class StoryError(LinesideError):
    """Something that the story waits for did not happen in time."""


class Watcher:
    """Polls the monitor, tells every event once, lets the operator work meanwhile."""

    def __init__(self, plant: Plant, narrator: Narrator, operator: Operator) -> None:
        self._plant = plant
        self._narrator = narrator
        self.operator = operator
        self._client = httpx.Client(base_url=plant.monitor_url, timeout=30.0)
        self._last_event = 0
        self.events: list[dict[str, Any]] = []
        self._told: deque[str] = deque(maxlen=8)
        self.operator_works = True

    def get(self, path: str, **parameters: Any) -> Any:
        """JSON of a page of the monitor's API."""
        response = self._patiently(lambda: self._client.get(path, params=parameters))
        if not response.is_success:
            raise LinesideError(f"GET {path}: {response.status_code} {response.text[:300]}")
        return response.json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Post JSON as a click would."""
        response = self._patiently(lambda: self._client.post(path, json=body))
        if not response.is_success:
            raise LinesideError(f"POST {path}: {response.status_code} {response.text[:300]}")
        return response.json()

    def _patiently(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """The answer, however long the monitor is away while its process lives or is started again."""
        deadline = time.monotonic() + _AWAY_SECONDS
        while True:
            try:
                return ask()
            except httpx.TransportError as error:
                if not self._plant.tolerant:
                    self._plant.check()
                if time.monotonic() > deadline:
                    raise LinkError(f"the monitor does not answer: {error}; see its log") from error
                time.sleep(_POLL_SECONDS)

    def wait_until(self, happened: Callable[[], bool], what: str, *, patience_seconds: float) -> None:
        """Poll until `happened`. Raises StoryError naming `what` when patience runs out."""
        deadline = time.monotonic() + patience_seconds
        with self._narrator.working(f"waiting until {what} ..."):
            while True:
                self.poll()
                if happened():
                    return
                if time.monotonic() > deadline:
                    raise StoryError(f"waited {patience_seconds:.0f} s in vain until {what}")
                time.sleep(_POLL_SECONDS)

    def poll(self) -> None:
        """One round: services alive, new events told, the operator at work."""
        if not self._plant.tolerant:
            self._plant.check()
        for event in self.get("/v1/events", after=self._last_event, limit=500)["events"]:
            self._last_event = max(self._last_event, event["id"])
            self.events.append(event)
            self._tell(event)
        if self.operator_works:
            with contextlib.suppress(httpx.TransportError):  # somebody restarts a service; the questions stay
                self.operator.step()

    def _tell(self, event: dict[str, Any]) -> None:
        """One decision may enter the timeline several times (camera, incident, action): it is told once."""
        if event["text"] in self._told:
            return
        self._told.append(event["text"])
        self._narrator.say(f"{event['camera']}: {event['text']}" if event["camera"] else event["text"], mark="»")

    def seen(self, code: str, **wanted: Any) -> list[dict[str, Any]]:
        """Events of that code with the wanted parameters."""
        return [
            event
            for event in self.events
            if event["code"] == code and all(event["parameters"].get(key) == value for key, value in wanted.items())
        ]

    def agents(self) -> list[dict[str, Any]]:
        """All agents of the site, each with its cameras."""
        sites = self.get("/v1/fleet")["sites"]
        return [agent for site in sites for agent in site["agents"]]

    def cameras(self) -> list[dict[str, Any]]:
        """All cameras with their drift state, number of windows and bundle."""
        return [camera for agent in self.agents() for camera in agent["cameras"]]

    def releases(self) -> list[dict[str, Any]]:
        """All releases of the site, newest first."""
        releases: list[dict[str, Any]] = self.get("/v1/releases")["releases"]
        return releases

    def windows(self) -> dict[str, int]:
        """Windows that have arrived, by camera."""
        return {camera["camera"]: camera["windows"] for camera in self.cameras()}

    def all_cameras(self, count: int, state: str) -> bool:
        """Whether `count` cameras are known and all are in that state."""
        cameras = self.cameras()
        return len(cameras) == count and all(camera["state"] == state for camera in cameras)

    def drifts(self) -> list[dict[str, Any]]:
        """Drifts raised so far."""
        return self.seen("drift")

    def retrains(self) -> list[dict[str, Any]]:
        """Retrains ordered so far."""
        return self.seen("governor-go", what="ordered")

    def tickets(self) -> list[dict[str, Any]]:
        """Open incidents of a camera that needs a hand."""
        incidents = self.get("/v1/incidents", state="open")["incidents"]
        return [incident for incident in incidents if incident["diagnosis"] == "sensor"]

    def release(self, number: int) -> dict[str, Any]:
        """The release of that number."""
        return next(release for release in self.releases() if release["number"] == number)

    def active(self) -> dict[str, Any]:
        """The release that is served."""
        return next(release for release in self.releases() if release["state"] == "active")

    def agent_follows(self) -> bool:
        """Whether every agent serves the active release."""
        return {agent["bundle_hash"] for agent in self.agents()} == {self.active()["bundle_hash"]}

    def candidates(self) -> list[dict[str, Any]]:
        """All candidates of the site, newest first."""
        candidates: list[dict[str, Any]] = self.get("/v1/releases")["candidates"]
        return candidates

    def retrained(self) -> list[dict[str, Any]]:
        """Candidates that retrains have brought."""
        return [entry for entry in self.candidates() if entry["origin"] == "retrain"]

    def refusals(self) -> str:
        """Why retrained candidates were refused; empty when none was."""
        refused = [entry for entry in self.retrained() if entry["state"] == "refused"]
        return "; ".join(entry["closing"] or "" for entry in refused)

    def why_closed(self, bundle_hash: str) -> str:
        """What is recorded as the end of that bundle's candidate."""
        return next((entry["closing"] or "" for entry in self.candidates() if entry["bundle_hash"] == bundle_hash), "")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self.operator.close()
