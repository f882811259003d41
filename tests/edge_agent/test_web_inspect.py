"""The HTTP door: one image in, one verdict out; every refusal says what is wrong and what to do."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.faults.mutants import mutant
from contracts.frame import Decision, Verdict
from edge_agent.agent import Agent
from edge_agent.settings import InspectionSettings, WebSettings
from runtime.session import Inference
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.simulators.small_bundle import encoded, picture

IMAGE = encoded(picture(180))


def ask(
    agent: Agent, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any, http.client.HTTPMessage]:
    """(status, JSON or text, headers)."""
    host, _, port = agent.url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        data = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(data) if is_json else data.decode("utf-8", "replace"), answer.headers
    finally:
        connection.close()


def inspect(agent: Agent, body: Any = IMAGE, query: str = "", **headers: str) -> tuple[int, Any]:
    status, told, _ = ask(
        agent, "POST", f"/v1/inspect{query}", body, {k.replace("_", "-"): v for k, v in headers.items()}
    )
    return status, told


def form(*parts: tuple[str, str, bytes]) -> tuple[bytes, str]:
    """A multipart body of (field, file name or "", content), and its content type."""
    lines = []
    for name, file, content in parts:
        filename = f'; filename="{file}"' if file else ""
        lines.append(
            b"--XX\r\n" + f'Content-Disposition: form-data; name="{name}"{filename}\r\n\r\n'.encode() + content
        )
    return b"\r\n".join([*lines, b"--XX--\r\n"]), "multipart/form-data; boundary=XX"


def test_an_image_as_the_body_gets_its_verdict(make_agent: MakeAgent) -> None:
    status, told = inspect(make_agent(), IMAGE, "?part_id=p-17&product=cap&camera=cam-a", Content_Type="image/png")
    assert status == 200
    verdict = Verdict.model_validate(told)
    assert verdict.decision is Decision.NG
    assert (verdict.frame.part_id, verdict.frame.product, verdict.frame.camera) == ("p-17", "cap", "cam-a")


def test_the_values_may_come_as_headers(make_agent: MakeAgent) -> None:
    status, told = inspect(make_agent(), X_Part_Id="p-17", X_Product="cap", X_Camera="cam-a")
    assert status == 200
    assert told["frame"]["part_id"] == "p-17"


def test_a_form_with_one_file_gets_its_verdict(make_agent: MakeAgent) -> None:
    body, kind = form(("note", "", b"hello"), ("image", "a.png", IMAGE))
    assert inspect(make_agent(), body, Content_Type=kind)[1]["decision"] == "NG"


def test_an_image_without_a_part_id_gets_one_from_camera_and_sequence(make_agent: MakeAgent) -> None:
    agent = make_agent()
    assert [inspect(agent)[1]["frame"]["part_id"] for _ in range(3)] == ["camera-1-0", "camera-1-1", "camera-1-2"]


def test_sequences_go_on_after_a_restart(make_agent: MakeAgent) -> None:
    agent = make_agent()
    assert inspect(agent)[1]["frame"]["sequence"] == 0
    agent.close()
    assert inspect(make_agent())[1]["frame"]["sequence"] == 1


def test_a_verdict_that_was_answered_is_on_record(make_agent: MakeAgent) -> None:
    agent = make_agent()
    for n in range(5):
        inspect(agent, query=f"?part_id=p-{n}")
        assert agent.core.record.latest_of(f"p-{n}") is not None


def refusals() -> list[Any]:
    two_files, kind = form(("image", "a.png", IMAGE), ("image2", "b.png", IMAGE))
    return [
        pytest.param(b"", "", {}, 400, "holds no image", id="empty"),
        pytest.param(IMAGE, "?part_id=a%20b", {}, 400, "part_id", id="part id"),
        pytest.param(IMAGE, "?product=Big", {}, 400, "product", id="product"),
        pytest.param(IMAGE, "?camera=../x", {}, 400, "camera", id="camera"),
        pytest.param(IMAGE, "", {"Content-Type": "text/html"}, 415, "text/html", id="type"),
        pytest.param(b"x" * 70_000, "", {}, 413, "larger than 50000 bytes", id="large"),
        pytest.param(two_files, "", {"Content-Type": kind}, 400, "2 files", id="two files"),
        pytest.param(b"junk", "", {"Content-Type": "multipart/form-data; boundary=XX"}, 400, "form", id="form"),
        pytest.param(b"junk", "", {"Content-Type": "multipart/form-data"}, 400, "form", id="no boundary"),
        pytest.param(b"hello", "", {}, 422, "not an image", id="no image"),
        pytest.param(IMAGE[:300], "", {}, 422, "damaged", id="cut off"),
    ]


@pytest.mark.parametrize(("body", "query", "headers", "status", "error"), refusals())
def test_a_refusal_names_the_fault_and_the_remedy(
    make_agent: MakeAgent, body: bytes, query: str, headers: dict[str, str], status: int, error: str
) -> None:
    agent = make_agent(inspection=InspectionSettings(max_image_bytes=50_000))
    found, told, _ = ask(agent, "POST", f"/v1/inspect{query}", body, headers)
    assert (found, error in told["error"]) == (status, True), told
    assert told["remedy"]


def test_an_unreadable_image_is_on_record_as_a_part_without_a_verdict(make_agent: MakeAgent) -> None:
    agent = make_agent()
    status, told = inspect(agent, b"hello", "?part_id=p-1")
    assert (status, told["verdict"]["decision"]) == (422, "NO_VERDICT")
    entry = agent.core.record.latest_of("p-1")
    assert entry is not None
    assert entry.verdict.decision is Decision.NO_VERDICT


def test_the_number_of_cameras_and_products_is_bounded(make_agent: MakeAgent) -> None:
    agent = make_agent(web=WebSettings(port=0, most_pairs=3))
    statuses = [inspect(agent, query=f"?camera=cam-{n}")[0] for n in (1, 2, 3, 4, 1)]
    assert statuses == [200, 200, 200, 400, 200]
    assert "part_id" in inspect(agent, query="?camera=cam-5")[1]["remedy"]


def test_a_body_without_a_length_is_cut_at_the_limit(make_agent: MakeAgent) -> None:
    agent = make_agent(inspection=InspectionSettings(max_image_bytes=50_000))
    chunks = (b"x" * 10_000 for _ in range(10))
    assert inspect(agent, chunks)[0] == 413


def test_malformed_images_never_crash_and_never_answer_5xx(make_agent: MakeAgent) -> None:
    """400 images; 100,000 with `python -m benchmarks.faults --only images`."""
    agent = make_agent()
    statuses: Counter[int] = Counter()
    for number in range(2, 402):
        made = mutant(number)
        query = f"?part_id=p-{number}&camera=cam-{number % 16}"
        status = inspect(agent, made.data, query, Content_Type=made.content_type)[0]
        assert status == 200 or not made.sound, made
        statuses[status] += 1
    assert set(statuses) <= {200, 400, 422}
    assert statuses[422] > 50
    assert inspect(agent)[0] == 200
    assert agent.failure is None


class SlowSession:
    """A session that takes a while; the GIL is free meanwhile, as with a real one."""

    def __init__(self, session: Any, seconds: float) -> None:
        self._session, self._seconds = session, seconds
        self.variant = session.variant

    def infer(self, tensor: NDArray[np.float32], *, limit_seconds: float | None = None) -> Inference:
        time.sleep(self._seconds)
        answer: Inference = self._session.infer(tensor)
        return answer


def test_more_images_than_can_be_inspected_are_refused_at_once_and_the_others_answered(make_agent: MakeAgent) -> None:
    agent = make_agent(web=WebSettings(port=0, queue=4))
    inspector = agent.core.station.active
    assert inspector is not None
    inspector.session = SlowSession(inspector.session, 0.05)  # type: ignore[assignment]
    answers: list[tuple[int, Any, http.client.HTTPMessage]] = []

    def client() -> None:
        answers.extend(ask(agent, "POST", "/v1/inspect", IMAGE) for _ in range(4))

    clients = [threading.Thread(target=client) for _ in range(16)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    statuses = Counter(status for status, _, _ in answers)
    assert set(statuses) == {200, 503}
    assert statuses[200] >= 8
    assert {headers["Retry-After"] for status, _, headers in answers if status == 503} == {"1"}
    assert all(told["remedy"] for status, told, _ in answers if status == 503)
    assert len(agent.core.record.entries(limit=1000)) == statuses[200]
    refused = agent.core.metrics.registry.get_sample_value("lineside_agent_refused_images_total")
    assert refused == statuses[503]


def test_without_a_model_images_are_refused_and_the_agent_is_not_ready(make_agent: MakeAgent) -> None:
    agent = make_agent(bundle=None)
    status, told, headers = ask(agent, "POST", "/v1/inspect", IMAGE)
    assert (status, told["error"]) == (503, "no model is installed yet")
    assert headers["Retry-After"]
    assert ask(agent, "GET", "/ready")[0] == 503
    assert ask(agent, "GET", "/live")[0] == 200


def test_a_full_disk_refuses_images_and_says_so_until_there_is_room(make_agent: MakeAgent) -> None:
    agent = make_agent()
    inspect(agent)
    agent.core.store.rows("PRAGMA max_page_count = 1")
    wait_for(lambda: inspect(agent)[0] == 503)
    wait_for(lambda: "free disk space" in str(ask(agent, "GET", "/ready")[1]["reason"]))
    assert ask(agent, "GET", "/ready")[0] == 503
    agent.core.store.rows("PRAGMA max_page_count = 1000000")
    wait_for(lambda: ask(agent, "GET", "/ready")[0] == 200)
    assert inspect(agent)[0] == 200


def test_the_page_of_another_origin_can_change_nothing(make_agent: MakeAgent) -> None:
    agent = make_agent()
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert ask(agent, "POST", "/v1/inspect", IMAGE, headers)[0] == 403
        assert ask(agent, "POST", "/v1/outcomes", b"{}", headers)[0] == 403
    assert ask(agent, "POST", "/v1/inspect", IMAGE, {"Origin": agent.url, "Sec-Fetch-Site": "same-origin"})[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1@evil.example", "["])
def test_on_loopback_only_loopback_names_are_answered(make_agent: MakeAgent, host: str) -> None:
    assert ask(make_agent(), "GET", "/", headers={"Host": host})[0] in (400, 403)


def test_with_a_password_everything_but_the_probes_asks_for_it(make_agent: MakeAgent) -> None:
    agent = make_agent(web=WebSettings.model_validate({"port": 0, "user": "op", "password": "hunter2"}))
    for path in ("/", "/metrics", "/v1/verdicts", "/v1/verdicts.csv", "/static/page.js", "/fragments"):
        status, _, headers = ask(agent, "GET", path)
        assert (status, headers["WWW-Authenticate"][:5]) == (401, "Basic")
    assert inspect(agent)[0] == 401
    assert inspect(agent, Authorization="Basic b3A6d3Jvbmc=")[0] == 401  # op:wrong
    assert inspect(agent, Authorization="Basic %%%")[0] == 401
    assert inspect(agent, Authorization="Basic b3A6aHVudGVyMg==")[0] == 200  # op:hunter2
    assert ask(agent, "GET", "/live")[0] == 200


def test_unknown_addresses_answer_in_the_same_form(make_agent: MakeAgent) -> None:
    agent = make_agent()
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("GET", "/v1/inspect", 405),
        ("GET", "/v1/verdicts?limit=0", 422),
    ):
        found, told, _ = ask(agent, method, path)
        assert (found, set(told)) == (status, {"error", "remedy"})


def test_metrics_are_read_by_prometheus(make_agent: MakeAgent) -> None:
    agent = make_agent()
    inspect(agent, query="?camera=cam-a&product=cap")
    text = ask(agent, "GET", "/metrics")[1]
    assert 'lineside_agent_images_total{camera="cam-a",decision="NG",product="cap"} 1.0' in text
    assert 'lineside_agent_inspection_seconds_count{camera="cam-a"} 1.0' in text


def test_the_openapi_document_says_what_is_really_answered(make_agent: MakeAgent) -> None:
    agent = make_agent()
    status, document, _ = ask(agent, "GET", "/openapi.json")
    assert status == 200
    assert {"/v1/inspect", "/v1/outcomes", "/v1/verdicts", "/v1/parts", "/ready"} < set(document["paths"])
    assert "/fragments" not in document["paths"], "the page's own addresses are nobody's interface"
    part = inspect(agent, query="?part_id=P-1")[1]["frame"]["part_id"]
    asked = [
        ("post", "/v1/inspect", IMAGE, {}),
        ("post", "/v1/inspect", b"no image", {}),
        ("post", "/v1/inspect", IMAGE, {"Content-Type": "text/html"}),
        ("post", "/v1/outcomes", json.dumps({"part_id": part, "right": True}), {"Content-Type": "application/json"}),
        ("post", "/v1/outcomes", "{}", {"Content-Type": "application/json"}),
        ("post", "/v1/trigger", None, {}),
        ("get", "/v1/verdicts", None, {}),
        ("get", "/v1/verdicts?limit=0", None, {}),
        ("get", "/ready", None, {}),
    ]
    for method, path, body, headers in asked:
        status, told, _ = ask(agent, method.upper(), path, body, headers)
        answers = document["paths"][path.partition("?")[0]][method]["responses"]
        schema = answers[str(status)]["content"]["application/json"]["schema"]
        jsonschema.validate(told, {**schema, "components": document["components"]})
