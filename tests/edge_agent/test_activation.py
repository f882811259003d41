"""A bundle is tried elsewhere before the agent loads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import BundleError
from edge_agent import selection
from edge_agent.loader import Loader
from edge_agent.selection import Selector
from edge_agent.store import Store
from runtime import trial
from runtime.bundle import Bundle
from runtime.trial import Limits, Trials
from tests.edge_agent.conftest import MakeAgent
from tests.simulators.small_bundle import write_small_bundle


def loader(store: Store, folder: Path, seconds: float = 90.0) -> Loader:
    trials = Trials(folder / "trials.json", limits=Limits(seconds=seconds))
    selector = Selector(store, variant=None, threads=1, engines=folder / "engines", trials=trials)
    return Loader(selector, production=False)


def test_sound_bundle_is_loaded_and_its_trial_remembered(small_bundle: Bundle, tmp_path: Path, store: Store) -> None:
    inspector = loader(store, tmp_path).load(small_bundle.path, small_bundle.hash)
    assert inspector.bundle.hash == small_bundle.hash
    assert (tmp_path / "trials.json").exists()


def test_bundle_that_fails_its_trial_is_never_loaded_here(
    small_bundle: Bundle, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "Inspector", lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(BundleError, match=r"did not end in 0 s"):
        loader(store, tmp_path, seconds=0.01).load(small_bundle.path, small_bundle.hash)


def test_restart_needs_no_second_trial(
    small_bundle: Bundle, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader(store, tmp_path).load(small_bundle.path, small_bundle.hash)
    monkeypatch.setattr(trial, "try_bundle", lambda *_, **__: pytest.fail("it was tried again"))
    loader(store, tmp_path).load(small_bundle.path, small_bundle.hash)


@pytest.mark.parametrize("serving", [False, True])
def test_trial_of_the_next_bundle_gives_way_to_the_line_that_is_served(
    small_bundle: Bundle, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, serving: bool
) -> None:
    tried: list[tuple[bool, float]] = []

    def note(*_: object, limits: Limits, background: bool, **__: object) -> None:
        tried.append((background, limits.seconds))

    monkeypatch.setattr(trial, "try_bundle", note)
    trials = Trials(tmp_path / "trials.json", limits=Limits(seconds=5.0))
    selector = Selector(
        store, variant=None, threads=1, engines=tmp_path / "engines", trials=trials, serving=lambda: serving
    )
    selector.select(small_bundle)
    assert tried == [(serving, 50.0 if serving else 5.0)]


def test_a_bundle_is_tried_behind_the_line_once_an_agent_serves(make_agent: MakeAgent, tmp_path: Path) -> None:
    agent = make_agent()
    following = write_small_bundle(tmp_path / "following", seed=5)
    tried: list[bool] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "try_bundle", lambda *_, background, **__: tried.append(background))
        agent.core.loader.load(following.path, following.hash)
    assert tried == [True]
