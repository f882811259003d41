"""The HTTP API under `/v1`: what a person's click and the automation use alike. Thin: reading is `queries`, acting is
`desk`, and a LinesideError becomes an answer that names the offender and the remedy."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, HTTPException, Query, Response, UploadFile
from PIL import Image, UnidentifiedImageError
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from contracts.frame import PICKED_SOURCES, RANDOM_SOURCES
from contracts.names import Identifier, Name
from contracts.upload import ImageUpload
from monitor import queries
from monitor.benchmark_api import add_benchmarks
from monitor.blobs import Blobs
from monitor.carried import add_carried
from monitor.desk import Desk
from monitor.label_api import add_labels
from monitor.label_check_api import add_label_check
from monitor.retrain_api import add_retrains
from monitor.rollup import SPANS, By, rolled_up, windows_between
from monitor.store.database import Store
from monitor.store.label_tables import ImageRow
from monitor.threshold_api import add_thresholds

MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "BMP": "image/bmp", "TIFF": "image/tiff"}
LARGEST_IMAGE_PIXELS = 100_000_000
ASKABLE = (*sorted(RANDOM_SOURCES), *PICKED_SOURCES)


class _Body(BaseModel):
    """What a request may say; a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid")


class CandidateSubmitted(_Body):
    site: Name | None = None
    bundle_folder: Path
    reason: str = Field(min_length=1, max_length=1000)
    submitted_by: Identifier
    gold_csv: Path | None = Field(default=None, description="only with the first release of a site")


class GoldReplaced(_Body):
    site: Name | None = None
    csv: Path
    reason: str = Field(min_length=1, max_length=1000)
    by: Identifier


class Signed(_Body):
    """A click that only says who made it, and maybe why."""

    by: Identifier = "operator"
    site: Name | None = None
    reason: str = Field(default="", max_length=1000)


class RollbackAsked(_Body):
    site: Name | None = None
    to: int | None = Field(default=None, ge=1, description="release number; the one before where it is not given")
    reason: str = Field(min_length=1, max_length=1000)
    by: Identifier
    refuse: bool = Field(default=False, description="whether the release that is left may never run again")


def routes(store: Store, blobs: Blobs, desk: Desk, *, max_image_bytes: int) -> APIRouter:
    """All of `/v1`."""
    router = APIRouter(prefix="/v1")
    _add_images(router, store, blobs, desk, max_image_bytes)
    add_labels(router, store, desk.labels)
    add_label_check(router, desk)
    _add_reading(router, store)
    _add_rollout(router, desk)
    add_benchmarks(router, store, desk)
    add_carried(router, desk)
    add_retrains(router, store, desk)
    add_thresholds(router, store, desk)
    return router


def _add_images(router: APIRouter, store: Store, blobs: Blobs, desk: Desk, max_image_bytes: int) -> None:
    @router.post("/images", status_code=201)
    def upload_image(upload: Annotated[str, Form()], image: UploadFile) -> dict[str, str]:
        """An agent hands an image over for labelling. 409: this part was asked about before."""
        try:
            described = ImageUpload.model_validate_json(upload)
        except ValidationError as error:
            raise HTTPException(422, f"upload: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from error
        if described.source not in ASKABLE:
            raise HTTPException(422, f"images are uploaded as {', '.join(ASKABLE)}, not as {described.source}")
        data = image.file.read(max_image_bytes + 1)
        if len(data) > max_image_bytes:
            raise HTTPException(413, f"the image has more than {max_image_bytes} bytes")
        image_id = desk.accept_image(described, data, media_type=_media_type(data))
        if image_id is None:
            part = described.verdict.frame.part_id
            raise HTTPException(409, f"part {part} was asked about before; one part is asked about once")
        return {"image_id": image_id}

    @router.get("/images/{image_id}")
    def read_image(image_id: str) -> Response:
        """The image as it was uploaded."""
        with store.read() as session:
            row = session.get(ImageRow, image_id)
        if row is None:
            raise HTTPException(404, f"there is no image {image_id[:80]!r}")
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=3600"}
        return Response(blobs.read(row.blob), media_type=row.media_type, headers=headers)


def _media_type(data: bytes) -> str:
    """Type of the image, from its header. 415 for what is no image of a known kind, 413 for one that is too large."""
    try:
        with Image.open(io.BytesIO(data), formats=tuple(MEDIA_TYPES)) as image:
            width, height = image.size
            kind = MEDIA_TYPES[image.format or ""]
    except (UnidentifiedImageError, OSError, KeyError, ValueError, Image.DecompressionBombError) as error:
        raise HTTPException(415, f"not a readable image ({error}); send one of {', '.join(MEDIA_TYPES)}") from error
    if width * height > LARGEST_IMAGE_PIXELS:
        raise HTTPException(413, f"the image has {width} x {height} pixels, more than {LARGEST_IMAGE_PIXELS}")
    return kind


def _add_reading(router: APIRouter, store: Store) -> None:
    @router.get("/fleet")
    def read_fleet() -> dict[str, Any]:
        """Sites, agents, cameras: what runs where and how it is."""
        with store.read() as session:
            return queries.fleet(session)

    @router.get("/cameras/{site}/{agent}/{camera}/{product}")
    def read_camera(
        site: Name, agent: Name, camera: Name, product: Name, windows: Annotated[int, Query(ge=1, le=5000)] = 500
    ) -> dict[str, Any]:
        """One camera and its last windows, oldest first."""
        with store.read() as session:
            found = queries.camera(session, site=site, agent=agent, camera=camera, product=product, windows=windows)
        if found is None:
            raise HTTPException(404, f"no camera {site}/{agent}/{camera} has reported on product {product}")
        return found

    @router.get("/windows/sums")
    def read_sums(
        since: AwareDatetime,
        until: AwareDatetime | None = None,
        by: By = "line",
        span: Literal["10m", "hour", "day"] = "hour",
        site: Name | None = None,
    ) -> dict[str, Any]:
        """Windows added up over time and over cameras, lines, sites or all. 409 for too many at once."""
        with store.read() as session:
            found = windows_between(session, since, until or datetime.now(UTC), site=site)
        return {
            "by": by,
            "span": span,
            "sums": [totals.plain() for totals in rolled_up(found, by=by, span=SPANS[span])],
        }

    @router.get("/releases")
    def read_releases(site: Name | None = None) -> dict[str, Any]:
        """Releases and candidates with their reasons, newest first."""
        with store.read() as session:
            return queries.releases(session, site=site)

    @router.get("/changes/{site}")
    def read_changes(site: Name) -> dict[str, Any]:
        """The change record of every activation, oldest first."""
        with store.read() as session:
            return queries.changes(session, site=site)

    @router.get("/incidents")
    def read_incidents(site: Name | None = None, state: Literal["open", "closed"] | None = None) -> dict[str, Any]:
        """Incidents, newest first."""
        with store.read() as session:
            return queries.incidents(session, site=site, state=state)

    @router.get("/events")
    def read_events(
        after: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=5000)] = 500,
        site: Name | None = None,
        since: datetime | None = None,
    ) -> dict[str, Any]:
        """The timeline, oldest first, behind the event `after`."""
        with store.read() as session:
            return queries.events(session, after=after, limit=limit, site=site, since=since)


def _add_rollout(router: APIRouter, desk: Desk) -> None:
    @router.post("/candidates", status_code=202)
    def submit(asked: CandidateSubmitted) -> dict[str, str]:
        """Hand in a bundle (a folder on the monitor's machine). It goes through the gate like any other."""
        candidate_id = desk.submit(
            asked.bundle_folder,
            site=desk.site(asked.site),
            reason=asked.reason,
            submitted_by=asked.submitted_by,
            gold_csv=asked.gold_csv,
        )
        return {"candidate_id": candidate_id}

    @router.post("/gold")
    def replace_gold(asked: GoldReplaced) -> dict[str, int]:
        """A person replaces the gold set; recorded with the reason."""
        version = desk.replace_gold(asked.csv, site=desk.site(asked.site), reason=asked.reason, by=asked.by)
        return {"version": version}

    @router.post("/incidents/{incident_id}/{said}")
    def person_says(
        incident_id: Identifier, said: Literal["repaired", "permanent", "adopt", "retrain", "close"], who: Signed
    ) -> dict[str, str]:
        """A person's word on an incident."""
        desk.person_said(incident_id, said=said, who=who.by)
        return {"incident_id": incident_id, "said": said}

    @router.post("/releases/{number}/approve")
    def approve(number: int, who: Signed) -> dict[str, Any]:
        """A person agrees that the release goes on."""
        return desk.approve(number, site=desk.site(who.site), by=who.by, reason=who.reason)

    @router.post("/releases/{number}/reject")
    def reject(number: int, who: Signed) -> dict[str, Any]:
        """A person stops a release that is not active yet."""
        return desk.reject(number, site=desk.site(who.site), by=who.by, reason=who.reason)

    @router.post("/rollback")
    def roll_back(asked: RollbackAsked) -> dict[str, Any]:
        """A person brings an earlier release back, at once."""
        return desk.roll_back(
            site=desk.site(asked.site), to=asked.to, reason=asked.reason, by=asked.by, refuse=asked.refuse
        )
