"""The least one can write: a FastAPI endpoint that takes the image as the body.

python -m benchmarks.serving.minimal BUNDLE PORT
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool

from benchmarks.serving.plain import Plain


def app(model: Plain) -> FastAPI:
    """One route, answered by threads."""
    served = FastAPI()

    @served.post("/inspect")
    async def inspect(request: Request) -> dict[str, object]:
        return await run_in_threadpool(model.answer, await request.body())

    return served


if __name__ == "__main__":
    uvicorn.run(app(Plain(Path(sys.argv[1]))), host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
