"""The demo's operator: answers labels late and sometimes wrongly, through the interface that a person's click uses.

It knows the truth from the stream's log, and nothing else: it sees neither verdicts nor scores.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from lineside.stream.truth import Truth, TruthReader

RATER = "operator-7"


@dataclass(frozen=True)
class Habits:
    """How the operator works."""

    late_seconds: float = 1.0  # between seeing a question and answering it
    wrong_share: float = 0.03
    override_share: float = 0.5  # of the wrong verdicts that pass by, how many are noticed and reported


class Operator:
    """Works through the label queue. `step` is called again and again; it never blocks for long."""

    def __init__(self, monitor_url: str, truth: TruthReader, habits: Habits, *, seed: int) -> None:
        self._client = httpx.Client(base_url=monitor_url, timeout=20.0)
        self._truth = truth
        self._habits = habits
        self._random = random.Random(seed)
        self._known: dict[str, Truth] = {}
        self._waiting: deque[tuple[float, str, str, list[str]]] = deque()
        self._asked: set[str] = set()
        self.answered = 0
        self.mistakes = 0
        self.relabel: Callable[[str], str] = lambda label: label

    def learn(self) -> list[Truth]:
        """Read what the line has made since the last call."""
        fresh = list(self._truth.new())
        for truth in fresh:
            self._known[truth.part_id] = truth
        return fresh

    def truth_of(self, part_id: str) -> Truth | None:
        """The truth of a part that the line has made."""
        return self._known.get(part_id)

    def step(self) -> int:
        """Look at the queue, answer what is due; returns how many labels were given."""
        self.learn()
        self._notice()
        return self._answer()

    def _notice(self) -> None:
        response = self._client.get("/v1/labels/queue", params={"limit": 500})
        response.raise_for_status()
        queue = response.json()
        labels = queue["labels"]
        for item in queue["items"]:
            if item["image_id"] not in self._asked and item["part_id"] in self._known:
                self._asked.add(item["image_id"])
                due = time.monotonic() + self._habits.late_seconds
                self._waiting.append((due, item["image_id"], item["part_id"], labels))

    def _answer(self) -> int:
        given = 0
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, image_id, part_id, labels = self._waiting.popleft()
            answer = {"image_id": image_id, "label": self._label(part_id, labels), "rater": RATER}
            response = self._client.post("/v1/labels", json=answer)
            if response.status_code not in (200, 201, 409, 410):  # 409, 410: somebody was faster, or it expired
                response.raise_for_status()
            given += response.is_success
        self.answered += given
        return given

    def _label(self, part_id: str, labels: list[str]) -> str:
        true = self.relabel(self._known[part_id].label)
        if self._random.random() >= self._habits.wrong_share:
            return true
        self.mistakes += 1
        return self._random.choice([label for label in labels if label != true] or [true])

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
