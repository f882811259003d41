"""A station whose model takes a known time, the processor being free meanwhile, so that its capacity is known:
`python -m benchmarks.faults.slow_station CONFIG SECONDS`."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from benchmarks.agent import SlowSession
from contracts.settings import read_settings
from edge_agent.agent import Agent
from edge_agent.settings import AgentSettings


def main(config: Path, seconds: float) -> None:
    """Run until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    agent = Agent(read_settings(config, AgentSettings))
    agent.start()
    inspector = agent.core.station.active
    if inspector is None:
        raise RuntimeError("the station has no bundle")
    inspector.session = SlowSession(inspector.session, seconds)  # type: ignore[assignment]
    stop.wait()
    agent.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
