"""What people ask of a station by command."""

from __future__ import annotations

from pathlib import Path

from contracts.finding import Level, worst
from lineside.findings import show


def run_agent_doctor(config: Path, *, unit: str, as_json: bool) -> int:
    """`lineside agent doctor`; returns the exit status: 0 ok, 1 warning, 2 fault."""
    from edge_agent.doctor.examination import examine

    return list(Level).index(worst(show(examine(config, unit_name=unit), as_json=as_json)))
