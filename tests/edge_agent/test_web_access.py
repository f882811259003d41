"""The HTTP door: people with a password, programs with keys of their own, each with what it may do."""

from __future__ import annotations

import base64
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from edge_agent.settings import WebSettings
from edge_agent.web.access import Access
from edge_agent.web.clients import Clients, ClientSettings, NewKey, new_key
from lineside.station import run_agent_key

PASSWORD = "hunter2"
CAMERA, REPORT = new_key("camera-pc", ["inspect", "outcomes"]), new_key("report", ["read"])


def door(password: str | None = PASSWORD, came: list[str] | None = None) -> TestClient:
    """Every address answers 200, behind the access rules."""

    async def answer(_: object) -> PlainTextResponse:
        return PlainTextResponse("in")

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "PUT", "DELETE"])])
    clients = Clients([CAMERA.settings, REPORT.settings])
    heard = (came if came is not None else []).append
    app.add_middleware(Access, user="op", password=password, clients=clients, came=heard)
    return TestClient(app, base_url="http://127.0.0.1")


def status(client: TestClient, method: str, path: str, key: str | None, header: str = "Authorization") -> int:
    value = f"Bearer {key}" if header == "Authorization" else f"{key}"
    return client.request(method, path, headers={} if key is None else {header: value}).status_code


@pytest.mark.parametrize(
    ("made", "method", "path", "expected"),
    [
        (CAMERA, "POST", "/v1/inspect", 200),
        (CAMERA, "POST", "/v1/trigger", 200),
        (CAMERA, "POST", "/v1/outcomes", 200),
        (CAMERA, "GET", "/v1/verdicts", 403),
        (CAMERA, "GET", "/metrics", 403),
        (REPORT, "GET", "/v1/verdicts.csv", 200),
        (REPORT, "GET", "/metrics", 200),
        (REPORT, "POST", "/v1/inspect", 403),
        (REPORT, "POST", "/v1/anything-new", 403),
        (REPORT, "DELETE", "/v1/verdicts", 403),
    ],
)
@pytest.mark.parametrize("password", [None, "hunter2"])
def test_a_key_opens_what_its_client_may_do_and_nothing_else(
    made: NewKey, method: str, path: str, expected: int, password: str | None
) -> None:
    came: list[str] = []
    client = door(password, came)
    assert status(client, method, path, made.key) == expected
    assert status(client, method, path, made.key, "X-Api-Key") == expected
    assert came == ([made.settings.name] * 2 if expected == 200 else [])


@pytest.mark.parametrize(
    "key",
    ["", "hunter2", CAMERA.settings.key_sha256, CAMERA.key[:-1], CAMERA.key.swapcase()],
    ids=["none", "password", "hash", "shortened", "other-case"],
)
def test_a_wrong_key_opens_nothing_even_on_loopback(key: str) -> None:
    for password in (None, "hunter2"):
        assert status(door(password), "POST", "/v1/inspect", key) == 401
    assert status(door(), "GET", "/live", key) == 200, "a supervisor needs no key"


def test_people_still_use_the_password() -> None:
    basic = base64.b64encode(b"op:hunter2").decode()
    assert door().get("/", headers={"Authorization": f"Basic {basic}"}).status_code == 200
    assert door().get("/").status_code == 401
    assert door(password=None).get("/").status_code == 200


def test_a_page_of_another_origin_gets_nowhere_with_a_key() -> None:
    headers = {"Authorization": f"Bearer {CAMERA.key}", "Origin": "http://evil.example"}
    assert door().post("/v1/inspect", headers=headers).status_code == 403


def test_the_command_shows_a_key_that_its_lines_let_in(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run_agent_key("mes", ("inspect",))
    shown = capsys.readouterr().out
    block = tomllib.loads(shown[shown.index("[[web.clients]]") :])
    key = next(line.strip() for line in shown.splitlines() if line.startswith("    "))
    known = WebSettings.model_validate(block["web"]).clients
    found = Clients(known).find(key)
    assert found is not None
    assert (found.name, found.may) == ("mes", ("inspect",))
    assert key not in str(block), "the settings do not hold the key itself"


def test_two_clients_cannot_share_a_name_or_a_key() -> None:
    same = ClientSettings(name="other", key_sha256=CAMERA.settings.key_sha256)
    with pytest.raises(ValidationError, match="two clients have the key_sha256"):
        WebSettings(clients=(CAMERA.settings, same))
    with pytest.raises(ValidationError, match="two clients have the name"):
        WebSettings(clients=(CAMERA.settings, new_key("camera-pc", ["read"]).settings))
