"""Signed thresholds: they decide from one image to the next, over restarts, and every verdict says which decided it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contracts.errors import QuotaError
from contracts.frame import Decision, Outcome, OutcomeSource
from contracts.orders import CountScores
from contracts.scores import Scores
from contracts.telemetry import Event, EventKind
from contracts.thresholds import SignedThresholds, Thresholds
from edge_agent.source import Capture
from lineside.main import app
from runtime.bundle import Bundle
from runtime.preview import Tally, tally
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.edge_agent.test_follower import Shelf, Site
from tests.simulators.captures import frame
from tests.simulators.small_bundle import picture, write_small_bundle

NOW = datetime.now(UTC)
BETWEEN = 140  # grey: a defect score of about 0.79, NG by the bundle's own 0.6


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    """Two bundles. Do not change them."""
    folder = tmp_path_factory.mktemp("bundles")
    return [write_small_bundle(folder / f"{number}", seed=number) for number in (1, 2)]


@pytest.fixture
def site(make_agent: MakeAgent, bundles: list[Bundle]) -> Callable[[], Site]:
    """`site()` starts an agent; again: the same state."""
    return lambda: Site(make_agent(bundle=None), Shelf(*bundles))


def entry(
    number: int, bundle: Bundle, ng: float, *, review_from: float | None = None, **fields: Any
) -> SignedThresholds:
    thresholds = Thresholds(ng=ng, review_from=ng if review_from is None else review_from)
    values = {"reason": "scratches escape", "by": "engineer-2", "at": NOW, "product": None, **fields}
    return SignedThresholds(number=number, bundle_hash=bundle.hash, thresholds=thresholds, **values)


def decided(
    plant: Site, number: int, *, product: str = "cap"
) -> tuple[Decision, float | None, float | None, int | None]:
    """What the record says about a grey part."""
    station = plant.agent.core.station
    station.inspect(Capture(frame(number, product=product), picture(BETWEEN, 3)), "test")
    station.commits.now()
    verdict = plant.agent.core.record.entries(limit=1)[0].verdict
    return verdict.decision, verdict.threshold, verdict.review_from, verdict.thresholds_number


def told(plant: Site) -> list[tuple[EventKind, int | None, str]]:
    bodies = [message.envelope.body for message in plant.agent.core.outbox.waiting(after=0, limit=1000)]
    kinds = (EventKind.THRESHOLDS_APPLIED, EventKind.THRESHOLDS_REFUSED)
    return [(b.event, b.details["number"], b.reason) for b in bodies if isinstance(b, Event) and b.event in kinds]


def test_they_decide_from_the_next_image_on_and_over_a_restart(site: Callable[[], Site], bundles: list[Bundle]) -> None:
    plant, (first, _) = site(), bundles
    plant.follow(first)
    assert decided(plant, 0) == (Decision.NG, 0.6, 0.4, None)
    plant.follow(first, thresholds=(entry(1, first, 0.9, review_from=0.7),))
    assert decided(plant, 1) == (Decision.REVIEW, 0.9, 0.7, 1)
    plant.follow(first, thresholds=(entry(1, first, 0.9, review_from=0.7),))
    plant.agent.close()
    again = site()
    assert decided(again, 2) == (Decision.REVIEW, 0.9, 0.7, 1)
    assert told(again) == [(EventKind.THRESHOLDS_APPLIED, 1, "scratches escape")]


def test_one_product_may_have_its_own_and_they_are_undone_by_a_later_channel(
    site: Callable[[], Site], bundles: list[Bundle]
) -> None:
    plant, (first, _) = site(), bundles
    plant.follow(first, thresholds=(entry(1, first, 0.9), entry(2, first, 0.5, product="cap-black")))
    assert decided(plant, 0, product="cap-black") == (Decision.NG, 0.5, 0.5, 2)
    assert decided(plant, 1) == (Decision.OK, 0.9, 0.9, 1)
    plant.follow(first, thresholds=(entry(2, first, 0.5, product="cap-black"),))
    assert decided(plant, 2) == (Decision.NG, 0.6, 0.4, None)
    assert told(plant)[-1] == (EventKind.THRESHOLDS_APPLIED, None, "thresholds 1 no longer decide")


def test_they_belong_to_their_bundle_and_are_there_before_it_answers(
    site: Callable[[], Site], bundles: list[Bundle]
) -> None:
    plant, (first, second) = site(), bundles
    plant.follow(first, thresholds=(entry(1, second, 0.9),))
    assert decided(plant, 0)[3] is None
    plant.follow(second, thresholds=(entry(1, second, 0.9),))
    assert decided(plant, 1) == (Decision.OK, 0.9, 0.9, 1)
    plant.follow(first, thresholds=(entry(1, second, 0.9),), reason="rolled back")
    assert decided(plant, 2)[3] is None


def test_one_out_of_range_is_refused_with_the_reason_and_the_one_before_goes_on(
    site: Callable[[], Site], bundles: list[Bundle]
) -> None:
    plant, (first, _) = site(), bundles
    plant.follow(first, thresholds=(entry(1, first, 0.9),))
    for _ in range(2):
        plant.follow(first, thresholds=(entry(2, first, 0.9999),))
    assert decided(plant, 0) == (Decision.OK, 0.9, 0.9, 1)
    why = "NG from 0.9999 lies above 0.999 (inspection.highest_ng): nearly every defect would pass"
    assert told(plant)[1:] == [(EventKind.THRESHOLDS_REFUSED, 2, why)]
    assert f"thresholds 2 are not followed: {why}" in plant.agent.view().troubles
    plant.follow(first, thresholds=(entry(3, first, 0.8),))
    assert decided(plant, 1)[3] == 3
    assert not plant.agent.view().troubles


def test_on_a_full_disk_those_from_before_go_on(
    site: Callable[[], Site], bundles: list[Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, (first, _) = site(), bundles
    plant.follow(first, thresholds=(entry(1, first, 0.9),))

    def full(*_: object) -> None:
        raise QuotaError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(plant.agent.core.store, "remember", full)
        with pytest.raises(QuotaError):
            plant.follow(first, thresholds=(entry(2, first, 0.7),))
        assert decided(plant, 0)[3] == 1
    plant.follow(first, thresholds=(entry(2, first, 0.7),))
    assert decided(plant, 1)[3] == 2


def test_a_shadow_decides_by_the_thresholds_that_are_signed_for_it(
    site: Callable[[], Site], bundles: list[Bundle]
) -> None:
    plant, (first, second) = site(), bundles
    plant.follow(first, shadow=second, thresholds=(entry(1, second, 0.9),))
    shadow = plant.agent.core.shadow.inspector
    assert shadow is not None
    assert shadow.book.of("cap").number == 1


def test_scores_come_back_counted_on_an_order_and_name_no_part(site: Callable[[], Site], bundles: list[Bundle]) -> None:
    plant, (first, _) = site(), bundles
    plant.follow(first, thresholds=(entry(1, first, 0.8123),))
    station, core = plant.agent.core.station, plant.agent.core
    for number, level in enumerate([90] * 5 + [BETWEEN] * 3 + [225] * 2):
        station.inspect(Capture(frame(number), picture(level, number)), "test")
    station.inspect(Capture(frame(77, product="other"), picture(90, 1)), "test")
    station.commits.now()
    told = Outcome(part_id="cam-a-5", label="good", source=OutcomeSource.OPERATOR, rater="r-1", decided_at=NOW)
    core.record.append_outcome(told)
    order = CountScores(
        order_id="c-1", issued_at=NOW, expires_at=NOW + timedelta(hours=1), reason="preview", bundle_hash=first.hash,
        product="cap",
    )  # fmt: skip
    core.orders.receive(order.model_dump_json().encode())

    def done() -> list[Event]:
        bodies = [message.envelope.body for message in core.outbox.waiting(after=0, limit=1000)]
        return [body for body in bodies if isinstance(body, Event) and body.event is EventKind.ORDER_DONE]

    wait_for(done)
    scores = Scores.model_validate(done()[0].details)
    assert scores.images == 10
    assert (
        tally(scores.all, Thresholds(ng=0.8123, review_from=0.8123), scores.edges).ng == scores.decisions[Decision.NG]
    )
    assert tally(scores.all, first.manifest.thresholds, scores.edges).ng == 5
    assert tally(scores.outcomes.good, first.manifest.thresholds, scores.edges) == Tally(ng=1)
    assert "cam-a" not in done()[0].model_dump_json()


def test_scores_of_a_bundle_that_is_gone_are_refused_with_the_reason(
    site: Callable[[], Site], bundles: list[Bundle], tmp_path: Path
) -> None:
    plant, (first, second) = site(), bundles
    plant.follow(first)
    order = CountScores(
        order_id="c-2", issued_at=NOW, expires_at=NOW + timedelta(hours=1), reason="preview", bundle_hash=second.hash,
        product="cap",
    )  # fmt: skip
    plant.agent.core.orders.receive(order.model_dump_json().encode())
    bodies = [message.envelope.body for message in plant.agent.core.outbox.waiting(after=0, limit=100)]
    assert [b.reason for b in bodies if isinstance(b, Event) and b.event is EventKind.ORDER_FAILED] == [
        f"bundle {second.hash[:12]} no longer lies on this device; its classes are not known here"
    ]


def test_a_station_previews_its_own_record_and_changes_nothing(
    site: Callable[[], Site], bundles: list[Bundle], tmp_path: Path
) -> None:
    plant, (first, _) = site(), bundles
    plant.follow(first, thresholds=(entry(1, first, 0.9),))
    for number in range(3):
        decided(plant, number)
    config = tmp_path / "agent.toml"
    state = plant.agent.settings.state_folder
    config.write_text(f'site = "plant"\nagent = "agent-1"\nstate_folder = "{state}"\n')
    for _ in ("while it runs", "afterwards"):
        shown = CliRunner().invoke(
            app, ["agent", "thresholds", "preview", "--config", str(config), "--ng", "0.5", "--json"]
        )
        assert shown.exit_code == 0, shown.output
        seen = json.loads(shown.output)
        assert (seen["now"]["ng"], seen["then"]["ng"]) == (0.9, 0.5)
        assert seen["all"] == {"now": {"ok": 3, "review": 0, "ng": 0}, "then": {"ok": 0, "review": 0, "ng": 3}}
        plant.agent.close()
    wrong = CliRunner().invoke(app, ["agent", "thresholds", "preview", "--config", str(config), "--product", "nut"])
    assert wrong.exit_code == 1
    assert "nothing of product nut was decided in the last 7 days" in wrong.output
