"""A station installs `[edge]` alone into a clean environment: no torch, and it inspects by command and over HTTP."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.footprint import installed_bytes
from runtime.bundle import Bundle
from tests.simulators.port import free_port, wait_until_it_listens
from tests.simulators.small_bundle import encoded, picture
from tests.simulators.unit_root import OWN_UNITS, PREFIX, UNITS, lay_out, verify

ROOT = Path(__file__).resolve().parents[2]
NOT_FOR_STATIONS = (
    "torch", "torchvision", "timm", "sklearn", "scipy", "onnx", "onnxscript", "sqlalchemy", "amqtt",
    "cv2", "harvesters",
)  # fmt: skip

pytestmark = [pytest.mark.slow_install, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Environment:
    """A virtual environment that knows nothing of the checkout."""

    folder: Path

    def run(self, program: str, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of its programs, away from the checkout. A failure shows what the program said."""
        answer = subprocess.run(
            [self.folder / "bin" / program, *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=clean_environment(),
            check=False,
        )
        assert not check or answer.returncode == 0, f"{program} {arguments}: {answer.stdout}{answer.stderr}"
        return answer


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def copy_sources(folder: Path) -> None:
    """What a clone of the working tree would hold."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    ).stdout
    for name in listed.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    sources = tmp_path_factory.mktemp("sources")
    copy_sources(sources)
    environment = Environment(tmp_path_factory.mktemp("station") / PREFIX / ".venv")
    environment.folder.parent.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "venv", environment.folder], check=True, env=clean_environment())
    environment.run("pip", "install", "--quiet", "--constraint", sources / "constraints.txt", f"{sources}[edge]")
    return environment


@pytest.fixture
def agent(station: Environment, small_bundle: Bundle, tmp_path: Path) -> Iterator[str]:
    """The address of an agent that runs in the station's environment, with a bundle installed by hand."""
    port = free_port()
    config = tmp_path / "agent.toml"
    config.write_text(
        f'site = "plant"\nagent = "station-1"\nstate_folder = "{tmp_path / "state"}"\n[web]\nport = {port}\n'
        f'[bundle]\npath = "{small_bundle.path}"\nhash = "{small_bundle.hash}"\n'
    )
    with (tmp_path / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            [station.folder / "bin" / "lineside", "agent", "--config", config],
            stdout=log,
            stderr=log,
            cwd=tmp_path,
            env=clean_environment(),
        )
    try:
        wait_until_it_listens(port, process, seconds=60)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        print((tmp_path / "agent.log").read_text())
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("module", NOT_FOR_STATIONS)
def test_station_has_no(station: Environment, module: str) -> None:
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is not None)"
    assert station.run("python", "-c", code, module, check=False).returncode == 0


def test_what_is_installed_fits_together(station: Environment) -> None:
    assert "No broken requirements" in station.run("pip", "check").stdout


def test_what_is_installed_stays_small(station: Environment) -> None:
    assert installed_bytes(station.folder / "bin" / "python") <= 250_000_000, "measured by benchmarks.footprint"


def test_every_file_of_the_packages_is_installed(station: Environment) -> None:
    code = "import contracts, pathlib; print(pathlib.Path(contracts.__file__).parents[1])"
    installed = Path(station.run("python", "-c", code).stdout.strip())
    tracked = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True, check=True).stdout.split()
    packages = ("contracts", "runtime", "drift", "trainer", "exporter", "edge_agent", "monitor", "lineside")
    inside = [name for name in tracked if name.split("/")[0] in packages and (ROOT / name).is_file()]
    assert [name for name in inside if not (installed / name).is_file()] == []
    assert not (installed / "tests").exists()
    assert not (installed / "benchmarks").exists()


def test_command_inspects_pictures(station: Environment, small_bundle: Bundle, tmp_path: Path) -> None:
    for name, level in (("bright.png", 200), ("dark.png", 60)):
        (tmp_path / name).write_bytes(encoded(picture(level)))
    answer = station.run(
        "lineside", "inspect", "--json", small_bundle.path, tmp_path / "bright.png", tmp_path / "dark.png"
    )
    verdicts = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [verdict["label"] for verdict in verdicts] == ["scratch", "good"]
    assert {verdict["bundle_hash"] for verdict in verdicts} == {small_bundle.hash}


def test_agent_inspects_over_http(agent: str, small_bundle: Bundle) -> None:
    request = urllib.request.Request(
        f"{agent}/v1/inspect?part_id=P-1", data=encoded(picture(200)), headers={"Content-Type": "image/png"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        verdict = json.load(answer)
    assert verdict["label"] == "scratch"
    assert verdict["frame"]["part_id"] == "P-1"
    assert verdict["bundle_hash"] == small_bundle.hash


def test_units_fit_the_installed_tree(station: Environment, require_program: Callable[[str], str]) -> None:
    """Any word of systemd's verifier is a failure, and so is a command that the installed program does not know."""
    root = lay_out(station.folder.parents[2])
    assert verify(require_program("systemd-analyze"), root) == ""
    for name in UNITS:
        unit = (root / OWN_UNITS / name).read_text(encoding="utf-8")
        command = re.search(r"ExecStart=/opt/lineside/.venv/bin/(\S+) (.*) --config", unit)
        assert command is not None
        assert "--config" in station.run(command[1], *command[2].split(), "--help").stdout
        guide = re.search(r"Documentation=file:///opt/lineside/(\S+)", unit)
        assert guide is not None
        assert (ROOT / guide[1]).is_file()


def test_doctor_of_the_example_settings_needs_nothing_but_the_station(station: Environment) -> None:
    told = station.run("lineside", "agent", "doctor", "--config", ROOT / "deploy" / "agent.toml", "--json", check=False)
    assert told.returncode == 2, "broker, monitor and root of trust are not there"
    names = {finding["name"] for finding in json.loads(told.stdout)}
    assert {"settings", "secrets", "signatures", "broker", "monitor", "folder"} <= names


def test_training_says_what_to_install(station: Environment, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    answer = station.run("lineside", "train", tmp_path / "images", "--out", tmp_path / "run", check=False)
    assert answer.returncode == 1
    assert "lineside[train]" in answer.stderr
    assert "Traceback" not in answer.stderr
