"""The process that obeys a retrain order: started, recognised after a restart of the monitor, ended.

Whether it succeeded is told by the bundle it leaves and by nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from contracts.errors import BundleError, OrderError
from contracts.orders import Retrain
from monitor.job_process import JobProcesses
from runtime.bundle import Bundle, open_bundle


class Trainer:
    """Starts, watches and ends retrain processes. `command` gets `--order FILE --out DIR` appended."""

    def __init__(self, command: Sequence[str], *, folder: Path, threads: int) -> None:
        self._command = tuple(command)
        self._folder = folder
        self._threads = threads
        self.processes = JobProcesses()

    def labels_path(self, order_id: str) -> Path:
        """Where the order's labels lie."""
        return self._folder / order_id / "labels.csv"

    def attempt_folder(self, order_id: str, attempt: int) -> Path:
        """Where one attempt writes. Each has its own, so that a broken one never mixes with the next."""
        return self._folder / order_id / f"attempt-{attempt}"

    def start(self, order: Retrain, *, attempt: int) -> int:
        """Begin one attempt; returns the pid. Raises OrderError where the command cannot be started."""
        if not self._command:
            raise OrderError("no retrain command is set; set retraining.command, for example to `lineside retrain ...`")
        out = self.attempt_folder(order.order_id, attempt)
        out.parent.mkdir(parents=True, exist_ok=True)
        file = out.parent / "order.json"
        file.write_text(order.model_dump_json(indent=1), encoding="utf-8")
        command = (*self._command, "--order", str(file), "--out", str(out))
        try:
            return self.processes.start(command, out, threads=self._threads)
        except OSError as error:
            raise OrderError(f"the retrain command {self._command[0]!r} cannot be started: {error}") from error

    def running(self, order_id: str, attempt: int) -> bool:
        """Whether the attempt's process still works; collects it when it was our own and has ended."""
        return self.processes.running(self.attempt_folder(order_id, attempt))

    def used_bytes(self, order_id: str, attempt: int) -> int:
        """Memory that the attempt's process and all it started hold now, resident; 0 when it has ended."""
        return self.processes.used_bytes(self.attempt_folder(order_id, attempt))

    def end(self, order_id: str, attempt: int) -> None:
        """Kill the attempt's process with all it started, and nothing else."""
        self.processes.end(self.attempt_folder(order_id, attempt))

    def progress(self, order_id: str, attempt: int) -> str | None:
        """The newest line the process wrote."""
        return self.processes.last_line(self.attempt_folder(order_id, attempt))

    def result(self, order_id: str, attempt: int) -> Bundle:
        """The bundle that an ended attempt left. Raises BundleError with what the process said last."""
        try:
            return open_bundle(self.attempt_folder(order_id, attempt) / "bundle")
        except BundleError as error:
            said = self.progress(order_id, attempt) or "nothing"
            raise BundleError(f"the trainer left no usable bundle ({error}); its last words: {said}") from error
