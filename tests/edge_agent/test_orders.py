"""Orders: kept until done, once each, and answered whatever they are."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import OrderError
from contracts.orders import Configure, Order, Replay, Retrain, Sample
from contracts.telemetry import Event, EventKind
from edge_agent.orders import Orders
from edge_agent.outbox import Outbox
from edge_agent.store import Store

NOW = datetime.now(UTC)


def times(order_id: str, *, hours: float = 1) -> dict[str, Any]:
    return {"order_id": order_id, "issued_at": NOW, "expires_at": NOW + timedelta(hours=hours), "reason": "a test"}


def configure(order_id: str = "o-1", **more: Any) -> Configure:
    return Configure(**{**times(order_id), "audit_fraction": 0.5, **more})


def desk(store: Store) -> tuple[Orders, list[Order]]:
    begun: list[Order] = []
    orders = Orders(store, Outbox(store, agent="agent-1", max_bytes=10**9))
    orders.begin = {"configure": begun.append, "replay": begun.append}
    return orders, begun


def events(store: Store) -> list[tuple[EventKind, str | None, str]]:
    messages = Outbox(store, agent="agent-1", max_bytes=10**9).waiting(after=0, limit=100)
    bodies = [message.envelope.body for message in messages]
    return [(body.event, body.order_id, body.reason) for body in bodies if isinstance(body, Event)]


def wire(order: Order) -> bytes:
    return order.model_dump_json().encode()


def test_an_order_is_begun_and_stays_open_until_it_is_finished(store: Store) -> None:
    orders, begun = desk(store)
    orders.receive(wire(configure()))
    assert begun == orders.open(Configure) == [configure()]
    orders.finish(configure(), details={"n": 1})
    assert orders.open(Configure) == []
    assert events(store) == [(EventKind.ORDER_DONE, "o-1", "")]


def test_the_same_order_twice_changes_nothing(store: Store) -> None:
    orders, begun = desk(store)
    for _ in range(3):
        orders.receive(wire(configure()))
        orders.finish(configure())
    assert len(begun) == 1
    assert len(events(store)) == 1


def test_open_orders_survive_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.sqlite")
    desk(store)[0].receive(wire(configure()))
    store.close()
    store = Store(tmp_path / "a.sqlite")
    assert desk(store)[0].open(Configure) == [configure()]
    store.close()


def test_an_expired_order_is_refused(store: Store) -> None:
    orders, begun = desk(store)
    orders.receive(wire(configure(**times("o-1", hours=-1))))
    assert begun == []
    assert events(store) == [(EventKind.ORDER_FAILED, "o-1", "it had expired when it arrived")]


def test_an_order_that_cannot_be_carried_out_is_answered_with_the_reason(store: Store) -> None:
    orders, _ = desk(store)

    def refuse(order: Order) -> None:
        raise OrderError("there is no buffer")

    orders.begin = {"replay": refuse}
    orders.receive(wire(Replay(**times("o-2"), bundle_hash="a" * 64, images=5)))
    assert events(store) == [(EventKind.ORDER_FAILED, "o-2", "there is no buffer")]


def test_a_retrain_order_is_none_of_an_agents_business(store: Store) -> None:
    orders, _ = desk(store)
    order = Retrain(
        **times("o-3"), site="plant", product="cap", parent_bundle="a" * 64, base_snapshot="b" * 64, labels_manifest="x"
    )
    orders.receive(wire(order))
    ((kind, _, reason),) = events(store)
    assert (kind, "'retrain'" in reason) == (EventKind.ORDER_FAILED, True)


def test_orders_of_other_kinds_are_not_mixed_up(store: Store) -> None:
    orders, _ = desk(store)
    orders.receive(wire(configure()))
    assert orders.open(Sample) == []


def test_an_order_of_a_newer_monitor_is_answered_as_failed(store: Store) -> None:
    orders, _ = desk(store)
    orders.receive(json.dumps({"kind": "dance", "order_id": "o-9"}).encode())
    assert events(store) == [(EventKind.ORDER_FAILED, "o-9", "this version of the agent cannot read the order")]


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("orders") / "a.sqlite")


@given(
    st.binary(max_size=200)
    | st.recursive(st.text() | st.integers(), lambda x: st.lists(x)).map(lambda x: json.dumps(x).encode())
)
def test_nothing_on_the_wire_raises(shared_store: Store, payload: bytes) -> None:
    orders, begun = desk(shared_store)
    orders.receive(payload)
    assert begun == []
