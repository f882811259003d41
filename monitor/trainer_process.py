"""The process that obeys a retrain order: started, recognised after a restart of the monitor, ended.

It leads a session of its own, so it outlives a kill of the monitor; its `--out` folder, which no other process has, is
what it is recognised by. Whether it succeeded is told by the bundle it leaves and by nothing else.
"""

from __future__ import annotations

import contextlib
import csv
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from contracts.errors import BundleError, OrderError
from contracts.orders import Retrain
from monitor.blobs import Blobs
from monitor.store.label_tables import ImageRow, LabelRow
from runtime.bundle import Bundle, open_bundle

LABEL_COLUMNS = ("path", "label", "group", "part_id", "source", "split")
TAIL_BYTES = 4000

_log = logging.getLogger(__name__)
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/bmp": ".bmp", "image/tiff": ".tif"}


class Trainer:
    """Starts, watches and ends retrain processes. `command` gets `--order FILE --out DIR` appended."""

    def __init__(self, command: Sequence[str], *, folder: Path, threads: int) -> None:
        self._command = tuple(command)
        self._folder = folder
        self._threads = threads
        self._children: dict[Path, subprocess.Popen[bytes]] = {}

    def labels_path(self, order_id: str) -> Path:
        """Where the order's labels lie."""
        return self._folder / order_id / "labels.csv"

    def attempt_folder(self, order_id: str, attempt: int) -> Path:
        """Where one attempt writes. Each has its own, so that a broken one never mixes with the next."""
        return self._folder / order_id / f"attempt-{attempt}"

    def write_labels(self, order_id: str, rows: Sequence[tuple[LabelRow, ImageRow]], blobs: Blobs) -> int:
        """Write the labels and their images for the trainer; returns how many."""
        path = self.labels_path(order_id)
        images = path.parent / "images"
        images.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        with draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, LABEL_COLUMNS)
            writer.writeheader()
            for label, image in rows:
                name = f"{image.image_id}{_SUFFIXES.get(image.media_type, '')}"
                _place(blobs, image.blob, images / name)
                writer.writerow(
                    {
                        "path": str(Path("images") / name),
                        "label": label.label,
                        "group": label.part_id,
                        "part_id": label.part_id,
                        "source": label.source,
                        "split": label.use,
                    }
                )
        os.replace(draft, path)
        return len(rows)

    def start(self, order: Retrain, *, attempt: int) -> int:
        """Begin one attempt; returns the pid. Raises OrderError where the command cannot be started."""
        if not self._command:
            raise OrderError("no retrain command is set; set retraining.command, for example to `lineside retrain ...`")
        out = self.attempt_folder(order.order_id, attempt)
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        file = out.parent / "order.json"
        file.write_text(order.model_dump_json(indent=1), encoding="utf-8")
        with (out / "log.txt").open("wb") as log:
            try:
                child = subprocess.Popen(
                    [*self._command, "--order", str(file), "--out", str(out)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={**os.environ, "OMP_NUM_THREADS": str(self._threads), "PYTHONUNBUFFERED": "1"},
                )
            except OSError as error:
                raise OrderError(f"the retrain command {self._command[0]!r} cannot be started: {error}") from error
        self._children[out] = child
        return child.pid

    def running(self, order_id: str, attempt: int) -> bool:
        """Whether the attempt's process still works; collects it when it was our own and has ended."""
        out = self.attempt_folder(order_id, attempt)
        child = self._children.get(out)
        if child is None:
            return _leader_of(out) is not None
        if child.poll() is None:
            return True
        del self._children[out]
        return False

    def used_bytes(self, order_id: str, attempt: int) -> int:
        """Memory that the attempt's process and all it started hold now, resident; 0 when it has ended."""
        child = self._children.get(self.attempt_folder(order_id, attempt))
        leader = child.pid if child is not None else _leader_of(self.attempt_folder(order_id, attempt))
        return 0 if leader is None else sum(_resident_of_group(leader))

    def end(self, order_id: str, attempt: int) -> None:
        """Kill the attempt's process with all it started, and nothing else."""
        out = self.attempt_folder(order_id, attempt)
        child = self._children.pop(out, None)
        pid = child.pid if child is not None and child.poll() is None else _leader_of(out)
        if pid is not None:
            _log.warning("ending retrain process %d of %s", pid, order_id)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        if child is not None:
            child.wait()

    def progress(self, order_id: str, attempt: int) -> str | None:
        """The newest line the process wrote."""
        try:
            with (self.attempt_folder(order_id, attempt) / "log.txt").open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - TAIL_BYTES))
                lines = file.read().decode("utf-8", errors="replace").split("\n")
        except OSError:
            return None
        written = [line.strip() for line in lines if line.strip()]
        return written[-1][:500] if written else None

    def result(self, order_id: str, attempt: int) -> Bundle:
        """The bundle that an ended attempt left. Raises BundleError with what the process said last."""
        try:
            return open_bundle(self.attempt_folder(order_id, attempt) / "bundle")
        except BundleError as error:
            said = self.progress(order_id, attempt) or "nothing"
            raise BundleError(f"the trainer left no usable bundle ({error}); its last words: {said}") from error


def _leader_of(out: Path) -> int | None:
    """The live process that leads its group and was started with `--out` that folder (Linux: read from /proc)."""
    wanted = os.fsencode(str(out))
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        state, group = fields[0], int(fields[2])
        if wanted in arguments and group == int(entry.name) and state not in ("Z", "X"):
            return group
    return None


def _resident_of_group(leader: int) -> Iterator[int]:
    """Bytes that each process of a group holds (Linux: read from /proc)."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[2]) == leader:
                yield int((entry / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError, ValueError):
            continue  # it has just ended


def _place(blobs: Blobs, name: str, target: Path) -> None:
    """Give the trainer its own name for an image: a hard link where that works, else a copy."""
    if target.exists():
        return
    source = blobs.local_path(name)
    if source is not None:
        try:
            os.link(source, target)
        except OSError:
            _log.debug("no hard link to %s; copying", source)
        else:
            return
    target.write_bytes(blobs.read(name))
