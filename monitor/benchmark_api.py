"""The routes for figures of bundles on devices: order, hand in, read."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Query, UploadFile
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.benchmark import Benchmark as Found
from contracts.names import Identifier, Name, Sha256
from monitor import queries
from monitor.desk import Desk
from monitor.store.database import Store

LARGEST_FILE_BYTES = 256 * 1024


class BenchmarkAsked(BaseModel):
    """What an agent shall measure."""

    model_config = ConfigDict(extra="forbid")

    site: Name | None = None
    agent: Name
    bundle_hash: Sha256
    runs: int = Field(default=200, ge=20, le=1000, description="answers of each variant")
    threads: int | None = Field(default=None, ge=1, le=64, description="of one inference; default: as the agent serves")
    reason: str = Field(min_length=1, max_length=1000)
    by: Identifier


def add_benchmarks(router: APIRouter, store: Store, desk: Desk) -> None:
    """All of `/v1/benchmarks`."""

    @router.post("/benchmarks", status_code=202)
    def order_benchmark(asked: BenchmarkAsked) -> dict[str, str]:
        """Order an agent to measure a bundle that lies on its device. 404 unknown, 409 refused bundle, or one is under
        way."""
        order_id = desk.benchmarks.order(
            site=desk.site(asked.site),
            agent=asked.agent,
            bundle_hash=asked.bundle_hash,
            runs=asked.runs,
            threads=asked.threads,
            reason=asked.reason,
            by=asked.by,
        )
        return {"order_id": order_id}

    @router.post("/benchmarks/submitted", status_code=201)
    def submit_benchmark(
        benchmark: UploadFile, by: Annotated[Identifier, Form()], site: Annotated[Name | None, Form()] = None
    ) -> dict[str, str]:
        """A person hands in the file of `lineside benchmark --submit`; the same file twice changes nothing."""
        data = benchmark.file.read(LARGEST_FILE_BYTES + 1)
        if len(data) > LARGEST_FILE_BYTES:
            raise HTTPException(413, f"the file has more than {LARGEST_FILE_BYTES} bytes")
        try:
            found = Found.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise HTTPException(
                422, f"not what `lineside benchmark --submit` writes: {where}: {first['msg']}"
            ) from error
        return {"benchmark_id": desk.benchmarks.submit(found, site=desk.site(site), by=by)}

    @router.get("/benchmarks")
    def read_benchmarks(
        site: Name | None = None, bundle_hash: Sha256 | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> dict[str, Any]:
        """Figures by bundle and class of devices, and the orders for them, newest first."""
        with store.read() as session:
            return queries.benchmarks(session, site=site, bundle_hash=bundle_hash, limit=limit)
