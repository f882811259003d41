"""The routes of the pages. They read; what a click changes goes to the HTTP API under `/v1` like everything else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from PIL import Image, UnidentifiedImageError

from contracts.errors import BundleError, LinkError
from monitor.blobs import Blobs
from monitor.bundles import BundleShelf
from monitor.label_desk import report
from monitor.people import People
from monitor.store import Store
from monitor.store.label_tables import ImageRow
from monitor.web.reading.camera import SPANS, camera_facts, label_points, series
from monitor.web.reading.changes import change, changes
from monitor.web.reading.days import DAYS, By, Days
from monitor.web.reading.events import EventFilter, events
from monitor.web.reading.fleet import CameraKey, attention, fleet
from monitor.web.reading.happened import happened
from monitor.web.reading.incidents import fleet_incidents, incidents, incidents_of
from monitor.web.reading.labels import progress
from monitor.web.reading.releases import manifest_of, releases
from monitor.web.reading.thresholds import Look, history, look, subject, subjects
from monitor.web.rendering import environment, rendered
from monitor.web.security import HEADERS
from monitor.web.texts import Texts, choose, languages, texts
from monitor.web.wish import WishAsked

STATIC_FOLDER = Path(__file__).parent / "static"
LANGUAGE_COOKIE = "lineside-language"
_SHOWN_AS_THEY_ARE = ("image/png", "image/jpeg", "image/bmp", "image/webp")
_RENEWAL_NOTICE = timedelta(days=90)
_YEAR_SECONDS = 365 * 24 * 3600


class Pages:
    """The pages over one store, its images and bundles. `people`: who labels. `expiries`: when the registry's
    signatures end, by role."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        shelf: BundleShelf,
        *,
        people: People,
        expiries: Callable[[], Mapping[str, datetime]] | None = None,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._shelf = shelf
        self._people = people
        self._expiries = expiries
        self._templates = environment()
        self._days = Days()

    def attach(self, app: FastAPI) -> None:
        """Add the pages and their files to an application."""
        router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
        camera = "/cameras/{site}/{agent}/{camera}/{product}"
        router.add_api_route("/", self.fleet)
        router.add_api_route(camera, self.camera)
        router.add_api_route(f"{camera}/series.json", self.camera_series)
        router.add_api_route("/labels", self.labels)
        router.add_api_route("/labels/images/{image_id}", self.image)
        router.add_api_route("/incidents", self.incidents)
        router.add_api_route("/releases", self.releases)
        router.add_api_route("/releases/{bundle_hash}/card", self.card)
        router.add_api_route("/changes", self.changes)
        router.add_api_route("/changes/{site}/{number}", self.change)
        router.add_api_route("/thresholds", self.thresholds)
        router.add_api_route("/timeline", self.timeline)
        router.add_api_route("/days", self.days)
        app.include_router(router)
        app.mount("/static", StaticFiles(directory=STATIC_FOLDER), name="static")

    def fleet(self, request: Request) -> Response:
        """Agents, cameras, states, releases."""
        with self._store.read() as session:
            sites, waits = fleet(session), attention(session)
        return self._page(request, "fleet.html", waits=waits, sites=sites, ending=self._ending())

    def days(self, request: Request, by: By = "line", last: Annotated[int, Query(ge=1, le=31)] = DAYS[0]) -> Response:
        """Day by day what was made, how it went and what happened."""
        with self._store.read() as session:
            now = datetime.now(UTC)
            rows, stories = self._days.read(session, by=by, most=last, now=now), happened(session, most=last, now=now)
            days = sorted({row.day for row in rows} | stories.keys(), reverse=True)
            table = {day: [row for row in rows if row.day == day] for day in days}
            values = {"table": table, "stories": stories, "by": by, "last": last, "spans": DAYS}
            return self._page(request, "days.html", waits=attention(session), **values)

    def camera(self, request: Request, site: str, agent: str, camera: str, product: str) -> Response:
        """One camera with its charts."""
        key = CameraKey(site, agent, camera, product)
        with self._store.read() as session:
            facts = camera_facts(session, key)
            if facts is None:
                raise HTTPException(404, f"no camera {key.path}")
            page = events(session, EventFilter(site=site, agent=agent, camera=camera))
            return self._page(
                request,
                "camera.html",
                waits=attention(session),
                facts=facts,
                spans=SPANS,
                events=page.events[:15],
                incidents=incidents_of(session, key),
            )

    def camera_series(
        self,
        site: str,
        agent: str,
        camera: str,
        product: str,
        windows: Annotated[int, Query(ge=1, le=max(SPANS))] = SPANS[0],
    ) -> JSONResponse:
        """What the charts draw."""
        key = CameraKey(site, agent, camera, product)
        with self._store.read() as session:
            made = series(session, key, windows=windows)
            since = datetime.fromtimestamp(made.at[0], UTC) if made.at else None
            labelled = [
                {"at": at.timestamp(), "right": score.right, "interval": score.interval, "labels": score.labels}
                for at, score in label_points(session, key, since=since)
                if score.right is not None
            ]
        return JSONResponse({**dataclasses.asdict(made), "labelled": labelled}, headers={"Cache-Control": "no-store"})

    def labels(self, request: Request) -> Response:
        """The queue, one big picture at a time."""
        person = _person(request)
        you = None if person is None else self._people.pseudonym(person)
        with self._store.read() as session:
            far, agreed = progress(session), report(session)
            return self._page(request, "labels.html", waits=attention(session), progress=far, agreement=agreed, you=you)

    def image(self, image_id: str) -> Response:
        """One uploaded picture, in a format that browsers show."""
        with self._store.read() as session:
            row = session.get(ImageRow, image_id)
        if row is None:
            raise HTTPException(404, f"no image {image_id}")
        try:
            data = self._blobs.read(row.blob)
            shown, media_type = _for_browsers(data, row.media_type)
        except (LinkError, UnidentifiedImageError, OSError) as error:
            raise HTTPException(410, f"image {image_id} is no longer there") from error
        headers = {**HEADERS, "Cache-Control": "private, max-age=3600"}
        return Response(shown, media_type=media_type, headers=headers)

    def incidents(self, request: Request) -> Response:
        """What needs a person, in plain words."""
        with self._store.read() as session:
            waiting, closed = incidents(session)
            return self._page(
                request,
                "incidents.html",
                waits=attention(session),
                together=fleet_incidents(session),
                waiting=waiting,
                closed=closed,
            )

    def releases(self, request: Request) -> Response:
        """Releases and candidates with their reasons."""
        with self._store.read() as session:
            return self._page(request, "releases.html", waits=attention(session), sites=releases(session))

    def card(self, bundle_hash: str) -> Response:
        """The model card that a bundle came with, as the text it is."""
        with self._store.read() as session:
            manifest = manifest_of(session, bundle_hash)
        try:
            text = None if manifest is None else self._shelf.card(bundle_hash, manifest)
        except BundleError as error:
            raise HTTPException(410, str(error)) from error
        if text is None:
            raise HTTPException(404, f"no model card of a bundle {bundle_hash}")
        return Response(text, media_type="text/plain", headers=HEADERS)

    def changes(self, request: Request) -> Response:
        """Every activation with its record."""
        with self._store.read() as session:
            return self._page(request, "changes.html", waits=attention(session), all=changes(session))

    def change(self, request: Request, site: str, number: int) -> Response:
        """One change record, to be read or printed."""
        with self._store.read() as session:
            found = change(session, site, number)
            if found is None:
                raise HTTPException(404, f"site {site} has no change record {number}")
            return self._page(request, "change.html", waits=attention(session), change=found)

    def thresholds(
        self,
        request: Request,
        wish: Annotated[WishAsked, Query()],
    ) -> Response:
        """What decides, how the scores of the last days lie, and what other thresholds would have said."""
        with self._store.read() as session:
            every = subjects(session)
            site, product = next(
                (found for found in every if found == (wish.site, wish.product)), every[0] if every else ("", "")
            )
            about = subject(session, site, product)
            found = Look(None, None) if about is None else look(session, about, wish.wish)
            return self._page(
                request,
                "thresholds.html",
                waits=attention(session),
                all=every,
                about=about,
                look=found,
                wished=wish.wished,
                prices=wish,
                price_fields=wish.price_fields,
                history=history(session, site),
            )

    def timeline(
        self,
        request: Request,
        site: str = "",
        kind: str = "",
        agent: str = "",
        camera: str = "",
        before: Annotated[int | None, Query(ge=1)] = None,
    ) -> Response:
        """Everything that was decided or done, newest first."""
        wanted = EventFilter(site=site, kind=kind, agent=agent, camera=camera)
        with self._store.read() as session:
            page = events(session, wanted, before=before)
            waits = attention(session)
            return self._page(request, "timeline.html", waits=waits, page=page, wanted=wanted, before=before)

    def _ending(self) -> list[tuple[str, datetime]]:
        """Signatures that need a person with the offline keys soon, and online ones that nobody renews any more."""
        if self._expiries is None:
            return []
        now = datetime.now(UTC)
        limits = dict.fromkeys(("root", "targets"), now + _RENEWAL_NOTICE)
        return [(role, end) for role, end in sorted(self._expiries().items()) if end < limits.get(role, now)]

    def _page(self, request: Request, template: str, **values: Any) -> Response:
        chosen = self._texts(request)
        values |= {"path": request.url.path, "languages": languages()}
        values["labels_only"] = self._people.registered(_person(request) or "")
        html = rendered(self._templates, template, chosen, **values)
        response = HTMLResponse(html, headers={**HEADERS, "Cache-Control": "no-store"})
        response.headers["Content-Language"] = chosen.language
        if request.query_params.get("lang") == chosen.language:
            response.set_cookie(LANGUAGE_COOKIE, chosen.language, max_age=_YEAR_SECONDS, samesite="lax", httponly=True)
        return response

    def _texts(self, request: Request) -> Texts:
        wanted, remembered = request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)
        return texts(choose(wanted, remembered, request.headers.get("accept-language")))


def _person(request: Request) -> str | None:
    """Who asks, where the door can tell people apart."""
    return getattr(request.state, "person", None)


def _for_browsers(data: bytes, media_type: str) -> tuple[bytes, str]:
    """The bytes as they are, or as PNG where browsers do not show the format."""
    if media_type in _SHOWN_AS_THEY_ARE:
        return data, media_type
    with Image.open(BytesIO(data), formats=("TIFF", "PNG", "JPEG", "BMP")) as image:
        target = BytesIO()
        image.convert("RGB").save(target, "PNG")
    return target.getvalue(), "image/png"
