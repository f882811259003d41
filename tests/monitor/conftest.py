"""A store or a monitored plant of its own for each test that asks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitor.store import Store
from runtime.bundle import Bundle
from tests.simulators.monitored_plant import Plant, certified_bundle

MakePlant = Callable[..., Plant]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new store's database, to be copied: making its tables takes longer than most tests."""
    file = tmp_path_factory.mktemp("empty") / "monitor.db"
    Store(file).close()
    return file


@pytest.fixture
def store(empty_database: Path, tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    (tmp_path / "store").mkdir()
    shutil.copy(empty_database, tmp_path / "store")
    store = Store(tmp_path / "store" / "monitor.db")
    yield store
    store.close()


@pytest.fixture(scope="session")
def first_served(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """A plant that serves its first release, closed: to be copied."""
    folder = tmp_path_factory.mktemp("first-served")
    plant = Plant.make(folder / "plant")
    plant.serve_first(folder)
    plant.close()
    return plant


@pytest.fixture(scope="session")
def better_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A certified bundle that is right on the new finish, too. Do not change it."""
    return certified_bundle(tmp_path_factory.mktemp("better") / "bundle", ng=0.9995)


@pytest.fixture
def make_plant(first_served: Plant, tmp_path: Path) -> Iterator[MakePlant]:
    """`make_plant(**settings)` is a plant that serves its first release; it is closed after the test."""
    made: list[Plant] = []

    def make(**changes: object) -> Plant:
        plant = Plant.like(first_served, tmp_path / f"plant-{len(made)}", **changes)  # type: ignore[arg-type]
        made.append(plant)
        return plant

    yield make
    for plant in made:
        plant.close()
