"""A monitor that only ingests, as a process to be killed: `python -m tests.monitor.ingest_process DB PORT`."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from monitor.ingest import Ingest
from monitor.link import Link
from monitor.store import Store

if __name__ == "__main__":
    store = Store(Path(sys.argv[1]))
    link = Link(Ingest(store, sites=["mono"]), host="127.0.0.1", port=int(sys.argv[2]))
    link.start()
    threading.Event().wait()
