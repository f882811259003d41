"""Pretrained weights: only safetensors, only from a file, only with the SHA-256 that was expected."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from contracts.bundle import Licence
from contracts.errors import ConfigurationError
from contracts.names import Sha256, Wire
from trainer.torchvision_shim import prepare

_MOBILENET_SHA256 = "541d7af839f70704c667f056ae8f39bbf2c7296144f2796de52812d9d8392e11"


class BaseModel(Wire):
    """A timm architecture, its weights (None: random, for comparisons) and the input they were trained with."""

    id: str
    architecture: str = "mobilenetv2_100"
    model_args: dict[str, Any] = Field(default={})
    weights: Path | None = None
    sha256: Sha256 | None = None
    licence: Licence = Licence()
    width: int = 224
    height: int = 224
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)


def base_model(source: Path) -> BaseModel:
    """What lies at `source`: a metadata file `*.json` (or the folder with exactly one) that names its weights, or a
    safetensors file of which Lineside knows the SHA-256. Raises ConfigurationError."""
    if source.is_dir():
        described = sorted(source.glob("*.json"))
        if len(described) != 1:
            raise ConfigurationError(f"{source} holds {len(described)} descriptions (*.json) of a backbone, not one")
        source = described[0]
    if source.suffix == ".json":
        return _described(source)
    return mobilenet(source)


def mobilenet(weights: Path | None, *, sha256: str | None = _MOBILENET_SHA256) -> BaseModel:
    """ImageNet MobileNetV2 with input x/127.5-1 at 224 pixels, as converted from Google's published int8 network.

    `sha256` None accepts any weights of that architecture and records what was found.
    """
    return BaseModel(
        id="mobilenetv2_100_same.in1k" if weights else "mobilenetv2_100 (random)",
        model_args={"pad_type": "same"},
        weights=weights,
        sha256=sha256 if weights else None,
        licence=Licence(owner="Google", licence="Apache-2.0", permitted_use="any, with notice"),
    )


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
    found = _sha256(base.weights)
    if base.sha256 is not None and found != base.sha256:
        raise ConfigurationError(
            f"{base.weights} has SHA-256 {found}, expected {base.sha256} for {base.id}; fetch the file again"
        )
    _load(module, base.weights, base.architecture)
    return module.eval(), found


def _load(module: nn.Module, weights: Path, architecture: str) -> None:
    try:
        tensors = load_file(weights)
        wanted = module.state_dict()
        module.load_state_dict({name: tensor for name, tensor in tensors.items() if name in wanted})
    except (SafetensorError, RuntimeError) as error:
        raise ConfigurationError(f"{weights} does not hold weights of {architecture}: {error}") from error


def _sha256(path: Path) -> str:
    if path.suffix != ".safetensors":
        raise ConfigurationError(f"{path}: weights are read from .safetensors only (other formats can run code)")
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigurationError(f"cannot read the weights {path}: {error.strerror}") from error


def _described(path: Path) -> BaseModel:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        licence = about.get("licence", "unknown")
        return BaseModel(
            id=about["id"],
            architecture=about["architecture"],
            model_args=about.get("model_args", {}),
            weights=path.parent / about["weights"],
            sha256=about["sha256"],
            licence=Licence(licence=licence) if isinstance(licence, str) else Licence.model_validate(licence),
            height=about["input_size"][1],
            width=about["input_size"][2],
            mean=about["mean"],
            std=about["std"],
        )
    except (OSError, json.JSONDecodeError, KeyError, ValidationError) as error:
        raise ConfigurationError(f"{path} does not describe a backbone: {error!r}") from error
