"""The demo's people who answer for a candidate that the gate leaves to a person.

A small gold set can look worse by chance. They let a candidate go on where that is the only doubt, since its shadow was
clean, and stop it where new labels speak against it. The planted wrong release gets its word from the rater whose
convention it follows: people can be wrong too, and the line then shows it.
"""

from __future__ import annotations

from typing import Any, Protocol

from lineside.demo.narrator import Narrator

_GOLD_DOUBT = "gate-gold-doubtful"
_STOPS = frozenset({"gate-new-not-better"})


class Pages(Protocol):
    """The monitor's API, as `Watcher` offers it."""

    def candidates(self) -> list[dict[str, Any]]:
        """All candidates of the site."""
        ...

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Post JSON as a click would."""
        ...


class Engineer:
    """`step` answers every candidate of this origin that waits for people; `asked` counts the answers."""

    def __init__(
        self, watcher: Pages, narrator: Narrator, *, name: str = "engineer-1", origin: str = "retrain"
    ) -> None:
        self._watcher, self._narrator, self._name, self._origin = watcher, narrator, name, origin
        self._answered: set[str] = set()

    @property
    def asked(self) -> int:
        """Candidates that needed a person."""
        return len(self._answered)

    def step(self) -> None:
        """Approve or reject each of them, once."""
        for candidate in self._watcher.candidates():
            if candidate["state"] == "approving" and candidate["origin"] == self._origin:
                self._answer(candidate["candidate_id"], candidate["release_number"], _codes(candidate["gate"]))

    def _answer(self, candidate_id: str, release: int, codes: set[str]) -> None:
        if candidate_id in self._answered:
            return
        self._answered.add(candidate_id)
        said = "approve" if may_go_on(codes) else "reject"
        reason = "clean in the shadow; only the small gold set is in doubt" if said == "approve" else "not better"
        self._narrator.say(f"the gate asks for a person; {self._name} says {said}: {reason}", mark="☞")
        self._watcher.post(f"/v1/releases/{release}/{said}", {"by": self._name, "reason": reason})


def may_go_on(codes: set[str]) -> bool:
    """Whether the gate's doubts are about the gold set alone.

    >>> may_go_on({"gate-gold-doubtful", "gate-gold-few"}), may_go_on({"gate-gold-doubtful", "gate-new-not-better"})
    (True, False)
    """
    return _GOLD_DOUBT in codes and not codes & _STOPS


def _codes(gate: dict[str, list[dict[str, str]]]) -> set[str]:
    return {reason["code"] for reason in gate["reasons"]}
