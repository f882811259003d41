"""`scripts/check` as tests, so that one summary speaks for all; and each check is able to fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("contracts", "runtime", "drift", "trainer", "exporter", "edge_agent", "monitor", "lineside", "benchmarks")
CHECKS = subprocess.run(
    [ROOT / "scripts" / "check", "--list"], check=True, capture_output=True, text=True
).stdout.split()


def run_check(name: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([root / "scripts" / "check", name], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", CHECKS)
def test_check_passes(name: str) -> None:
    answer = run_check(name)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.fixture
def small_checkout(tmp_path: Path) -> Path:
    """A place with the scripts, the rules and empty packages, to break at will."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "README.md").write_text("# Nothing yet\n")
    os.symlink(ROOT / ".venv", tmp_path / ".venv")
    return tmp_path


def fill(checkout: Path, *packages: str) -> None:
    """Put in what the packages hold here."""
    for package in packages:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, checkout / package, ignore=ignore, dirs_exist_ok=True)


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        ("format", "contracts/planted.py", "x = { 'a':1 }\n", "planted.py"),
        ("lint", "contracts/planted.py", "try:\n    pass\nexcept Exception:\n    x = 1\n", "BLE001"),
        ("types", "contracts/planted.py", 'x: int = "text"\n', "planted.py:1: error"),
        ("imports", "contracts/planted.py", "import drift\n", "import direction BROKEN"),
        ("schemas", "contracts/schemas/frame-v1.json", "{}\n", "schemas out of date: frame-v1"),
        ("schemas", "contracts/schemas/left-over-v1.json", "{}\n", "schemas out of date: left-over-v1"),
        ("tables", "README.md", "<!-- table: nothing.json -->\n<!-- end of table -->\n", "nothing.json"),
    ],
)
def test_check_fails_on_a_planted_fault(small_checkout: Path, name: str, file: str, text: str, message: str) -> None:
    if name in ("schemas", "tables"):  # of the models and reports; the other checks read what is there
        fill(small_checkout, "contracts", "benchmarks")
    (small_checkout / file).write_text(text)
    answer = run_check(name, small_checkout)
    assert answer.returncode == 1
    assert message in answer.stdout
    assert f"failed: {name}" in answer.stdout


def test_unknown_check_lists_the_known_ones(small_checkout: Path) -> None:
    answer = run_check("typse", small_checkout)
    assert answer.returncode == 2
    assert "no check named typse" in answer.stderr
