"""A registry with a served site and an agent's client of it, for tests of what lies between them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from contracts.channel import Channel, Refusal, Release
from edge_agent.updates import UpdateClient
from monitor.registry import Registry
from tests.simulators.file_server import FileServer
from tests.simulators.paper_bundle import write_paper_bundle


@dataclass
class Calendar:
    """A clock that a test turns."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        """Let time pass for the registry."""
        self.now += timedelta(**span)


def release(site: str, sequence: int, bundle_hash: str, *, refused: tuple[str, ...] = (), **fields: Any) -> Channel:
    """A channel whose active release has the sequence's number."""
    values: dict[str, Any] = {
        "active": Release(number=sequence, bundle_hash=bundle_hash),
        "reason": f"release {sequence}",
        "issued_at": datetime(2026, 1, 1, 0, 0, sequence, tzinfo=UTC),
        **fields,
    }
    refusals = tuple(Refusal(bundle_hash=name, reason="worse on the line") for name in refused)
    return Channel(site=site, sequence=sequence, refused=refusals, **values)


class ServedSite:
    """`mono` with release 1 published, beside an empty site `poly`; metadata and targets over real HTTP."""

    def __init__(self, folder: Path, *, ago: timedelta = timedelta()) -> None:
        self.folder = folder
        self.clock = Calendar(datetime.now(UTC) - ago)
        self.registry = Registry.init(folder / "registry", ["mono", "poly"], clock=self.clock)
        self.server = FileServer(folder / "registry" / "repository")
        self.hash = self.publish(1)

    def bundle(self, created: int, *, site: str = "mono") -> Path:
        """A bundle on paper, other for every `created`."""
        path = self.folder / f"bundle-{site}-{created}"
        if not path.exists():
            write_paper_bundle(path, site, created=created, model=bytes([created]) * 5000)
        return path

    def publish(self, sequence: int, *, refused: tuple[str, ...] = (), **fields: Any) -> str:
        """Publish a new bundle and make it active; its hash."""
        bundle_hash = self.registry.publish_bundle("mono", self.bundle(sequence))
        self.registry.publish_channel(release("mono", sequence, bundle_hash, refused=refused, **fields))
        return bundle_hash

    def client(self, name: str = "agent", *, site: str = "mono", **limits: Any) -> UpdateClient:
        """An agent's client; the same name continues where it was."""
        return UpdateClient(
            self.folder / name,
            site,
            f"{self.server.url}/metadata/",
            f"{self.server.url}/targets/",
            self.registry.trusted_root(),
            **{"deadline_seconds": 20.0, "max_bytes": 10_000_000, **limits},
        )

    def snapshot(self, name: str) -> Path:
        """A copy of what is served now, to be served again later."""
        copy = self.folder / name
        shutil.copytree(self.folder / "registry" / "repository", copy)
        return copy
