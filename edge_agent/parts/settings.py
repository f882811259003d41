"""What `agent.toml` says of parts that several cameras see."""

from __future__ import annotations

from pydantic import Field, model_validator

from contracts.names import Name
from contracts.settings import Settings


class PartSettings(Settings):
    """A part that several cameras see, whose pictures carry the same part id. The worst of their verdicts counts."""

    name: Name
    views: tuple[Name, ...] = Field(min_length=2, max_length=32, description="cameras, each of which must see the part")
    within_seconds: float = Field(
        default=2.0,
        gt=0.0,
        le=600.0,
        description="from the first view on record; a view that is missing then is NO_VERDICT",
    )

    @model_validator(mode="after")
    def _told_apart(self) -> PartSettings:
        if len(set(self.views)) != len(self.views):
            raise ValueError(f"the views of part {self.name!r} name a camera twice; name each once")
        return self
