"""The demo's operator: answers labels late and sometimes wrongly, through the interface that a person's click uses.

It knows the truth from the stream's log, and nothing else: it sees neither verdicts nor scores.
"""

from __future__ import annotations

import random
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import httpx

from lineside.plant import Plant
from lineside.stream.truth import Truth, TruthReader

RATER = "operator-7"


@dataclass(frozen=True)
class Habits:
    """How the operator works."""

    late_seconds: float = 1.0  # between seeing a question and answering it
    wrong_share: float = 0.03
    override_share: float = 0.5  # of the wrong verdicts that pass by, how many are noticed and reported


class Operator:
    """Works through the label queue and reports wrong verdicts. `step` is called again and again; it never waits."""

    def __init__(
        self, plant: Plant, truth: TruthReader, habits: Habits, *, good_labels: tuple[str, ...], seed: int
    ) -> None:
        self._monitor = httpx.Client(base_url=plant.monitor_url, timeout=20.0)
        self._agent = httpx.Client(base_url=plant.agent_url, timeout=20.0)
        self._truth = truth
        self._habits = habits
        self._good = good_labels
        self._random = random.Random(seed)
        self._known: dict[str, Truth] = {}
        self._waiting: deque[tuple[float, str, str, list[str]]] = deque()
        self._asked: set[str] = set()
        self._looked_at = 0
        self.reports_wrong_verdicts = False
        self.answered = 0
        self.mistakes = 0
        self.overridden = 0

    def step(self) -> None:
        """Look at the queue, answer what is due, report wrong verdicts where that is the operator's work now."""
        for truth in self._truth.new():
            self._known[truth.part_id] = truth
        self._notice()
        self._answer()
        if self.reports_wrong_verdicts:
            self._override()

    def _notice(self) -> None:
        queue = _json(self._monitor.get("/v1/labels/queue", params={"limit": 500}))
        for item in queue["items"]:
            if item["image_id"] not in self._asked and item["part_id"] in self._known:
                self._asked.add(item["image_id"])
                due = time.monotonic() + self._habits.late_seconds
                self._waiting.append((due, item["image_id"], item["part_id"], item.get("labels") or queue["labels"]))

    def _answer(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, image_id, part_id, labels = self._waiting.popleft()
            answer = {"image_id": image_id, "label": self._label(part_id, labels), "rater": RATER}
            response = self._monitor.post("/v1/labels", json=answer)
            if response.status_code not in (201, 409, 410):  # 409, 410: somebody was faster, or it is no longer asked
                response.raise_for_status()
            self.answered += response.status_code == 201

    def _label(self, part_id: str, labels: list[str]) -> str:
        true = self._known[part_id].label
        if self._random.random() >= self._habits.wrong_share:
            return true
        self.mistakes += 1
        return self._random.choice([label for label in labels if label != true] or [true])

    def _override(self) -> None:
        """Press "wrong, it is ..." for some of the wrong verdicts among the last ones."""
        entries = _json(self._agent.get("/v1/verdicts", params={"limit": 300}))["verdicts"]
        for entry in entries:
            if entry["number"] > self._looked_at:
                self._judge(entry["verdict"])
        self._looked_at = max([self._looked_at, *(entry["number"] for entry in entries)])

    def _judge(self, verdict: dict[str, Any]) -> None:
        truth = self._known.get(verdict["frame"]["part_id"])
        if truth is None or verdict["decision"] == "NO_VERDICT":
            return
        wrong = (verdict["decision"] != "OK") != (truth.label not in self._good)
        if wrong and self._random.random() < self._habits.override_share:
            camera = verdict["frame"]["camera"]
            body = {"part_id": truth.part_id, "camera": camera, "label": truth.label, "rater": RATER, "new": True}
            self._agent.post("/v1/outcomes", json=body).raise_for_status()
            self.overridden += 1

    def close(self) -> None:
        """Close the connections."""
        self._monitor.close()
        self._agent.close()


def _json(response: httpx.Response) -> Any:
    response.raise_for_status()
    return response.json()
