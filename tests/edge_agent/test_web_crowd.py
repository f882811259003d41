"""More requests at once than a station takes: each is refused like any other, and the probes are answered."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from edge_agent.web.crowd import Crowd


@pytest.mark.parametrize(("path", "status"), [("/v1/inspect", 503), ("/live", 200), ("/ready", 200)])
def test_one_more_is_refused_with_the_remedy_and_the_probes_are_not(path: str, status: int) -> None:
    asyncio.run(_one_more(path, status))


async def _one_more(path: str, status: int) -> None:
    app, release = FastAPI(), asyncio.Event()

    @app.get("/{path:path}")
    async def wait(path: str) -> str:
        if path == "slow":
            await release.wait()
        return path

    transport = httpx.ASGITransport(Crowd(app, most=2))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        slow = [asyncio.create_task(client.get("/slow")) for _ in range(2)]
        await asyncio.sleep(0.05)
        answer = await client.get(path)
        assert answer.status_code == status
        if status == 503:
            assert answer.headers["Retry-After"] == "1"
            assert set(answer.json()) == {"error", "remedy"}
        release.set()
        assert [each.status_code for each in await asyncio.gather(*slow)] == [200, 200]
        assert (await client.get(path)).status_code == 200
