"""Bad models that pass every check before they serve, and one that is only slow: the old one is back by itself.

`python -m benchmarks.faults --only models` plays all ten kinds on stations that are processes, twenty times each.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.faults.bad_models import BRIGHT, bad_bundle, good_bundle
from contracts.telemetry import EventKind
from edge_agent.core import CRASH
from edge_agent.settings import InspectionSettings
from edge_agent.source import Capture
from runtime.bundle import Bundle
from tests.edge_agent.conftest import MakeAgent, wait_for
from tests.edge_agent.test_follower import Shelf, Site, die
from tests.simulators.captures import frame
from tests.simulators.small_bundle import picture


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return good_bundle(tmp_path_factory.mktemp("good") / "bundle")


@pytest.fixture
def serving(make_agent: MakeAgent, good: Bundle, tmp_path: Path) -> Callable[..., tuple[Site, Bundle]]:
    """`serving(kind)`: a station whose channel names a bad bundle after the good one has proven itself."""

    def start(kind: str, *, deadline_seconds: float = 10.0) -> tuple[Site, Bundle]:
        bad = bad_bundle(tmp_path / kind, kind, 1)
        options = InspectionSettings(deadline_seconds=deadline_seconds)
        plant = Site(make_agent(bundle=None, inspection=options, production=False), Shelf(good, bad))
        plant.follow(good)
        plant.agent.core.bundles.slots.confirm()
        plant.follow(bad)
        return plant, bad

    return start


def inspect(plant: Site, levels: list[int]) -> None:
    for number, level in enumerate(levels):
        plant.agent.core.station.inspect(Capture(frame(number), picture(level, number)), "test")


def test_a_model_ten_times_slower_than_its_certificate_says_is_refused(
    serving: Callable[..., tuple[Site, Bundle]], good: Bundle
) -> None:
    plant, bad = serving("ten-times-slower")
    assert plant.serving == good.hash
    assert "times what" in plant.agent.core.bundles.slots.refused()[bad.hash]


def test_a_model_that_fails_on_every_other_part_gives_its_place_back(
    serving: Callable[..., tuple[Site, Bundle]], good: Bundle
) -> None:
    plant, bad = serving("nan-on-the-line")
    assert plant.serving == bad.hash
    inspect(plant, [90, BRIGHT] * 5)
    wait_for(lambda: plant.serving == good.hash)
    told = [kind for kind, bundle_hash in plant.events() if bundle_hash == bad.hash]
    assert told == [EventKind.BUNDLE_ACTIVATED, EventKind.BUNDLE_REFUSED, EventKind.BUNDLE_ROLLED_BACK]


def test_a_model_that_hangs_on_the_line_is_stopped_and_gives_its_place_back(
    serving: Callable[..., tuple[Site, Bundle]], good: Bundle
) -> None:
    plant, bad = serving("hangs-on-the-line", deadline_seconds=0.2)
    lines = [threading.Thread(target=inspect, args=(plant, [BRIGHT])) for _ in range(2)]
    for line in lines:
        line.start()
    wait_for(lambda: plant.serving == good.hash)
    for line in lines:
        line.join()
    assert plant.agent.core.bundles.slots.refused() == {bad.hash: "2 images did not come to an end"}
    assert plant.agent.core.station.under_way.hanging() is None
    inspect(plant, [BRIGHT])
    assert plant.agent.core.station.failures == 0


CRASHES = """
import sys
from pathlib import Path
from benchmarks.faults.bad_models import BRIGHT
from edge_agent.crash import written_down
from runtime.bundle import open_bundle
from runtime.preprocessing import prepare
from runtime.session import Session
from tests.simulators.small_bundle import picture
bundle = open_bundle(Path(sys.argv[1]))
with written_down(Path(sys.argv[2])):
    Session(bundle).infer(prepare(picture(BRIGHT), bundle.manifest.preprocessing))
"""


def test_a_model_that_ends_the_agent_gives_its_place_back_at_the_next_start(
    serving: Callable[..., tuple[Site, Bundle]], good: Bundle, make_agent: MakeAgent
) -> None:
    plant, bad = serving("crashes-after-30-s")
    assert plant.serving == bad.hash, "its trial shows nothing"
    state = plant.agent.settings.state_folder
    die(plant)
    ended = subprocess.run([sys.executable, "-c", CRASHES, bad.path, state / CRASH], check=False)
    assert ended.returncode == -signal.SIGFPE
    again = make_agent(bundle=None, production=False)
    active = again.core.station.active
    assert active is not None
    assert active.bundle.hash == good.hash
    reason = "it ended the agent: Fatal Python error: Floating point exception"
    assert again.core.bundles.slots.refused() == {bad.hash: reason}
