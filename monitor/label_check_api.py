"""Whether labels fit their images, under `/v1/labels/check`: what the newest check found, and asking for one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from contracts.names import Identifier, Name
from monitor.desk import Desk


class CheckAsked(BaseModel):
    """Who wants one."""

    model_config = ConfigDict(extra="forbid")

    site: Name | None = None
    by: Identifier = "operator"


def add_label_check(router: APIRouter, desk: Desk) -> None:
    """`/v1/labels/check`."""

    @router.get("/labels/check")
    def read_label_check(site: Name | None = None) -> dict[str, Any]:
        """Days whose labels do not fit their images, by the newest check."""
        return desk.label_check.told(desk.site(site))

    @router.post("/labels/check", status_code=202)
    def ask_label_check(asked: CheckAsked) -> dict[str, Any]:
        """Look the labels over now. 409 where no process is set that could."""
        site = desk.site(asked.site)
        desk.label_check.ask(site, by=asked.by)
        return desk.label_check.told(site)
