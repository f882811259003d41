"""Active bundle and candidate side by side on the same images."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy.orm import Session

from contracts.bundle import Manifest
from contracts.errors import BundleError, LinkError
from monitor.blobs import Blobs
from monitor.bundles import BundleShelf
from monitor.evaluation import Answers, LabelledImage, Request, evaluate
from monitor.store.rollout_tables import BundleRow


class Comparing:
    """Runs evaluations. `scratch` takes their files; `stopping` cuts them short."""

    def __init__(
        self, blobs: Blobs, shelf: BundleShelf, *, scratch: Path, threads: int, stopping: Callable[[], bool]
    ) -> None:
        self.blobs = blobs
        self._shelf = shelf
        self._scratch, self._threads, self._stopping = scratch, threads, stopping

    @property
    def image_folder(self) -> Path:
        """Where images lie that the blob store keeps elsewhere."""
        return self._scratch / "images"

    def answers(
        self, name: str, candidate: str, active: str | None, images: Sequence[LabelledImage]
    ) -> dict[str, Answers]:
        """Answers of both bundles. Raises BundleError where the candidate has none, LinkError where that is no fault of
        its own."""
        bundles = {"candidate": self._shelf.path(candidate)}
        if active is not None:
            bundles["active"] = self._shelf.path(active)
        folder = self._scratch / name
        request = Request(bundles=bundles, images=tuple(images), threads=self._threads)
        try:
            found = evaluate(request, folder=folder, stopping=self._stopping)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if "active" in found.errors:
            raise LinkError(
                f"the active bundle cannot be evaluated, so nothing can be compared: {found.errors['active']}"
            )
        if found.errors:
            raise BundleError(found.errors["candidate"])
        return found.answers


def manifest_of(session: Session, bundle_hash: str) -> Manifest:
    """The manifest of a stored bundle."""
    return Manifest.model_validate(session.get_one(BundleRow, bundle_hash).manifest)
