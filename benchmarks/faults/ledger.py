"""Trials that are kept one by one: a line of JSON each, under the name of the trial and the code that played it."""

from __future__ import annotations

import argparse
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.accuracy.cells import code_hash
from lineside.machine import describe_commit
from lineside.progress import shown_progress

_code = cache(code_hash)  # as it was at the start
Play = Callable[[str], dict[str, Any]]
"""Plays the trial of that name and returns what was found, as JSON."""


@dataclass(frozen=True)
class Outcome:
    """One trial that was played. `at` is ISO 8601, `seconds` what it took; `current`: by the code as it is now."""

    trial: str
    found: dict[str, Any]
    at: str
    seconds: float
    commit: str
    current: bool


class Ledger:
    """The trials of one part, in `folder/PART.jsonl`; lines are only ever added. `modules` are those whose code, with
    all that they import, decides the outcomes. What other code has played counts only where `older` is set;
    nothing is played where `recall` is."""

    def __init__(
        self, folder: Path, part: str, modules: Sequence[str], *, older: bool = False, recall: bool = False
    ) -> None:
        self.part, self._recall = part, recall
        self._path = folder / f"{part}.jsonl"
        self._older = older
        self._writing = threading.Lock()
        self._code = hashlib.sha256("".join(map(_code, modules)).encode()).hexdigest()[:16]

    @classmethod
    def of(cls, options: argparse.Namespace, part: str, *modules: str) -> Ledger:
        """As the command line says."""
        return cls(options.folder, part, modules, older=options.older, recall=options.recall)

    def kept(self) -> list[Outcome]:
        """All that were played; of a trial played twice the last one."""
        return list({outcome.trial: outcome for outcome in self._read() if outcome.current or self._older}.values())

    def outcomes(self, trials: Sequence[str]) -> list[Outcome]:
        """Of those trials that were played, in their order; of a trial played twice the last one."""
        known = {outcome.trial: outcome for outcome in self.kept()}
        return [known[trial] for trial in trials if trial in known]

    def play(self, trials: Sequence[str], play: Play, *, at_once: int = 1) -> list[Outcome]:
        """Play those trials that were not, so many `at_once`, and keep each as it ends; returns all outcomes. An error
        of a trial or Ctrl-C ends the run, after the trials under way, which are kept."""
        if self._recall:
            return self.kept()
        played = {outcome.trial for outcome in self.outcomes(trials)}
        missing = [trial for trial in trials if trial not in played]
        began = time.monotonic()
        with shown_progress() as progress, ThreadPoolExecutor(at_once) as pool:
            waiting = iter(missing)
            running = {self._begin(pool, play, trial) for trial in islice(waiting, at_once)}
            done = 0
            while running:
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    future.result()
                    done += 1
                    left = (time.monotonic() - began) / done * (len(missing) - done)
                    progress(self.part, (len(played) + done) / len(trials), f"about {left / 60:.0f} min left")
                    running |= {self._begin(pool, play, trial) for trial in islice(waiting, 1)}
        return self.outcomes(trials)

    def _begin(self, pool: ThreadPoolExecutor, play: Play, trial: str) -> Future[None]:
        return pool.submit(lambda: self._keep(self._played(play, trial)))

    def _played(self, play: Play, trial: str) -> dict[str, Any]:
        began, at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
        found = play(trial)
        return {
            "trial": trial,
            "code": self._code,
            "commit": describe_commit(),
            "at": at,
            "seconds": round(time.monotonic() - began, 3),
            "found": found,
        }

    def _keep(self, line: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._writing, self._path.open("a", encoding="utf-8") as file:
            file.write("\n" * self._cut_short() + json.dumps(line) + "\n")

    def _cut_short(self) -> bool:
        """The last line has no end."""
        return bool(text := self._path.read_bytes()) and not text.endswith(b"\n")

    def _read(self) -> Iterator[Outcome]:
        """A line that was cut short by a kill is a trial that was not played."""
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        for text in lines:
            try:
                line = json.loads(text)
                current = line.pop("code") == self._code
                yield Outcome(**line, current=current)
            except (ValueError, TypeError, KeyError):
                continue


def count(options: argparse.Namespace, *, all_of_them: int, quick: int) -> int:
    """How many trials of a part are asked for."""
    most = quick if options.quick else all_of_them
    return most if options.trials is None else min(options.trials, most)


def told(failures: int, trials: int) -> str:
    """What so many failures in so many trials say of the rate.

    >>> told(0, 1000)
    '0 in 1000: a rate below 0.3 % (95 %)'
    >>> told(2, 10)
    '2 in 10'
    """
    if failures or trials < 10:
        return f"{failures} in {trials}"
    return f"0 in {trials}: a rate below {300 / trials:.2g} % (95 %)"


def provenance(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """When, by which commits and in how long the trials were played; for a report's details."""
    return {
        "trials": len(outcomes),
        "by_older_code": sum(not outcome.current for outcome in outcomes),
        "first": min((outcome.at for outcome in outcomes), default=None),
        "last": max((outcome.at for outcome in outcomes), default=None),
        "commits": sorted({outcome.commit[:12] for outcome in outcomes}),
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 1),
    }
