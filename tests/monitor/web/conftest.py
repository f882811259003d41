"""The monitor's whole web application over a store that has seen a morning."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from contracts.access import key_digest
from monitor.app import make_app
from monitor.door import Door
from monitor.registry import Registry
from monitor.settings import MonitorSettings
from monitor.web import Pages
from monitor.works import Works, make_works
from tests.simulators.seeded_store import SITE, seed_store


def make_pages(works: Works, *, password: str | None = None, raters: dict[str, str] | None = None) -> FastAPI:
    """Door, API and pages as the service puts them together. `raters`: their keys by name."""
    digests = {name: key_digest(key) for name, key in (raters or {}).items()}
    door = Door(user="operator", password=password, agent_token=None, hosts=frozenset({"testserver"}), raters=digests)
    app = make_app(
        works.store, works.blobs, works.desk, works.registry, CollectorRegistry(), door=door, max_image_bytes=10**7
    )
    Pages(works.store, works.blobs, works.shelf, people=works.people).attach(app)
    return app


@pytest.fixture
def empty_works(tmp_path: Path) -> Iterator[Works]:
    """A monitor that has just been made."""
    Registry.init(tmp_path / "state" / "registry", [SITE])
    works = _open(tmp_path / "state")
    yield works
    works.close()


@pytest.fixture(scope="session")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a monitor that has seen a busy morning; to be copied, not used."""
    folder = tmp_path_factory.mktemp("morning") / "state"
    Registry.init(folder / "registry", [SITE])
    works = _open(folder)
    seed_store(works.store, works.blobs, now=datetime.now(UTC), images=4)
    works.close()
    return folder


@pytest.fixture
def works(morning: Path, tmp_path: Path) -> Iterator[Works]:
    """A monitor after its morning, for this test alone."""
    shutil.copytree(morning, tmp_path / "state")
    works = _open(tmp_path / "state")
    yield works
    works.close()


@pytest.fixture
def client(works: Works) -> Iterator[TestClient]:
    """A browser without its scripts, for a test that changes things."""
    with TestClient(make_pages(works)) as client:
        yield client


@pytest.fixture(scope="session")
def shared_reader(morning: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One browser for all tests that only look; see `reader`."""
    folder = tmp_path_factory.mktemp("read") / "state"
    shutil.copytree(morning, folder)
    works = _open(folder)
    with TestClient(make_pages(works)) as client:
        yield client
    works.close()


@pytest.fixture
def reader(shared_reader: TestClient) -> TestClient:
    """A browser for tests that only look, with no memory of other tests."""
    shared_reader.cookies.clear()
    return shared_reader


@pytest.fixture
def rater_at_work(morning: Path, tmp_path: Path) -> Iterator[TestClient]:
    """The browser of `ann`, one of two raters of that monitor."""
    shutil.copytree(morning, tmp_path / "state")
    keys = {"ann": "key-of-ann", "bo": "key-of-bo"}
    raters = [{"name": name, "key_sha256": key_digest(key)} for name, key in keys.items()]
    works = _open(tmp_path / "state", web={"password": "secret", "raters": raters})
    with TestClient(make_pages(works, password="secret", raters=keys)) as client:
        client.auth = ("ann", "key-of-ann")
        yield client
    works.close()


def _open(folder: Path, **changes: Any) -> Works:
    return make_works(MonitorSettings.model_validate({"state_folder": folder, "sites": (SITE,), **changes}))
