"""The HTTP door and API, through a real application over a real store."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from contracts.access import key_digest
from contracts.frame import Clock, Decision, Frame, OutcomeSource, Verdict
from contracts.upload import ImageUpload
from monitor import metrics
from monitor.app import make_app
from monitor.door import Door, hosts_of
from monitor.store.label_tables import RatingRow
from tests.monitor.conftest import MakePlant
from tests.monitor.telemetry import START
from tests.simulators.monitored_plant import SITE, Plant, certified_bundle, write_gold
from tests.simulators.small_bundle import encoded, picture


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant.make(tmp_path / "plant")
    yield plant
    plant.close()


def client(
    plant: Plant, *, password: str | None = None, token: str | None = None, raters: dict[str, str] | None = None
) -> TestClient:
    works = plant.works
    registry = CollectorRegistry()
    metrics.register(registry, works.store)
    door = Door(
        user="operator",
        password=password,
        agent_token=token,
        hosts=hosts_of("127.0.0.1", ["testserver"]),
        largest_body_bytes=2_000_000,
        raters={name: key_digest(key) for name, key in (raters or {}).items()},
    )
    app = make_app(works.store, works.blobs, works.desk, works.registry, registry, door=door, max_image_bytes=1_000_000)
    return TestClient(app)


def described(part: str = "p1", site: str = SITE, source: OutcomeSource = OutcomeSource.AUDIT) -> ImageUpload:
    frame = Frame(part_id=part, sequence=1, camera="cam-a", triggered_at=START, clock=Clock.SYNCHRONISED)
    verdict = Verdict(frame=frame, decision=Decision.NG, label="scratch", bundle_hash="a" * 64)
    return ImageUpload(site=site, agent="agent-1", source=source, verdict=verdict)


def upload(web: TestClient, upload: ImageUpload | str, data: bytes | None = None, **headers: str) -> Any:
    text = upload if isinstance(upload, str) else upload.model_dump_json()
    files = {"image": ("image.png", encoded(picture(90)) if data is None else data, "image/png")}
    return web.post("/v1/images", data={"upload": text}, files=files, headers=headers)


def test_image_travels_from_agent_to_rater_and_label_back(plant: Plant) -> None:
    web = client(plant)
    assert upload(web, described()).status_code == 201
    assert upload(web, described()).status_code == 409
    [item] = web.get("/v1/labels/queue").json()["items"]
    assert web.get(item["image"]).content == encoded(picture(90))
    given = {"image_id": item["image_id"], "label": "good", "rater": "rater-1"}
    assert web.post("/v1/labels", json=given).status_code == 201
    again = web.post("/v1/labels", json=given)
    assert (again.status_code, "label already" in again.json()["detail"]) == (409, True)
    assert web.get("/v1/labels/queue").json()["items"] == []


@pytest.mark.parametrize(
    ("body", "data", "status", "words"),
    [
        ("{}", None, 422, "site"),
        ("no json", None, 422, "upload"),
        (described(site="elsewhere"), None, 404, "no site 'elsewhere'"),
        (described(source=OutcomeSource.OPERATOR), None, 422, "not as operator"),
        (described(), b"my thesis", 415, "not a readable image"),
        (described(), b"", 415, "not a readable image"),
        (described(), b"x" * 1_000_001, 413, "more than 1000000 bytes"),
    ],
)
def test_bad_upload_names_what_is_wrong(
    plant: Plant, body: ImageUpload | str, data: bytes | None, status: int, words: str
) -> None:
    answer = upload(client(plant), body, data)
    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/labels", {"image_id": "x", "label": "good", "rater": "r"}, 404),
        ("/v1/labels", {"image_id": "x", "label": "good"}, 422),
        ("/v1/labels", {"image_id": "x", "label": "good", "rater": "Mr X Y"}, 422),
        ("/v1/labels", {"image_id": "x", "lable": "good", "rater": "r"}, 422),
        ("/v1/incidents/none/repaired", {"by": "me"}, 404),
        ("/v1/incidents/none/painted", {"by": "me"}, 422),
        ("/v1/releases/7/approve", {"by": "me"}, 404),
        ("/v1/rollback", {"reason": "x", "by": "me"}, 404),
        ("/v1/rollback", {"reason": "x", "by": "me", "site": "elsewhere"}, 404),
        ("/v1/gold", {"csv": "/nowhere.csv", "reason": "x", "by": "me"}, 422),
        ("/v1/candidates", {"bundle_folder": "/nowhere", "reason": "x", "submitted_by": "me"}, 422),
    ],
)
def test_wish_that_cannot_be_granted_is_a_clear_4xx(plant: Plant, path: str, body: dict[str, str], status: int) -> None:
    answer = client(plant).post(path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


def test_first_release_needs_a_gold_set_and_later_ones_may_not_bring_one(plant: Plant, tmp_path: Path) -> None:
    web = client(plant)
    bundle, gold = certified_bundle(tmp_path / "first"), write_gold(tmp_path / "gold")
    body = {"bundle_folder": str(bundle.path), "reason": "first", "submitted_by": "lead"}
    assert "gold_csv" in web.post("/v1/candidates", json=body).json()["detail"]
    assert web.post("/v1/candidates", json={**body, "gold_csv": str(gold)}).status_code == 202
    plant.work()
    other = certified_bundle(tmp_path / "other", ng=0.7)
    body = {**body, "bundle_folder": str(other.path)}
    refused = web.post("/v1/candidates", json={**body, "gold_csv": str(gold)})
    assert (refused.status_code, "POST /v1/gold" in refused.json()["detail"]) == (409, True)
    channel = web.get("/v1/fleet").json()["sites"][0]["channel"]
    assert (channel["sequence"], channel["active"]["number"]) == (1, 1)
    kinds = [event["code"] for event in web.get("/v1/events").json()["events"]]
    assert kinds[:3] == ["gold.pinned", "candidate.submitted", "candidate.promoted"]


def test_misspelt_class_is_asked_back_and_a_new_one_must_be_meant(make_plant: MakePlant) -> None:
    web = client(make_plant())
    image_id = upload(web, described()).json()["image_id"]
    given = {"image_id": image_id, "label": "scrach", "rater": "rater-1"}
    refused = web.post("/v1/labels", json=given)
    assert (refused.status_code, "did you mean 'scratch'?" in refused.json()["detail"]) == (422, True)
    meant = {**given, "label": "dent", "new_class": True}
    assert web.post("/v1/labels", json=meant).status_code == 201
    assert "dent" in web.get("/v1/labels/queue", params={"site": SITE}).json()["labels"]
    confirmed = web.post("/v1/labels", json={**given, "label": "dent", "rater": "rater-2"})
    assert (confirmed.status_code, confirmed.json()["counts"]) == (201, True)


def test_signed_registry_is_served(plant: Plant) -> None:
    web = client(plant, password="secret", token="token")
    assert web.get("/registry/metadata/timestamp.json").status_code == 200
    assert web.get("/registry/metadata/1.root.json").content == plant.works.registry.trusted_root()
    for path in ("/registry/../monitor.db", "/registry/keys/online", "/registry/metadata/../../keys/online/snapshot"):
        assert web.get(path).status_code in (401, 404)


def test_metrics_name_every_camera(plant: Plant, tmp_path: Path) -> None:
    bundle = certified_bundle(tmp_path / "first")
    gold = write_gold(tmp_path / "gold")
    plant.works.desk.submit(bundle.path, site=SITE, reason="first", submitted_by="lead", gold_csv=gold)
    plant.birth()
    plant.work()
    plant.minutes(3)
    registry = CollectorRegistry()
    metrics.register(registry, plant.works.store)
    camera = {"site": SITE, "agent": "agent-1", "camera": "cam-a", "product": "default"}
    assert registry.get_sample_value("lineside_monitor_windows_total", camera) == 3
    assert registry.get_sample_value("lineside_monitor_images_total", camera) == 300
    assert registry.get_sample_value("lineside_monitor_decisions_total", {**camera, "decision": "NG"}) == 90
    assert registry.get_sample_value("lineside_monitor_camera_state", {**camera, "state": "LEARNING"}) == 1
    assert registry.get_sample_value("lineside_monitor_camera_state", {**camera, "state": "OK"}) == 0
    assert registry.get_sample_value("lineside_monitor_release_active", {"site": SITE}) == 1
    agent = {"site": SITE, "agent": "agent-1"}
    assert registry.get_sample_value("lineside_monitor_acknowledged_total", agent) == plant.sequence
    assert registry.get_sample_value("lineside_monitor_backlog", agent) == 0


def test_foreign_page_may_read_nothing_and_change_nothing(plant: Plant) -> None:
    web = client(plant)
    body = {"image_id": "x", "label": "good", "rater": "r"}
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert web.post("/v1/labels", json=body, headers=headers).status_code == 403
    assert web.get("/v1/fleet", headers={"Host": "rebound.example"}).status_code == 421
    own = {"Origin": "http://testserver"}
    assert web.post("/v1/labels", json=body, headers=own).status_code == 404


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize("path", ["/v1/fleet", "/v1/events", "/metrics", "/v1/images/x", "/v1/labels/queue"])
def test_with_a_password_strangers_read_nothing(plant: Plant, path: str) -> None:
    web = client(plant, password="secret", token="token")
    assert web.get(path).status_code == 401
    assert web.get(path, headers=basic("operator", "wrong")).status_code == 401
    assert web.get(path, headers=basic("root", "secret")).status_code == 401
    assert web.get(path, headers={"Authorization": "Bearer token"}).status_code == 401
    assert web.get(path, headers=basic("operator", "secret")).status_code in (200, 404)
    assert web.get(path, headers={"Authorization": "Bearer secret"}).status_code in (200, 404)


def test_raters_may_label_and_nothing_else_and_are_known_by_a_pseudonym(tmp_path: Path) -> None:
    keys = {"ann": "key-of-ann", "bo": "key-of-bo"}
    raters = [{"name": name, "key_sha256": key_digest(key)} for name, key in keys.items()]
    plant = Plant.make(tmp_path / "named", web={"password": "secret", "raters": raters})
    web = client(plant, password="secret", token="token", raters=keys)
    image_id = upload(web, described(), Authorization="Bearer token").json()["image_id"]
    ann = basic("ann", "key-of-ann")
    assert web.get("/v1/labels/queue", headers=basic("ann", "key-of-bo")).status_code == 401
    assert web.get(f"/v1/images/{image_id}", headers=ann).status_code == 200
    for path in ("/v1/fleet", "/metrics", "/v1/labels/tasks", "/v1/events"):
        assert web.get(path, headers=ann).status_code == 403, path
    for path in ("/v1/rollback", "/v1/labels/import", "/v1/images"):
        assert web.post(path, json={}, headers=ann).status_code == 403, path
    assert web.get("/", headers=ann, follow_redirects=False).headers["location"] == "/labels"
    claimed = {"image_id": image_id, "label": "good", "rater": "somebody-else"}
    assert web.post("/v1/labels", json=claimed, headers=ann).status_code == 201
    with plant.works.store.read() as session:
        rater = session.scalars(select(RatingRow.rater)).one()
    assert rater == plant.works.people.pseudonym("ann")
    assert "ann" not in rater
    operator = web.post("/v1/labels", json=claimed, headers=basic("operator", "secret"))
    assert operator.status_code == 409  # one person, whatever is claimed
    plant.close()


def test_agents_upload_with_their_token_and_nothing_else(plant: Plant) -> None:
    for password in (None, "secret"):
        web = client(plant, password=password, token="token")
        assert upload(web, described()).status_code == 401
        assert upload(web, described(), Authorization="Bearer wrong").status_code == 401
        assert upload(web, described(f"part-{password}"), Authorization="Bearer token").status_code == 201
        given = {"image_id": "x", "label": "good", "rater": "r"}
        headers = {"Authorization": "Bearer token"}
        assert web.post("/v1/labels", json=given, headers=headers).status_code == (404 if password is None else 401)


def test_broken_authorization_headers_are_refused_without_an_error(plant: Plant) -> None:
    web = client(plant, password="secret", token="token")
    for value in ("", "Basic", "Basic !!!", "Basic " + base64.b64encode(b"\xff\xfe").decode(), "Bearer", "Digest x"):
        assert web.get("/v1/fleet", headers={"Authorization": value}).status_code == 401


def test_body_that_is_too_long_or_of_unknown_length_is_not_read(plant: Plant) -> None:
    web = client(plant)
    assert upload(web, described(), b"x" * 2_000_000).status_code == 413

    def endless() -> Iterator[bytes]:
        yield b"{"

    assert web.post("/v1/labels", content=endless()).status_code == 411
    assert web.post("/v1/labels", content=b"{}", headers={"Content-Length": "-1"}).status_code == 413
