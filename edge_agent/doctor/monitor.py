"""The monitor: reached, let in, its clock, and whether what it signs is believed here."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import urllib3

from contracts.access import secret
from contracts.errors import LinesideError, LinkError
from contracts.finding import Finding, fault, ok, warning
from edge_agent.links import make_client
from edge_agent.settings import AgentSettings, MonitorSettings

_SECONDS = 5.0
_SKEW_SECONDS = 60.0


def monitor(settings: AgentSettings) -> Iterator[Finding]:
    """Its address, its token and its registry."""
    if settings.monitor is None or settings.monitor.url is None:
        yield ok("monitor", "none is named: nothing is fetched and nothing is uploaded")
        return
    url = settings.monitor.url.rstrip("/")
    try:
        yield from _door(url, settings.monitor)
    except urllib3.exceptions.HTTPError as error:
        reason = getattr(error, "reason", None) or error
        yield fault("monitor", f"{url} cannot be reached: {reason}", "check url, ca_file and the cable; verdicts go on")
        return
    yield _believed(settings, settings.monitor)


def _door(url: str, monitor: MonitorSettings) -> Iterator[Finding]:
    ca_file = None if monitor.ca_file is None else str(monitor.ca_file)
    pool = urllib3.PoolManager(ca_certs=ca_file, timeout=_SECONDS, retries=False)
    live = pool.request("GET", f"{url}/live", redirect=False)
    if live.status != 200:
        yield fault("monitor", f"{url}/live answers {live.status}", "is this the monitor's address?")
        return
    yield ok("monitor", f"{url} answers")
    yield from _same_time(live.headers.get("date"))
    token = secret(monitor.token, monitor.token_file)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    knock = pool.request("POST", f"{url}/v1/images", headers=headers, redirect=False)  # nothing in it: never kept
    if knock.status in (401, 403):
        yield fault("monitor", "it refuses the token", "copy the monitor's web.agent_token to token_file")
    else:
        yield ok("monitor", "it takes images from here")


def _same_time(date: str | None) -> Iterator[Finding]:
    try:
        apart = time.time() - parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return
    if abs(apart) > _SKEW_SECONDS:
        text = f"this clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} the monitor's"
        yield warning("clock", text, "give both the same time server; signatures are believed by this clock")


def _believed(settings: AgentSettings, monitor: MonitorSettings) -> Finding:
    """Follows the signed channel with a copy of what is known here, so that nothing is raised or written."""
    with tempfile.TemporaryDirectory() as copy:
        folder = Path(copy) / "updates"
        known = settings.state_folder / "updates"
        if known.is_dir():
            shutil.copytree(known, folder)
        try:
            channel = make_client(settings, monitor, folder=folder).channel()
        except LinkError as error:
            return warning("signatures", str(error), "publish a first release, or try again later")
        except LinesideError as error:
            remedy = "is root_file of this registry? Does the monitor run? Does this clock go right?"
            return fault("signatures", str(error), remedy)
    return ok("signatures", f"channel {channel.sequence} is signed and fresh: release {channel.active.number}")
