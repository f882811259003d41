"""Orders: sent until done or expired, whatever the broker does."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from contracts.frame import OutcomeSource
from contracts.orders import Configure, Sample
from monitor.orders import OrderDesk
from monitor.store import Store
from monitor.store.rollout_tables import OrderRow
from monitor.store.rule_tables import EventRow
from tests.monitor.telemetry import START
from tests.monitor.test_labels import accept, upload


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Broker:
    there: bool = True
    sent: list[str] = field(default_factory=list)

    def __call__(self, site: str, agent: str, text: str) -> bool:
        if self.there:
            self.sent.append(f"{site}/{agent} {Configure.model_validate_json(text).order_id}")
        return self.there


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(clock: Clock) -> OrderDesk:
    return OrderDesk(valid_hours=1.0, resend_seconds=30.0, clock=clock)


def issue(desk: OrderDesk, store: Store, order_id: str = "configure-1") -> None:
    with store.write() as session:
        desk.issue(
            session, Configure, site="mono", agent="agent-1", reason="audit", order_id=order_id, audit_fraction=0.01
        )


def want_samples(desk: OrderDesk, store: Store, *, random: int) -> None:
    with store.write() as session:
        desk.issue(
            session, Sample, site="mono", agent="agent-1", reason="x", order_id="sample-1", camera="cam-a",
            product="cap", random=random, overruled=5, since=START,
        )  # fmt: skip


def state(store: Store) -> str:
    with store.read() as session:
        return session.scalars(select(OrderRow.state)).one()


def test_order_is_sent_again_until_the_agent_says_done(desk: OrderDesk, store: Store, clock: Clock) -> None:
    broker = Broker()
    issue(desk, store)
    assert desk.send_due(store, broker) == 1
    assert desk.send_due(store, broker) == 0
    clock.now += timedelta(seconds=31)
    assert desk.send_due(store, broker) == 1
    with store.write() as session:
        assert desk.close(session, "configure-1", state="done", outcome="", at=START) is not None
    clock.now += timedelta(seconds=31)
    assert desk.send_due(store, broker) == 0
    assert broker.sent == ["mono/agent-1 configure-1"] * 2


def test_order_waits_for_a_broker_that_is_away(desk: OrderDesk, store: Store) -> None:
    broker = Broker(there=False)
    issue(desk, store)
    assert desk.send_due(store, broker) == 0
    broker.there = True
    assert desk.send_due(store, broker) == 1


def test_expired_order_is_never_sent_and_the_timeline_says_so(desk: OrderDesk, store: Store, clock: Clock) -> None:
    broker = Broker()
    issue(desk, store)
    clock.now += timedelta(hours=2)
    assert desk.send_due(store, broker) == 0
    assert (state(store), broker.sent) == ("expired", [])
    with store.read() as session:
        assert session.scalars(select(EventRow.code)).all() == ["order.expired"]


@pytest.mark.parametrize(("uploaded", "ended"), [(2, "done"), (1, "expired")])
def test_a_sample_whose_random_images_came_is_done_whatever_it_wanted_on_top(
    desk: OrderDesk, store: Store, clock: Clock, uploaded: int, ended: str
) -> None:
    want_samples(desk, store, random=2)
    for number in range(uploaded):
        accept(store, upload(f"p-{number}", OutcomeSource.DRIFT_SAMPLE, order_id="sample-1"))
    accept(store, upload("p-picked", OutcomeSource.ATYPICAL, order_id="sample-1"))
    clock.now += timedelta(hours=2)
    desk.send_due(store, Broker())
    assert state(store) == ended


@pytest.mark.parametrize(("uploaded", "ended"), [(1, "done"), (0, "expired")])
def test_a_sample_that_wanted_no_random_images_is_done_only_where_its_agent_sent_something(
    desk: OrderDesk, store: Store, clock: Clock, uploaded: int, ended: str
) -> None:
    want_samples(desk, store, random=0)
    for number in range(uploaded):
        accept(store, upload(f"p-{number}", OutcomeSource.OVERRULED, order_id="sample-1"))
    clock.now += timedelta(hours=2)
    desk.send_due(store, Broker())
    assert state(store) == ended


def test_same_order_id_is_issued_once(desk: OrderDesk, store: Store) -> None:
    issue(desk, store)
    issue(desk, store)
    assert state(store) == "open"


def test_order_ends_once(desk: OrderDesk, store: Store) -> None:
    issue(desk, store)
    with store.write() as session:
        assert desk.close(session, "configure-1", state="done", outcome="", at=START) is not None
        assert desk.close(session, "configure-1", state="failed", outcome="late", at=START) is None
    assert state(store) == "done"


def test_order_that_the_contract_forbids_is_never_written(desk: OrderDesk, store: Store) -> None:
    with pytest.raises(ValueError, match="random"), store.write() as session:
        desk.issue(
            session,
            Sample,
            site="mono",
            agent="agent-1",
            reason="x",
            camera="cam-a",
            product="cap",
            random=-1,
            since=START,
        )
    with store.read() as session:
        assert session.scalars(select(OrderRow)).all() == []
