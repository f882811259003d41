"""A root folder in which systemd's own verifier finds our units, those of the system, and whatever is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNITS = ("lineside-agent.service", "lineside-monitor.service")
SYSTEM_UNITS = Path("/usr/lib/systemd/system")
OWN_UNITS = Path("etc/systemd/system")
PREFIX = Path("opt/lineside")


def lay_out(root: Path) -> Path:
    """Our units and those of the system (targets that ours are ordered by) below `root`."""
    shutil.copytree(SYSTEM_UNITS, root / SYSTEM_UNITS.relative_to("/"), symlinks=True)
    (root / OWN_UNITS).mkdir(parents=True)
    for name in UNITS:
        shutil.copy(DEPLOY / "systemd" / name, root / OWN_UNITS / name)
    return root


def verify(program: str, root: Path) -> str:
    """All that `systemd-analyze verify` says about our units in that root; nothing: they are right."""
    answer = subprocess.run(
        [program, f"--root={root}", "verify", *(root / OWN_UNITS / name for name in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout + answer.stderr + (f"exit status {answer.returncode}" if answer.returncode else "")
