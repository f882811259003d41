"""Images kept on the station, for labelling and replay, under a disk quota.

A random share of all parts is kept (drawn by part id, without looking at the answer), and on top of it what is worth a
label for what it shows or for what was said of it (`edge_agent.worth`). When the quota is reached the oldest go, of the
reason that has most beyond its share, and are counted: the random share is never crowded out. What a region of interest
leaves out is blackened before an image touches the disk.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from contracts.errors import QuotaError
from contracts.frame import Verdict
from edge_agent.draw import draw
from edge_agent.fresh import Fresh
from edge_agent.inspection import Inspection
from edge_agent.keepsake import Keepsake, Written
from edge_agent.kept import AT_ONCE, OLDEST, OLDEST_WAITING, RECORDED_BEFORE, Index, KeptImage
from edge_agent.store import Store
from edge_agent.worth import SHARES, Extremes, Worth, margin, subject_of

_log = logging.getLogger(__name__)
_TRIMMED_TO = 0.95  # of the quota, so that trimming does not run for every image


class ImageBuffer:
    """A ring of image files with its index in the agent's database. `fresh_bytes`: memory for the newest images that
    are not kept, in case somebody contradicts their verdicts."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        *,
        quota_bytes: int,
        random_fraction: float,
        atypical_fraction: float,
        unsure_fraction: float = 0.0,
        fresh_bytes: int = 0,
    ) -> None:
        self._folder = folder
        self._index = Index(store, folder)
        self._quota_bytes = quota_bytes
        self._random_fraction = random_fraction
        self.audit_fraction = 0.0
        """Share of parts that the permanent audit draws; kept as well."""
        self._far, self._unsure = Extremes(atypical_fraction), Extremes(unsure_fraction)
        self._fresh = Fresh(fresh_bytes)
        self._lock = threading.Lock()
        self._written = 0
        self.dropped = 0
        """Images that the quota or a full disk cost since the start."""
        self.contradicted = 0
        """How often somebody contradicted the verdict on an image that is kept, since the start."""
        folder.mkdir(parents=True, exist_ok=True)
        self._index.reconcile()
        self._bytes = self._index.sizes()

    @property
    def kept_bytes(self) -> int:
        """Of all images on disk."""
        return sum(self._bytes.values())

    def offer(self, inspection: Inspection) -> Written | None:
        """Keep the image or not. The file is written at once; what is returned writes its row, within a commit."""
        if inspection.pixels is None or inspection.vector is None or self._quota_bytes == 0:
            return None
        picked, image = self._stands_out(inspection), Keepsake.of(inspection)
        worth = Worth.RANDOM if self._drawn(inspection.verdict.frame.part_id) else picked
        if worth is None:
            self._fresh.add(image)
            return None
        return self._keep(image, worth)

    def said(self, verdict: Verdict, *, wrong: bool) -> None:
        """Somebody says what the part is: where that contradicts the verdict its image is kept for it, if it is still
        there. It does not change what is drawn at random. Raises QuotaError where that cannot be written, and keeps the
        image where it is said again."""
        frame = verdict.frame
        marked, moved = self._index.mark(frame.part_id, frame.camera, wrong=wrong)
        for row in moved:
            self._count(Worth(row["reason"]), -row["bytes"])
            self._count(Worth.OVERRULED, row["bytes"])
        image = self._fresh.take(frame.part_id, frame.camera) if wrong and not marked else None
        kept = image is not None and self._keep_now(image, Worth.OVERRULED)
        self.contradicted += wrong and (marked or kept)

    def trim(self) -> int:
        """Drop the oldest images until the quota is kept, a few at a time, of whatever has most beyond its share; those
        waiting for their upload go last. Returns how many."""
        if self.kept_bytes <= self._quota_bytes:
            return 0
        self._bytes = self._index.sizes()  # rows of a commit that failed were counted, and are written again
        target, dropped = int(self._quota_bytes * _TRIMMED_TO), 0
        while (excess := self.kept_bytes - target) > 0:
            beyond = {worth: self._bytes[worth] - share * target for worth, share in SHARES.items()}
            worth = max(beyond, key=lambda each: beyond[each])
            limit = min(float(excess), beyond[worth])
            went = self._drop(OLDEST, worth, excess=limit) or self._drop(OLDEST_WAITING, worth, excess=limit)
            if went == 0:
                break
            dropped += went
        self.dropped += dropped
        return dropped

    def forget_before(self, moment: datetime) -> None:
        """Delete what was kept earlier (retention)."""
        while self._drop(RECORDED_BEFORE, moment.timestamp()) == AT_ONCE:
            pass

    def size(self) -> tuple[int, int]:
        """(images, bytes) on disk."""
        return self._index.count(), self.kept_bytes

    def find(self, number: int) -> KeptImage | None:
        """The image of that number while it is kept."""
        return self._index.find(number)

    def newest_drawn(self, limit: int) -> list[KeptImage]:
        """The newest images of the random share, oldest first."""
        return self._index.newest_drawn(limit)

    def _drawn(self, part_id: str) -> bool:
        return draw("buffer", part_id) < self._random_fraction or draw("audit", part_id) < self.audit_fraction

    def _stands_out(self, inspection: Inspection) -> Worth | None:
        """For what the image is picked, if for anything. Learns from each image, drawn or not."""
        verdict = inspection.verdict
        subject, near = subject_of(verdict), margin(verdict)
        far = self._far.stands_out(subject, inspection.distance)
        unsure = self._unsure.stands_out(subject, None if near is None else -near)
        return Worth.ATYPICAL if far else Worth.UNSURE if unsure else None

    def _keep(self, image: Keepsake, worth: Worth) -> Written | None:
        """Write the file; what is returned writes its row. None where the disk takes no file."""
        data, suffix = image.file()
        name = self._write(data, suffix)
        if name is None:
            return None
        return Written(lambda: self._enter(image, name, len(data), worth), lambda: self._forget(name))

    def _keep_now(self, image: Keepsake, worth: Worth) -> bool:
        """Write file and row of an image that was fresh; whether both are there. Else neither is, and it is fresh
        again. Raises QuotaError where the database takes no row."""
        written = self._keep(image, worth)
        if written is None:
            self._fresh.put_back(image)
            return False
        try:
            written()
        except QuotaError:
            self._fresh.put_back(image)
            written.undo()
            raise
        return True

    def _enter(self, image: Keepsake, name: str, size: int, worth: Worth) -> None:
        self._index.add(image, name, size, worth)
        self._count(worth, size)

    def _drop(self, query: str, *values: float | str, excess: float = float("inf")) -> int:
        rows = self._index.drop(query, *values, excess=excess)
        for row in rows:
            self._count(Worth(row["reason"]), -row["bytes"])
            (self._folder / row["file"]).unlink(missing_ok=True)
        return len(rows)

    def _write(self, data: bytes, suffix: str) -> str | None:
        with self._lock:
            self._written += 1
            name = f"{time.time_ns():x}-{self._written}{suffix}"
        try:
            (self._folder / name).write_bytes(data)
        except OSError as error:
            (self._folder / name).unlink(missing_ok=True)
            self.dropped += 1
            _log.warning("cannot keep an image in %s: %s; free disk space", self._folder, error)
            return None
        return name

    def _forget(self, name: str) -> None:
        """Delete a file without a row. One that a broken disk does not let go goes at the next start."""
        with suppress(OSError):
            (self._folder / name).unlink(missing_ok=True)

    def _count(self, worth: Worth, size: int) -> None:
        with self._lock:
            self._bytes[worth] += size
