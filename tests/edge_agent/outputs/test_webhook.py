"""The webhook against a real server: what it takes, refuses, puts off, or leaves hanging."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

import pytest

from contracts.errors import LinkError
from contracts.frame import Decision
from edge_agent.outputs.output import Refused
from edge_agent.outputs.webhook import Webhook
from tests.simulators.answers import answer
from tests.simulators.port import free_port
from tests.simulators.webhook_server import WebhookServer


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    server = WebhookServer()
    yield server
    server.close()


def webhook(url: str, *, secret: str | None = None, timeout: float = 10.0, ca_file: str | None = None) -> Webhook:
    return Webhook("mes", url, secret=secret, ca_file=ca_file, timeout_seconds=timeout, clock=lambda: 1_700_000_000.9)


def test_an_answer_arrives_as_json_and_names_itself(server: WebhookServer) -> None:
    output = webhook(server.url)
    output.open()
    output.deliver(answer(7, Decision.NG))
    (came,) = server.answers
    assert (came.part_id, came.decision) == ("cam-a-7", Decision.NG)
    assert server.headers[0]["X-Lineside-Delivery"] == "agent-1/cam-a/7"
    assert server.headers[0]["Content-Type"] == "application/json"
    assert "X-Lineside-Signature" not in server.headers[0]
    output.close()


def test_the_signature_proves_body_and_time(server: WebhookServer) -> None:
    webhook(server.url, secret="s3cret").deliver(answer())
    headers, body = server.headers[0], server.bodies[0]
    assert headers["X-Lineside-Timestamp"] == "1700000000"
    expected = hmac.new(b"s3cret", b"1700000000." + body, hashlib.sha256).hexdigest()
    assert headers["X-Lineside-Signature"] == f"sha256={expected}"


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422])
def test_what_the_server_will_never_take_is_refused(server: WebhookServer, status: int) -> None:
    server.status = status
    with pytest.raises(Refused, match=str(status)):
        webhook(server.url).deliver(answer())


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_the_server_cannot_take_now_is_tried_again(server: WebhookServer, status: int) -> None:
    server.status = status
    with pytest.raises(LinkError, match=str(status)):
        webhook(server.url).deliver(answer())


def test_redirects_are_not_followed(server: WebhookServer) -> None:
    elsewhere = WebhookServer()
    server.status, server.reply_headers = 307, {"Location": elsewhere.url}
    with pytest.raises(Refused, match="redirects are not followed"):
        webhook(server.url).deliver(answer())
    assert elsewhere.requests == 0
    elsewhere.close()


def test_a_server_that_hangs_or_is_away_is_a_broken_link(server: WebhookServer) -> None:
    server.held = True
    with pytest.raises(LinkError, match="cannot be reached"):
        webhook(server.url, timeout=0.2).deliver(answer())
    with pytest.raises(LinkError, match="cannot be reached"):
        webhook(f"http://127.0.0.1:{free_port()}/").deliver(answer())


def test_a_certificate_that_nobody_vouches_for_is_not_believed(https_server: tuple[str, str]) -> None:
    url, ca_file = https_server
    with pytest.raises(LinkError, match=r"certificate|CERTIFICATE"):
        webhook(url).deliver(answer())
    trusting = webhook(url, ca_file=ca_file)
    trusting.deliver(answer())
    trusting.close()
