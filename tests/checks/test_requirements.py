"""Continuous integration cannot pass by testing nothing: with LINESIDE_REQUIRE=all a skip is a failure."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import pytest

def test_service(require_program):
    require_program("no-such-program")

@pytest.mark.skipif(True, reason="no such thing here")
def test_mark(): ...

def test_data(data_folder): ...

@pytest.mark.optional
def test_optional():
    pytest.skip("nobody needs it")

def test_plain(): ...
"""


def outcome(folder: Path, **environment: str) -> str:
    """Last line of pytest over `TESTS`, with our fixtures and rules."""
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    shutil.copy(ROOT / "tests" / "workers.py", folder / "tests")
    shutil.copytree(ROOT / "tests" / "simulators", folder / "tests" / "simulators")
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "tests" / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder, "tests"]
    values = {name: value for name, value in os.environ.items() if not name.startswith("LINESIDE_")}
    answer = subprocess.run(
        command,
        cwd=folder,
        env={**values, "PYTHONPATH": str(ROOT), "LINESIDE_DATA": "/nowhere", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.splitlines()[-1].split(" in ")[0]


def test_without_it_what_is_missing_is_skipped(tmp_path: Path) -> None:
    assert outcome(tmp_path) == "1 passed, 4 skipped"


def test_with_it_what_is_missing_is_a_failure(tmp_path: Path) -> None:
    assert outcome(tmp_path, LINESIDE_REQUIRE="all") == "1 failed, 1 passed, 1 skipped, 2 errors"
