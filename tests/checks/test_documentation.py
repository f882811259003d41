"""Every command and setting is documented, and what the guides mention exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from contracts.schema import PUBLISHED
from contracts.telemetry import KINDS
from lineside.main import app

ROOT = Path(__file__).resolve().parents[2]
GUIDES = [
    ROOT / "README.md",
    ROOT / "docs" / "operators.md",
    ROOT / "docs" / "station.md",
    ROOT / "docs" / "first-site.md",
    ROOT / "docs" / "from-a-model-to-a-device.md",
    ROOT / "docs" / "mlops.md",
    ROOT / "docs" / "alarms.md",
    ROOT / "docs" / "automation.md",
]
PAGES = [
    *GUIDES,
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
    ROOT / "docs" / "plc.md",
    ROOT / "docs" / "measurements.md",
    ROOT / "deploy" / "README.md",
]


def commands(command: Any = None, path: str = "") -> dict[str, Any]:
    """`monitor run` -> its command, for all that do something."""
    command = command or typer.main.get_command(app)
    if not hasattr(command, "commands"):
        return {path: command}
    found: dict[str, Any] = {path: command} if command.invoke_without_command else {}
    for name, inner in command.commands.items():
        found |= commands(inner, f"{path} {name}".strip())
    return found


def code(text: str) -> str:
    """Indented blocks, fenced blocks and `inline code`."""
    inline = re.findall(r"`([^`\n]+)`", text)
    fenced = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    return "\n".join([*inline, *fenced, *(line for line in text.splitlines() if line.startswith("    "))])


@pytest.mark.parametrize("name", commands())
def test_command_is_in_a_guide(name: str) -> None:
    if name != "version":
        assert any(f"lineside {name}" in guide.read_text(encoding="utf-8") for guide in GUIDES)


@pytest.mark.parametrize("name", commands())
def test_command_and_its_options_say_what_they_are_for(name: str) -> None:
    command = commands()[name]
    assert command.help
    assert [option.name for option in command.params if not option.help and option.name != "help"] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_and_options_in_the_page_exist(page: Path) -> None:
    known = commands()
    for words in re.findall(
        r"(?:^|[\s/])lineside (?!-)((?:[a-z-]+ ?)+)(.*)", code(page.read_text(encoding="utf-8")), re.MULTILINE
    ):
        longest = sorted(known, key=len, reverse=True)
        name = next((known_name for known_name in longest if f"{words[0].strip()} ".startswith(f"{known_name} ")), None)
        if name is None:
            assert words[0].split()[0] in {known_name.split()[0] for known_name in known}, f"lineside {words[0]}"
            continue
        options = {
            option for parameter in known[name].params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        used = re.findall(r"(?<=\s)--[a-z0-9-]+", f" {words[0]}{words[1]}".split("#")[0].split("|")[0])
        assert set(used) <= options | {"--help"}, f"lineside {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_in_the_page_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert [
        path.name for path in folder.glob("*.md") if path.name != "README.md" and f"({path.name})" not in index
    ] == []


def test_interfaces_between_programs_are_in_their_guide() -> None:
    guide = (ROOT / "docs" / "automation.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"/{kind}`" not in guide] == []
    for name in PUBLISHED:
        if name not in {"frame-v1", "outcome-v1", "manifest-v1", "channel-v1", "report-v1"}:
            assert f"`{name}`" in guide
