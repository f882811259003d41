"""A bundle is tried elsewhere before the agent loads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import BundleError
from edge_agent import selection
from edge_agent.activation import Loader
from edge_agent.selection import Selector
from edge_agent.store import Store
from runtime import trial
from runtime.bundle import Bundle
from runtime.trial import Limits, Trials


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
