"""A registry whose writer is killed: agents see the old release or the new one, and the same call completes it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from monitor.registry import Registry
from tests.simulators import killed
from tests.simulators.paper_bundle import write_paper_bundle
from tests.simulators.site import ServedSite, release

PUBLISH = """
import sys
from pathlib import Path
from monitor.registry import Registry
from tests.simulators.site import release
registry = Registry.open(Path(sys.argv[1]))
bundle_hash = registry.publish_bundle("mono", Path(sys.argv[2]))
registry.publish_channel(release("mono", 2, bundle_hash))
"""
INIT = """
import sys
from pathlib import Path
from monitor.registry import Registry
Registry.init(Path(sys.argv[1]), ["mono"])
"""
needs_strace = pytest.mark.skipif(not killed.AVAILABLE, reason="strace is missing or may not trace here")


@needs_strace
def test_killed_at_any_system_call_of_a_publication_agents_follow_the_old_or_the_new_channel(tmp_path: Path) -> None:
    site = ServedSite(tmp_path)
    program, bundle = tmp_path / "publish.py", site.bundle(2)
    program.write_text(PUBLISH)
    whole = shutil.copytree(site.registry.folder, tmp_path / "whole")
    calls = killed.traced_calls(program, whole, bundle, log=tmp_path / "log")
    assert len(calls) > 40
    seen = set()
    with site.server.running():
        for number in range(0, len(calls), _step()):
            trial = shutil.copytree(site.registry.folder, tmp_path / f"trial-{number}")
            site.server.folder = trial / "repository"
            killed.run_killed_at(number, calls, program, trial, bundle)
            channel = site.client(f"agent-{number}").channel()
            seen.add(channel.sequence)
            site.client(f"agent-{number}").fetch(channel.active.bundle_hash, tmp_path / "incoming")
            _publish_again(trial, bundle)
            assert site.client(f"agent-{number}").channel().sequence == 2, calls[number]
            shutil.rmtree(trial)
    assert 1 in seen


@needs_strace
def test_killed_at_any_system_call_of_init_it_can_be_made_again(tmp_path: Path) -> None:
    program = tmp_path / "init.py"
    program.write_text(INIT)
    calls = killed.traced_calls(program, tmp_path / "whole", log=tmp_path / "log")
    for number in range(0, len(calls), 2 * _step()):
        folder = tmp_path / f"registry-{number}"
        killed.run_killed_at(number, calls, program, folder)
        registry = Registry.open(folder) if folder.exists() else Registry.init(folder, ["mono"])
        assert registry.sites == ("mono",)


def test_two_writers_do_not_lose_each_others_releases(tmp_path: Path) -> None:
    """Every call reads anew under a lock, so a command beside a running monitor is safe."""
    first = Registry.init(tmp_path / "registry", ["mono", "poly"])
    second = Registry.open(tmp_path / "registry")
    for site, writer in (("mono", first), ("poly", second), ("mono", second), ("poly", first)):
        path = tmp_path / f"{site}-bundle"
        if not path.exists():
            write_paper_bundle(path, site)
        last = writer.channel(site)
        writer.publish_channel(release(site, 1 if last is None else 2, writer.publish_bundle(site, path)))
    channels = [Registry.open(tmp_path / "registry").channel(site) for site in ("mono", "poly")]
    assert [channel.sequence for channel in channels if channel is not None] == [2, 2]


def _step() -> int:
    """Every call in the long form (LINESIDE_LONG=1), every fifth in the short one."""
    return 1 if os.environ.get("LINESIDE_LONG") else 5


def _publish_again(folder: Path, bundle: Path) -> None:
    registry = Registry.open(folder)
    bundle_hash = registry.publish_bundle("mono", bundle)
    registry.publish_channel(release("mono", 2, bundle_hash))
