"""Signal lines: which one is high for how long, plug-ins found by name, and plug-ins that fail."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError, LinkError
from contracts.frame import Decision
from edge_agent.agent import Agent
from edge_agent.outputs.gpio import LINES, Gpio, find_pins
from edge_agent.outputs.output import Pulse
from edge_agent.outputs.settings import GpioSettings, OutputsSettings
from edge_agent.outputs.simulated_pins import SimulatedPins
from tests.edge_agent.conftest import agent_settings, wait_for
from tests.simulators.answers import answer, told

LOW = dict.fromkeys(LINES, False)


def levels(file: Path) -> list[list[str]]:
    """The lines that were high after each change."""
    lines = file.with_name(f"{file.name}.log").read_text().splitlines()
    return [[name for name, level in json.loads(line).items() if level] for line in lines]


@pytest.mark.parametrize(
    ("decision", "line"),
    [
        (Decision.OK, "ok"),
        (Decision.NG, "ng"),
        (Decision.REVIEW, "review"),
        (Decision.NO_VERDICT, "no_verdict"),
    ],
)
def test_each_answer_is_one_pulse_on_one_line(tmp_path: Path, decision: Decision, line: str) -> None:
    slept: list[float] = []
    lines = Gpio("lamp", SimulatedPins, {"file": str(tmp_path / "pins")}, hold_seconds=0.3, sleep=slept.append)
    lines.open()
    lines.deliver(answer(0, decision))
    assert levels(tmp_path / "pins") == [[], [line], []]
    assert slept == [0.3, 0.3]


def test_the_heartbeat_changes_and_ready_follows(tmp_path: Path) -> None:
    lines = Gpio("lamp", SimulatedPins, {"file": str(tmp_path / "pins")}, hold_seconds=0.1)
    lines.open()
    for count, unready in ((1, "no model"), (2, None), (3, None)):
        lines.beat(Pulse(count, unready))
    lines.close()
    assert levels(tmp_path / "pins") == [[], ["heartbeat"], ["ready"], ["ready", "heartbeat"], []]


class Faulty:
    """A plug-in whose hardware fails when a line should be high."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.seen: list[Mapping[str, bool]] = []

    def set_outputs(self, values: Mapping[str, bool]) -> None:
        self.seen.append(values)
        if any(values.values()):
            raise RuntimeError("no current")

    def close(self) -> None:
        """Nothing."""


def test_a_plug_in_that_fails_is_a_broken_link_and_the_lines_are_taken_low() -> None:
    faulty = Faulty({})
    lines = Gpio("lamp", lambda options: faulty, {}, hold_seconds=0.1, sleep=lambda seconds: None)
    lines.open()
    with pytest.raises(LinkError, match="no current"):
        lines.deliver(answer(0, Decision.OK))
    assert faulty.seen[-1] == {"ok": False, "ng": False, "review": False, "no_verdict": False}
    with pytest.raises(LinkError, match="cannot be opened"):
        Gpio("lamp", SimulatedPins, {}, hold_seconds=0.1).open()


def install(folder: Path, entry: str) -> None:
    """A distribution with one entry point, as pip would leave it."""
    info = folder / "our_pins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-pins\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[lineside.outputs]\nours = {entry}\n")
    (folder / "our_pins_module.py").write_text("from edge_agent.outputs.simulated_pins import SimulatedPins as Ours\n")


def test_an_agent_drives_lines_through_an_installed_plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "our_pins_module:Ours")
    monkeypatch.syspath_prepend(str(tmp_path))
    pins = GpioSettings(name="lamp", plugin="ours", options={"file": str(tmp_path / "pins")}, hold_seconds=0.01)
    agent = Agent(agent_settings(tmp_path, None, outputs=OutputsSettings(heartbeat_seconds=0.05, gpio=(pins,))))
    agent.start()
    wait_for(lambda: (tmp_path / "pins.log").exists() and ["heartbeat"] in levels(tmp_path / "pins"))
    agent.outputs.tell(told(0, Decision.NG))
    wait_for(lambda: any("ng" in high for high in levels(tmp_path / "pins")))
    agent.close()
    assert not any("ok" in high or "ready" in high for high in levels(tmp_path / "pins"))
    assert json.loads((tmp_path / "pins").read_text()) == LOW
    sys.modules.pop("our_pins_module", None)


def test_a_plug_in_that_is_missing_or_broken_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="no plug-in 'absent'"):
        find_pins("absent")
    install(tmp_path, "our_pins_module:Missing")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigurationError, match="does not load"):
        find_pins("ours")
    sys.modules.pop("our_pins_module", None)
