"""Whole demos as parts of a benchmark: one child process each, its report and its log kept in a folder."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from contracts.report import Report
from lineside.process import Child


class Stage:
    """Plays demos. A report `NAME.json` that `folder` has from an earlier run is taken as it is; a demo that runs for
    more than `limit_seconds` is ended as Ctrl-C would end it, with all its services."""

    def __init__(self, folder: Path, *, limit_seconds: float) -> None:
        self.folder, self.limit_seconds = folder, limit_seconds
        self._running: list[Child] = []
        self._closed = threading.Event()

    def play(self, name: str, arguments: Sequence[str]) -> Report | None:
        """One demo with these arguments; None when it left no report."""
        path = self.folder / f"{name}.json"
        if not path.exists() and not self._closed.is_set():
            self._run(name, [*arguments, "--report", str(path)])
            if self._closed.is_set():
                path.unlink(missing_ok=True)  # of a demo that was interrupted: play it again next time
        return Report.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None

    def play_all(self, plays: Sequence[tuple[str, Sequence[str]]], *, parallel: int = 1) -> list[Report | None]:
        """All demos, `parallel` at once, in the order given. An interruption ends those that run."""
        with ThreadPoolExecutor(parallel) as pool:
            waiting: list[Callable[[], Report | None]] = [
                pool.submit(self.play, name, arguments).result for name, arguments in plays
            ]
            try:
                return [result() for result in waiting]
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """End what runs; nothing starts any more."""
        self._closed.set()
        for demo in list(self._running):
            demo.stop(patience_seconds=60.0)

    def _run(self, name: str, arguments: Sequence[str]) -> None:
        command = [sys.executable, "-m", "lineside", "demo", "--no-stay", *arguments]
        demo = Child(name, command, self.folder / f"{name}.log")
        demo.start()
        self._running.append(demo)
        try:
            if demo.process is not None:
                demo.process.wait(self.limit_seconds)
        except subprocess.TimeoutExpired:
            print(f"{name}: took more than {self.limit_seconds:.0f} s", flush=True)
        finally:
            demo.stop(patience_seconds=60.0)
            self._running.remove(demo)
        code = demo.process.returncode if demo.process else None
        print(f"{name}: ended with code {code}, see {demo.log}", flush=True)


def values_of(report: Report | None) -> dict[str, float | None]:
    """Its figures by name; none without a report."""
    return {} if report is None else {figure.name: figure.value for figure in report.figures}
