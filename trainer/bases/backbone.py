"""Pretrained weights: only safetensors, only from a file, only with the SHA-256 that was expected."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from contracts.bundle import Licence
from contracts.errors import ConfigurationError
from contracts.names import Sha256, Wire
from trainer.bases.torchvision_shim import prepare


class Described(Wire):
    """What is known of weights: of a base model, and of each model that it was made from."""

    id: str
    sha256: Sha256 | None = None
    licence: Licence = Licence()
    training_data: str = Field(default="", description="what the weights were learned from")
    documentation: str = Field(default="", description="where that is described")
    limits: tuple[str, ...] = ()
    biases: tuple[str, ...] = ()
    accepted_risk: str = Field(default="", description="what somebody accepted by name; empty: the policy allows it")
    accepted_until: date | None = Field(default=None, description="last day of that; None: no end was set")
    snapshot: Path | None = Field(default=None, description="of a site's own release: what it was trained on")


class BaseModel(Described):
    """A timm architecture, its weights (None: random, for comparisons) and the input they were trained with."""

    ancestors: tuple[Described, ...] = Field(default=(), description="the models it was made from, nearest first")
    architecture: str = "mobilenetv2_100"
    model_args: dict[str, Any] = Field(default={})
    weights: Path | None = None
    width: int = 224
    height: int = 224
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def line(self) -> tuple[Described, ...]:
        """Itself and the models it was made from, nearest first, as the descriptions that a descendant carries."""
        return (Described.model_validate(self.model_dump()), *self.ancestors)


def load_base_model(base: BaseModel, *, seed: int = 0) -> tuple[nn.Module, str | None]:
    """The timm module without classifier, in eval mode, and the SHA-256 of its weights (None for random ones, drawn
    from `seed`). Raises ConfigurationError where file, hash, architecture or shapes do not fit."""
    prepare()
    import timm

    torch.manual_seed(seed)
    try:
        module: nn.Module = timm.create_model(base.architecture, pretrained=False, num_classes=0, **base.model_args)
    except (RuntimeError, TypeError) as error:
        raise ConfigurationError(f"timm cannot make {base.architecture!r} ({error}); see timm.list_models()") from error
    if base.weights is None:
        return module.eval(), None
    found = sha256_of(base.weights)
    if base.sha256 is not None and found != base.sha256:
        raise ConfigurationError(
            f"{base.weights} has SHA-256 {found}, expected {base.sha256} for {base.id}; fetch the file again"
        )
    _load(module, base.weights, base.architecture)
    return module.eval(), found


def sha256_of(path: Path) -> str:
    """Of a safetensors file, and of no other kind. Raises ConfigurationError."""
    if path.suffix != ".safetensors":
        raise ConfigurationError(f"{path}: weights are read from .safetensors only (other formats can run code)")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigurationError(f"cannot read the weights {path}: {error.strerror}") from error


def _load(module: nn.Module, weights: Path, architecture: str) -> None:
    try:
        tensors = load_file(weights)
        wanted = module.state_dict()
        module.load_state_dict({name: tensor for name, tensor in tensors.items() if name in wanted})
    except (SafetensorError, RuntimeError) as error:
        raise ConfigurationError(f"{weights} does not hold weights of {architecture}: {error}") from error
