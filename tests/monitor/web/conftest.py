"""The monitor's whole web application over a store that has seen a morning."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from monitor.app import make_app
from monitor.door import Door
from monitor.registry import Registry
from monitor.settings import MonitorSettings
from monitor.web import Pages
from monitor.works import Works, make_works
from tests.simulators.seeded_store import SITE, seed_store


def make_pages(works: Works) -> FastAPI:
    """Door, API and pages as the service puts them together."""
    door = Door(user="operator", password=None, agent_token=None, hosts=frozenset({"testserver"}))
    app = make_app(
        works.store, works.blobs, works.desk, works.registry, CollectorRegistry(), door=door, max_image_bytes=10**7
    )
    Pages(works.store, works.blobs).attach(app)
    return app


@pytest.fixture
def empty_works(tmp_path: Path) -> Iterator[Works]:
    """A monitor that has just been made."""
    Registry.init(tmp_path / "state" / "registry", [SITE])
    works = make_works(MonitorSettings(state_folder=tmp_path / "state", sites=(SITE,)))
    yield works
    works.close()


@pytest.fixture
def works(empty_works: Works) -> Works:
    """The same after a busy morning."""
    seed_store(empty_works.store, empty_works.blobs, now=datetime.now(UTC), images=4)
    return empty_works


@pytest.fixture
def client(works: Works) -> Iterator[TestClient]:
    """A browser, without its scripts."""
    with TestClient(make_pages(works)) as client:
        yield client
