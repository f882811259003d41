"""Following the channel: the right bundle serves, a bad one never does, and every change is reported once."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.channel import Channel, Refusal, Release
from contracts.errors import BundleError, ConfigurationError, LinkError, QuotaError
from contracts.orders import Install
from contracts.telemetry import Event, EventKind
from contracts.thresholds import SignedThresholds
from edge_agent.agent import Agent
from edge_agent.follower import Follower
from edge_agent.inspection import Inspector
from edge_agent.source import Capture
from edge_agent.updates import UntrustedError
from runtime.bundle import Bundle
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.simulators.captures import frame
from tests.simulators.small_bundle import picture, write_small_bundle


class Shelf:
    """A registry in memory: bundles by hash, and what is wrong with it."""

    def __init__(self, *bundles: Bundle) -> None:
        self.bundles = {bundle.hash: bundle for bundle in bundles}
        self.fetched: list[str] = []
        self.error: Exception | None = None

    def channel(self) -> Channel:
        raise NotImplementedError

    def fetch(self, bundle_hash: str, staging_folder: Path) -> Path:
        if self.error is not None:
            raise self.error
        self.fetched.append(bundle_hash)
        return Path(shutil.copytree(self.bundles[bundle_hash].path, staging_folder / bundle_hash, dirs_exist_ok=True))


class Site:
    """An agent without a bundle of its own, a shelf, and a channel that counts up."""

    def __init__(self, agent: Agent, shelf: Shelf) -> None:
        self.agent, self.shelf, self.sequence = agent, shelf, 0
        core = agent.core
        self.follower = Follower(shelf, core.bundles, core.shadow, core.orders, core.store, poll_seconds=1.0)

    def follow(
        self,
        active: Bundle,
        *,
        shadow: Bundle | None = None,
        refused: tuple[Bundle, ...] = (),
        thresholds: tuple[SignedThresholds, ...] = (),
        reason: str = "released",
    ) -> None:
        self.sequence += 1
        self.follower.follow(
            Channel(
                site="plant",
                sequence=self.sequence,
                active=Release(number=self.sequence, bundle_hash=active.hash),
                shadow=None if shadow is None else Release(number=99, bundle_hash=shadow.hash),
                refused=tuple(Refusal(bundle_hash=bundle.hash, reason="withdrawn") for bundle in refused),
                thresholds=thresholds,
                reason=reason,
                issued_at=datetime.now(UTC),
            )
        )

    @property
    def serving(self) -> str | None:
        active = self.agent.core.station.active
        return None if active is None else active.bundle.hash

    def events(self) -> list[tuple[EventKind, str | None]]:
        bodies = [message.envelope.body for message in self.agent.core.outbox.waiting(after=0, limit=1000)]
        return [(body.event, body.bundle_hash) for body in bodies if isinstance(body, Event)]

    def inspect(self, count: int) -> None:
        for number in range(count):
            self.agent.core.station.inspect(Capture(frame(number), picture(80, number)), "test")
        self.agent.core.station.commits.now()


Making = Callable[..., Bundle]


@pytest.fixture
def make_bundle(tmp_path: Path) -> Making:
    made: list[int] = []

    def make(**changes: Any) -> Bundle:
        made.append(1)
        return write_small_bundle(tmp_path / f"bundle-{len(made)}", seed=len(made), **changes)

    return make


@pytest.fixture
def site(make_agent: MakeAgent) -> Callable[..., Site]:
    def start(*bundles: Bundle, **settings: Any) -> Site:
        return Site(make_agent(bundle=None, **settings), Shelf(*bundles))

    return start


def test_the_active_release_is_fetched_probed_and_served(site: Callable[..., Site], make_bundle: Making) -> None:
    first = make_bundle()
    plant = site(first)
    plant.follow(first)
    assert plant.serving == first.hash
    assert plant.events() == [(EventKind.BUNDLE_ACTIVATED, first.hash)]
    assert plant.agent.view().release == 1
    assert plant.agent.birth().channel_sequence == 1


def test_the_same_channel_again_changes_nothing(site: Callable[..., Site], make_bundle: Making) -> None:
    first = make_bundle()
    plant = site(first)
    for _ in range(3):
        plant.follow(first)
    assert plant.shelf.fetched == [first.hash]
    assert len(plant.events()) == 1


def test_a_rollback_needs_nothing_from_the_registry(site: Callable[..., Site], make_bundle: Making) -> None:
    first, second = make_bundle(), make_bundle()
    plant = site(first, second)
    plant.follow(first)
    plant.inspect(25)
    plant.agent.core.bundles.watch()
    plant.follow(second)
    plant.shelf.error = LinkError("away")
    plant.follow(first, refused=(second,), reason="wrong on the line")
    assert plant.serving == first.hash
    assert plant.agent.core.bundles.slots.refused() == {second.hash: "withdrawn"}
    assert [kind for kind, _ in plant.events()] == [EventKind.BUNDLE_ACTIVATED] * 3


BAD: dict[str, dict[str, Any]] = {
    "golden samples differ": {"golden_shift": 0.5},
    "not for production": {"licence": {"production": False, "licence": "CC-BY-NC"}},
    "drift reference": {"drift_reference": {"components": 1, "embedding_width": 8, "names": ["margin", "mahalanobis"]}},
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_bundle_never_serves_and_is_refused_for_good(
    site: Callable[..., Site], make_bundle: Making, fault: str
) -> None:
    first, bad = make_bundle(), make_bundle(**BAD[fault])
    plant = site(first, bad)
    plant.follow(first)
    for _ in range(3):
        plant.follow(bad)
    assert plant.serving == first.hash
    assert plant.events() == [(EventKind.BUNDLE_ACTIVATED, first.hash), (EventKind.BUNDLE_REFUSED, bad.hash)]
    assert bad.hash in plant.agent.core.bundles.slots.refused()
    assert plant.shelf.fetched.count(bad.hash) == 1


def test_an_agent_for_trials_takes_bundles_that_are_not_for_production(
    site: Callable[..., Site], make_bundle: Making
) -> None:
    trial = make_bundle(licence={"production": False})
    plant = site(trial, production=False)
    plant.follow(trial)
    assert plant.serving == trial.hash


@pytest.mark.parametrize("error", [LinkError("away"), UntrustedError("not signed")])
def test_trouble_with_the_registry_refuses_no_bundle(
    site: Callable[..., Site], make_bundle: Making, error: Exception
) -> None:
    first, second = make_bundle(), make_bundle()
    plant = site(first, second)
    plant.follow(first)
    plant.shelf.error = error
    with pytest.raises(type(error)):
        plant.follow(second)
    assert plant.serving == first.hash
    plant.shelf.error = None
    plant.follow(second)
    assert plant.serving == second.hash


def test_a_bundle_that_fails_on_the_line_gives_its_place_back(site: Callable[..., Site], make_bundle: Making) -> None:
    first, second = make_bundle(), make_bundle()
    plant = site(first, second)
    plant.follow(first)
    plant.inspect(25)
    plant.agent.core.bundles.watch()
    plant.follow(second)
    active = plant.agent.core.station.active
    assert active is not None

    def fail(*_: object, **__: object) -> None:
        raise BundleError("out of memory")

    active.session.infer = fail  # type: ignore[method-assign, assignment]
    plant.inspect(6)
    wait_for(lambda: plant.serving == first.hash)
    assert [kind for kind, bundle in plant.events() if bundle == second.hash] == [
        EventKind.BUNDLE_ACTIVATED, EventKind.BUNDLE_REFUSED, EventKind.BUNDLE_ROLLED_BACK
    ]  # fmt: skip
    plant.inspect(1)
    assert plant.agent.core.station.failures == 0


def test_a_bundle_under_which_the_agent_keeps_dying_gives_its_place_back(
    site: Callable[..., Site], make_bundle: Making
) -> None:
    first, second = make_bundle(), make_bundle()
    plant = site(first, second)
    plant.follow(first)
    plant.agent.core.bundles.slots.confirm()
    plant.follow(second)
    served = []
    for _ in range(3):
        die(plant)
        plant = site(first, second)
        served.append(plant.serving)
    assert served == [second.hash, first.hash, first.hash]
    assert (EventKind.BUNDLE_ROLLED_BACK, second.hash) in plant.events()
    assert second.hash in plant.agent.core.bundles.slots.refused()


def die(plant: Site) -> None:
    """As a kill leaves it: nothing is said to the slots."""
    plant.agent.threads.failure = RuntimeError("killed")
    plant.agent.close()


def test_what_served_before_a_restart_serves_after_it_without_a_new_report(
    site: Callable[..., Site], make_bundle: Making
) -> None:
    first = make_bundle()
    plant = site(first)
    plant.follow(first)
    plant.agent.close()
    again = site(first)
    assert again.serving == first.hash
    assert again.events() == [(EventKind.BUNDLE_ACTIVATED, first.hash)]
    assert again.agent.view().release == 1


def test_the_shadow_of_the_channel_runs_and_stops_with_it(site: Callable[..., Site], make_bundle: Making) -> None:
    first, second = make_bundle(), make_bundle()
    plant = site(first, second)
    plant.follow(first, shadow=second)
    shadow = plant.agent.core.shadow.inspector
    assert shadow is not None
    assert (shadow.bundle.hash, plant.serving) == (second.hash, first.hash)
    assert plant.events()[-1] == (EventKind.SHADOW_STARTED, second.hash)
    assert plant.agent.birth().shadow_hash == second.hash
    plant.follow(first)
    assert plant.agent.core.shadow.inspector is None


def test_a_shadow_that_was_switched_off_is_refused_and_not_started_again(
    site: Callable[..., Site], make_bundle: Making
) -> None:
    first, second = make_bundle(), make_bundle()
    plant = site(first, second)
    plant.follow(first, shadow=second)
    run = plant.agent.core.shadow._run
    assert run is not None
    plant.agent.core.shadow._disable(run, "it hangs")
    plant.agent.core.bundles.watch()
    plant.follow(first, shadow=second)
    assert plant.agent.core.shadow.inspector is None
    assert (EventKind.BUNDLE_REFUSED, second.hash) in plant.events()


def test_a_hint_is_answered_when_the_channel_was_followed(site: Callable[..., Site], make_bundle: Making) -> None:
    first = make_bundle()
    plant = site(first)
    plant.agent.core.orders.begin = {"install": plant.follower.hint}
    now = datetime.now(UTC)
    for number, sequence in ((1, 1), (2, 7)):
        order = Install(
            order_id=f"i-{number}", issued_at=now, expires_at=now + timedelta(hours=1), reason="new",
            channel_sequence=sequence,
        )  # fmt: skip
        plant.agent.core.orders.receive(order.model_dump_json().encode())
    plant.follow(first)
    assert [order.order_id for order in plant.agent.core.orders.open(Install)] == ["i-2"]
    assert (EventKind.ORDER_DONE, None) in plant.events()


def test_the_line_goes_on_while_a_bundle_is_being_installed(
    site: Callable[..., Site], make_bundle: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_bundle(), make_bundle()
    plant = site(first, second)
    plant.follow(first)
    go_on = threading.Event()
    fetch = plant.shelf.fetch

    def slow(bundle_hash: str, staging_folder: Path) -> Path:
        assert go_on.wait(30)
        return fetch(bundle_hash, staging_folder)

    monkeypatch.setattr(plant.shelf, "fetch", slow)
    following = threading.Thread(target=plant.follow, args=(second,))
    following.start()
    plant.inspect(30)
    plant.agent.core.bundles.watch()
    assert plant.serving == first.hash
    go_on.set()
    following.join()
    assert plant.serving == second.hash


def test_a_loaded_bundle_is_an_inspector_that_passed_its_probe(site: Callable[..., Site], make_bundle: Making) -> None:
    bundle = make_bundle()
    assert isinstance(site().agent.core.loader.load(bundle.path, bundle.hash), Inspector)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (QuotaError("full"), "releases-unwritable"),
        (OSError(28, "No space left on device"), "releases-unwritable"),
        (sqlite3.OperationalError("disk I/O error"), "releases-unwritable"),
        (ConfigurationError("a root of trust that cannot be read"), "releases-refused"),
        (LinkError("away"), "releases-away"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_cannot_be_had_or_kept_is_said_and_tried_again(
    site: Callable[..., Site], make_bundle: Making, error: Exception, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, plant, stopping = make_bundle(), site(), threading.Event()
    plant.shelf.bundles[first.hash] = first
    plant.shelf.error = error
    released = Channel(
        site="plant",
        sequence=1,
        active=Release(number=1, bundle_hash=first.hash),
        reason="released",
        issued_at=datetime.now(UTC),
    )
    monkeypatch.setattr(plant.shelf, "channel", lambda: released)
    follower = plant.follower
    monkeypatch.setattr(follower, "_poll_seconds", 0.05)
    following = threading.Thread(target=follower.run, args=(stopping,))
    following.start()
    wait_for(lambda: follower.trouble)
    assert follower.trouble is not None
    assert follower.trouble.code == code
    plant.shelf.error = None
    wait_for(lambda: plant.serving == first.hash)
    wait_for(lambda: follower.trouble is None)
    stopping.set()
    following.join(10)
    assert not following.is_alive()
