"""A whole monitor as a process, to be killed: `python -m tests.simulators.monitor_program SETTINGS.json`."""

from __future__ import annotations

import sys
from pathlib import Path

from monitor.service import run_monitor
from monitor.settings import MonitorSettings

if __name__ == "__main__":
    settings = MonitorSettings.model_validate_json(Path(sys.argv[1]).read_bytes())
    run_monitor(settings, started=lambda url: print(url, flush=True))
