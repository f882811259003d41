"""Which base models there are: Lineside's own catalogue and the user's, both TOML, with where each comes from.

A catalogue holds `[[model]]` tables, may replace the `[policy]` and may add `[[override]]` tables: a risk that somebody
accepts by name (see `trainer.bases.policy`).
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from contracts.bundle import Licence
from contracts.errors import ConfigurationError
from contracts.names import Sha256
from contracts.settings import Settings, read_settings
from trainer.bases.backbone import BaseModel, Described, sha256_of

SHIPPED = Path(__file__).parents[1] / "catalogue.toml"
DEFAULT_MODEL = "lineside_small"
"""Trained with when nothing else is asked for; its weights come with Lineside."""


class Hub(Settings):
    """Where the weights lie on a hub. The revision is a commit, so that the file cannot change."""

    repository: str
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="full commit hash")
    file: str = "model.safetensors"


class Entry(Settings):
    """`[[model]]`: one base model. What the policy requires may be empty here, and is then refused there."""

    id: str = Field(min_length=1, max_length=128)
    architecture: str = Field(default="", description="name in timm")
    model_args: dict[str, Any] = {}
    weights: str = Field(default="", description="safetensors file, relative to the catalogue; empty: hub, or by hash")
    hub: Hub | None = None
    sha256: Sha256 | None = None
    owner: str = "unknown"
    licence: str = ""
    permitted_use: str = "unknown"
    production: bool = Field(default=True, description="false: nothing that is made from it is for production")
    training_data: str = Field(default="", description="what the weights were learned from")
    documentation: str = Field(default="", description="where that is described")
    synthetic: bool = Field(default=False, description="no photograph was used: its review does not expire")
    limits: tuple[str, ...] = ()
    biases: tuple[str, ...] = ()
    width: int = Field(default=224, ge=32, le=1024, description="pixels")
    height: int = Field(default=224, ge=32, le=1024, description="pixels")
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    parameters: int | None = Field(default=None, description="of the backbone; `lineside models verify` counts")
    multiplications: int | None = Field(default=None, description="of one image at this size")
    reviewer: str = ""
    reviewed: datetime.date | None = None
    expires: datetime.date | None = Field(default=None, description="default: `policy.review_days` after the review")
    parents: tuple[str, ...] = Field(default=(), description="the models it was made from, nearest first")
    snapshot: str = Field(default="", description="folder of the snapshot it was trained on, of a site's own release")
    ancestors: tuple[Described, ...] = Field(
        default=(), description="what was known of its parents when it was added, nearest first"
    )

    def licensed(self) -> Licence:
        """As bundles inherit it."""
        return Licence(
            owner=self.owner,
            licence=self.licence or "unknown",
            permitted_use=self.permitted_use,
            production=self.production,
        )

    def described(self) -> Described:
        """As its descendants carry it."""
        return Described(
            id=self.id,
            sha256=self.sha256,
            licence=self.licensed(),
            training_data=self.training_data,
            documentation=self.documentation,
            limits=self.limits,
            biases=self.biases,
            snapshot=Path(self.snapshot) if self.snapshot else None,
        )


class Override(Settings):
    """`[[override]]`: somebody accepts, by name, what the policy refuses in one model."""

    model: str
    by: str = Field(min_length=1)
    date: datetime.date
    risk: str = Field(min_length=10, description="what is accepted, in a sentence")
    expires: datetime.date | None = None

    def told(self) -> str:
        """For a card."""
        return f"{self.risk} (accepted by {self.by}, {self.date})"


class Policy(Settings):
    """`[policy]`: what a base model must have to be trained with."""

    allowed_licences: tuple[str, ...] = Field(description="SPDX identifiers")
    required: tuple[str, ...] = Field(default=(), description="keys of a model that may not be empty")
    undocumented: tuple[str, ...] = Field(default=(), description="words that do not count as a description")
    forbidden_terms: tuple[str, ...] = Field(default=(), description="in licence, use or terms of the training data")
    review_days: int = Field(default=1095, ge=1, description="a review holds for so long")


class CatalogueFile(Settings):
    """The TOML file."""

    policy: Policy | None = None
    model: tuple[Entry, ...] = ()
    override: tuple[Override, ...] = ()


def acceptance(override: Override | None) -> dict[str, Any]:
    """What an override says, as keys of a `Described`; nothing without one."""
    return {} if override is None else {"accepted_risk": override.told(), "accepted_until": override.expires}


@dataclass(frozen=True)
class Listed:
    """An entry and the folder against which its paths are read."""

    entry: Entry
    folder: Path

    @property
    def weights(self) -> Path | None:
        """Where the file should be; None where the entry names none."""
        return self.folder / self.entry.weights if self.entry.weights else None

    def base_model(
        self, weights: Path, *, accepted: Override | None = None, ancestors: tuple[Described, ...] | None = None
    ) -> BaseModel:
        """What the trainer takes; `ancestors`: as they are judged today (None: as the entry carries them)."""
        entry = self.entry
        return BaseModel(
            **dict(entry.described()),
            ancestors=entry.ancestors if ancestors is None else ancestors,
            architecture=entry.architecture,
            model_args=entry.model_args,
            weights=weights,
            width=entry.width,
            height=entry.height,
            mean=entry.mean,
            std=entry.std,
        ).model_copy(update=acceptance(accepted))


@dataclass(frozen=True)
class Catalogue:
    """All models by id, the policy in force and the overrides."""

    models: dict[str, Listed]
    policy: Policy
    overrides: tuple[Override, ...]

    def named(self, name: str) -> Listed:
        """Raises ConfigurationError, with the names there are."""
        if name not in self.models:
            known = ", ".join(self.models)
            raise ConfigurationError(f"no base model is called {name!r}; the catalogue has {known}")
        return self.models[name]

    def of_file(self, weights: Path) -> Listed:
        """The model whose weights have the hash of this file. Raises ConfigurationError where none has."""
        found = sha256_of(weights)
        for listed in self.models.values():
            if listed.entry.sha256 == found:
                return listed
        raise ConfigurationError(
            f"{weights} (SHA-256 {found}) is in no catalogue: where it comes from and what it may be used for is not "
            "known; describe it with `lineside models add`"
        )


def read_catalogue(own: Path | None = None) -> Catalogue:
    """Lineside's catalogue with the user's file `own`, if it is there, on top: models and overrides are added, the
    policy is replaced. Raises ConfigurationError for unknown keys and for an id that is there twice."""
    files = [SHIPPED, *([own] if own is not None and own.exists() else [])]
    models: dict[str, Listed] = {}
    policy = Policy(allowed_licences=())
    overrides: tuple[Override, ...] = ()
    for file in files:
        content = read_settings(file, CatalogueFile)
        for entry in content.model:
            if entry.id in models:
                raise ConfigurationError(
                    f"{file}: the model {entry.id!r} is in the catalogue already; choose another id"
                )
            models[entry.id] = Listed(entry, file.parent)
        policy = content.policy or policy
        overrides = (*overrides, *content.override)
    return Catalogue(models, policy, overrides)


def fetched(listed: Listed, *, weights: Path | None = None) -> Path:
    """The weights file: the one given, the one the entry names, or the hub's, downloaded once and kept in its cache.
    Raises ConfigurationError with the way to get it."""
    entry = listed.entry
    path = weights or listed.weights
    if path is not None:
        return path
    if entry.hub is None:
        raise ConfigurationError(f"{entry.id} comes without its weights; give the file with --weights")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(entry.hub.repository, entry.hub.file, revision=entry.hub.revision))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ConfigurationError(
            f"cannot fetch {entry.hub.file} of {entry.hub.repository} at {entry.hub.revision[:12]}: {error}; "
            "fetch it on a machine with a network and give it with --weights (with `models add`: as the file)"
        ) from error


def at_hand(listed: Listed) -> bool:
    """Whether its weights are on this machine as far as the catalogue promises them: a file that the entry names counts
    as here, so that one that has gone is noticed; a hub's is looked for in the cache only."""
    hub = listed.entry.hub
    if listed.weights is not None or hub is None:
        return listed.weights is not None
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(hub.repository, hub.file, revision=hub.revision), str)
