"""Refusals over HTTP: a status, what is wrong, and what to do about it."""

from __future__ import annotations

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException


class Refusal(Exception):
    """Ends a request with `{"error": ..., "remedy": ...}` and the given status."""

    def __init__(self, status: int, error: str, remedy: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(error)
        self.status, self.error, self.remedy = status, error, remedy
        self.retry_after_seconds = retry_after_seconds

    def response(self) -> JSONResponse:
        """As it goes over the wire."""
        headers = {} if self.retry_after_seconds is None else {"Retry-After": str(self.retry_after_seconds)}
        return JSONResponse({"error": self.error, "remedy": self.remedy}, self.status, headers)


async def answer_refusal(_: Request, refusal: Exception) -> JSONResponse:
    """FastAPI's handler for `Refusal`."""
    if not isinstance(refusal, Refusal):
        raise refusal
    return refusal.response()


async def answer_invalid(_: Request, error: Exception) -> JSONResponse:
    """FastAPI's handler for query parameters that do not fit."""
    if not isinstance(error, RequestValidationError):
        raise error
    wrong = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in error.errors()[:5])
    return Refusal(422, wrong, "correct the parameters").response()


async def answer_unknown(_: Request, error: Exception) -> JSONResponse:
    """FastAPI's handler for paths and methods that do not exist."""
    if not isinstance(error, HTTPException):
        raise error
    return Refusal(error.status_code, str(error.detail), "see the guide for the addresses of the agent").response()
