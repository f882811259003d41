"""A changeover at a running agent: bundle, thresholds and window before the next part, or no verdict and why."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.channel import Channel, Release
from contracts.thresholds import SignedThresholds, Thresholds
from edge_agent.agent import Agent
from edge_agent.inspection import Inspector
from edge_agent.products.settings import BundleSettings, ChangeoverSettings, ProductSettings
from runtime.bundle import Bundle
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.simulators.small_bundle import encoded, picture, write_small_bundle


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that answers the other way round: bright pictures are good."""
    return write_small_bundle(tmp_path_factory.mktemp("other") / "bundle", slope=-4.0)


def products(other: Bundle) -> tuple[ProductSettings, ...]:
    own = BundleSettings(path=other.path, hash=other.hash)
    return ProductSettings(name="cap", codes=("4711",)), ProductSettings(name="nut", codes=("0815",), bundle=own)


def inspected(agent: Agent, **query: str) -> dict[str, Any]:
    """The verdict on a dark picture, which the station's bundle calls good."""
    answer = httpx.post(f"{agent.url}/v1/inspect", params=query, content=encoded(picture(60, 1)), timeout=60)
    body = answer.json()
    return dict(body.get("verdict", body))


def test_a_code_with_the_image_chooses_bundle_and_window(make_agent: MakeAgent, other: Bundle) -> None:
    agent = make_agent(products=products(other))
    first = inspected(agent, product_code="4711", part_id="p-1")
    assert (first["decision"], first["frame"]["product"]) == ("OK", "cap")
    assert inspected(agent, product_code="0815")["reason"] == "changing over to nut: its bundle is being loaded"
    wait_for(lambda: agent.products.shelf.inspectors)
    second = inspected(agent, product_code="0815", part_id="p-2")
    assert (second["decision"], second["frame"]["product"], second["bundle_hash"]) == ("NG", "nut", other.hash)
    third = inspected(agent, product_code="99", part_id="p-3")
    assert (third["decision"], third["frame"]["product"]) == ("NO_VERDICT", "unknown")
    assert "product '99' is not one of the [[products]]" in third["reason"]
    keys = {(key.product, key.bundle_hash) for key in agent.core.ledger._windows.open}
    assert ("nut", other.hash) in keys, "drift is watched by product and bundle"
    assert agent.core.station.active is not None
    assert agent.core.station.active.bundle.hash == first["bundle_hash"], "the station's own bundle goes on serving"


def test_the_line_says_over_http_what_it_makes(make_agent: MakeAgent, other: Bundle) -> None:
    agent = make_agent(products=products(other), changeover=ChangeoverSettings(product_from="line"))
    assert "the line has not said" in inspected(agent)["reason"]
    said = httpx.post(f"{agent.url}/v1/product", params={"product_code": "0815"})
    assert said.json() == {"product": "nut", "camera": None}
    wait_for(lambda: agent.products.shelf.inspectors)
    assert inspected(agent)["bundle_hash"] == other.hash
    refused = httpx.post(f"{agent.url}/v1/product", params={"product_code": "x1"})
    assert refused.status_code == 404
    assert inspected(agent)["decision"] == "NO_VERDICT"
    assert any("'x1' is not one of" in trouble for trouble in agent.view().troubles)
    assert httpx.get(f"{agent.url}/v1/product").json()["said"]["*"] == {"product": None, "code": "x1"}


def test_the_line_goes_on_while_a_bundle_is_being_loaded(
    make_agent: MakeAgent, other: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, go_on = make_agent(products=products(other)), threading.Event()
    load = agent.core.loader.load

    def slow(place: Path, bundle_hash: str) -> Inspector:
        assert go_on.wait(30)
        return load(place, bundle_hash)

    monkeypatch.setattr(agent.core.loader, "load", slow)
    assert "changing over" in inspected(agent, product="nut")["reason"]
    assert inspected(agent, product="cap")["decision"] == "OK"
    assert "changing over" in inspected(agent, product="nut")["reason"]
    go_on.set()
    wait_for(lambda: inspected(agent, product="nut")["bundle_hash"] == other.hash)


def test_a_bundle_that_may_not_serve_is_no_verdict_with_the_reason(make_agent: MakeAgent, other: Bundle) -> None:
    agent = make_agent(products=products(other))
    agent.core.bundles.refuse(other.hash, "wrong on the line")
    inspected(agent, product="nut")
    wait_for(lambda: agent.products.shelf.trouble)
    found = inspected(agent, product="nut")
    assert found["decision"] == "NO_VERDICT"
    assert "wrong on the line" in found["reason"]
    assert inspected(agent, product="cap")["decision"] == "OK"


def test_signed_thresholds_reach_the_bundle_of_a_product(make_agent: MakeAgent, other: Bundle) -> None:
    agent = make_agent(products=products(other))
    agent.products.shelf.begin("nut")
    wait_for(lambda: agent.products.shelf.inspectors)
    entry = SignedThresholds(
        number=5, bundle_hash=other.hash, product="nut", thresholds=Thresholds(ng=0.99, review_from=0.99),
        reason="nuts may look like that", by="lead", at=datetime.now(UTC),
    )  # fmt: skip
    channel = Channel(
        site="plant", sequence=1, active=Release(number=1, bundle_hash="a" * 64), thresholds=(entry,), reason="x",
        issued_at=datetime.now(UTC),
    )  # fmt: skip
    agent.core.bundles.follow_thresholds(channel)
    found = inspected(agent, product="nut")
    assert (found["thresholds_number"], found["threshold"]) == (5, 0.99)
    assert agent.core.bundles.place(other.hash) == other.path


def test_only_so_many_bundles_stay_in_memory(make_agent: MakeAgent, other: Bundle, tmp_path: Path) -> None:
    third = write_small_bundle(tmp_path / "third", seed=9)
    more = (*products(other), ProductSettings(name="pin", bundle=BundleSettings(path=third.path, hash=third.hash)))
    agent = make_agent(products=more, changeover=ChangeoverSettings(keep_loaded=1))
    for name, bundle in (("nut", other), ("pin", third), ("nut", other)):
        agent.products.shelf.begin(name)
        wait_for(lambda bundle=bundle: [i.bundle.hash for i in agent.products.shelf.inspectors] == [bundle.hash])
