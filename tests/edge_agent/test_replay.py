"""Replay: the candidate answers the images that the station kept, and the counts go to the monitor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts.frame import Decision
from contracts.orders import Replay
from contracts.telemetry import Event, EventKind, ShadowSummary
from edge_agent.agent import Agent
from edge_agent.inspection import Inspector
from edge_agent.settings import BufferSettings
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.simulators.captures import ListSource
from tests.simulators.small_bundle import picture, write_small_bundle


def order(bundle_hash: str, *, seconds: float = 3600, images: int = 100) -> bytes:
    now = datetime.now(UTC)
    made = Replay(
        order_id="r-1", issued_at=now, expires_at=now + timedelta(seconds=seconds), reason="gate passed",
        bundle_hash=bundle_hash, images=images,
    )  # fmt: skip
    return made.model_dump_json().encode()


def events(agent: Agent, kind: EventKind) -> list[Event]:
    bodies = [message.envelope.body for message in agent.core.outbox.waiting(after=0, limit=1000)]
    return [body for body in bodies if isinstance(body, Event) and body.event is kind]


def station(make_agent: MakeAgent) -> Agent:
    """With 12 dark (good) and 8 bright (scratch) pictures in its buffer."""
    source = ListSource([picture(80, n) for n in range(12)] + [picture(180, n) for n in range(8)])
    agent = make_agent(source, buffer=BufferSettings(random_fraction=1.0))
    assert source.finished.wait(30)
    return agent


def test_the_candidate_is_compared_on_the_kept_images(make_agent: MakeAgent, tmp_path: Path) -> None:
    agent = station(make_agent)
    lenient = write_small_bundle(tmp_path / "other", slope=0.01)  # calls everything "review"
    agent.core.orders.receive(order(lenient.hash))
    agent.core.shadow.start(Inspector(lenient))
    wait_for(lambda: events(agent, EventKind.REPLAY_FINISHED))
    (event,) = events(agent, EventKind.REPLAY_FINISHED)
    summary = ShadowSummary.model_validate(event.details)
    assert (event.order_id, event.bundle_hash) == ("r-1", lenient.hash)
    assert (summary.images, summary.agreements, summary.failures) == (20, 0, 0)
    assert summary.decisions == {Decision.REVIEW: 20}
    assert [done.order_id for done in events(agent, EventKind.ORDER_DONE)] == ["r-1"]


def test_a_candidate_that_agrees_agrees_on_every_image(make_agent: MakeAgent, tmp_path: Path) -> None:
    agent = station(make_agent)
    same = write_small_bundle(tmp_path / "other", slope=5.0)
    agent.core.orders.receive(order(same.hash, images=15))
    agent.core.shadow.start(Inspector(same))
    wait_for(lambda: events(agent, EventKind.REPLAY_FINISHED))
    details = events(agent, EventKind.REPLAY_FINISHED)[0].details
    assert (details["images"], details["agreements"]) == (15, 15)


def test_an_order_that_comes_before_its_candidate_waits_for_it(make_agent: MakeAgent, tmp_path: Path) -> None:
    agent = station(make_agent)
    agent.core.orders.receive(order("c" * 64, seconds=1.0))
    assert agent.core.orders.open(Replay)
    wait_for(lambda: events(agent, EventKind.ORDER_FAILED))
    assert "did not run as shadow in time" in events(agent, EventKind.ORDER_FAILED)[0].reason
