"""The program that is killed: an agent that follows its channel once, from the download to the confirmation.

`python activating.py SETTINGS.json`, in one thread, so that every call of the activation is one of the main thread's.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge_agent.core import Core, build_core
from edge_agent.links import make_follower
from edge_agent.settings import AgentSettings


def activate(settings: AgentSettings) -> Core:
    """Start with what is there, follow the channel, confirm. The core's store stays open."""
    core = build_core(settings)
    core.bundles.start()
    if settings.monitor is not None:
        make_follower(settings, settings.monitor, core).look()
    core.bundles.slots.confirm()
    return core


if __name__ == "__main__":
    activate(AgentSettings.model_validate_json(Path(sys.argv[1]).read_bytes())).store.close()
