"""Whether a base model is what its entry says: file, hash, timm, an answer; and a site's own run as an entry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from contracts.errors import ConfigurationError
from contracts.preprocessing import Preprocessing
from trainer.bases.backbone import load_base_model, sha256_of
from trainer.bases.catalogue import Entry, Listed
from trainer.network import Network
from trainer.stem import multiplications
from trainer.trained import RunRecord, load_run


@dataclass(frozen=True)
class Facts:
    """Counted on the loaded backbone: its parameters, and the multiplications of its convolutions for one image."""

    parameters: int
    multiplications: int


def verify(listed: Listed, weights: Path) -> Facts:
    """Load the weights and let them answer. Raises ConfigurationError where hash, shapes, the answer or a count that
    the entry states differ."""
    entry = listed.entry
    if entry.sha256 is None:
        raise ConfigurationError(f"{entry.id} states no sha256, so no file can be the right one")
    module, _ = load_base_model(listed.base_model(weights))
    network = Network(module, 2).eval()
    spec = Preprocessing(width=entry.width, height=entry.height, mean=entry.mean, std=entry.std)
    facts = Facts(sum(p.numel() for p in module.parameters()), sum(multiplications(network, spec)))
    with torch.inference_mode():
        _, embedding = network(torch.zeros(1, 3, entry.height, entry.width))
    if not bool(torch.isfinite(embedding).all()):
        raise ConfigurationError(f"{entry.id} answers with numbers that are not finite")
    for name in ("parameters", "multiplications"):
        stated, counted = getattr(entry, name), getattr(facts, name)
        if stated is not None and stated != counted:
            raise ConfigurationError(f"{entry.id} states {stated:,} {name}, its weights have {counted:,}")
    return facts


def from_run(folder: Path, name: str, weights: Path, *, reviewer: str, today: date) -> Entry:
    """A finished run as a base model for a sister site or a later product; its backbone is written to the file
    `weights` under timm's names. Licence and permission are the strictest of what the run was made from; its line is
    that of its base model, with every limit, bias and accepted risk. From random weights nothing is inherited."""
    model = load_run(folder)
    record = model.record
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_file(backbone_of(record, model.module), weights)
    spec, licence, base = record.preprocessing, record.licence, record.base_model
    ancestors = base.line() if record.lineage.base_model_sha256 else ()
    learned = f"snapshot {record.lineage.snapshot_hash} of site {record.site}"
    return Entry(
        id=name,
        architecture=base.architecture,
        model_args=base.model_args,
        sha256=sha256_of(weights),
        owner=licence.owner,
        licence=licence.licence,
        permitted_use=licence.permitted_use,
        production=licence.production,
        training_data=f"{learned}, on top of {base.id}" if ancestors else learned,
        documentation=str((folder / "card.md").resolve()),
        limits=record.cannot_promise,
        width=spec.width,
        height=spec.height,
        mean=spec.mean,
        std=spec.std,
        reviewer=reviewer,
        reviewed=today if reviewer else None,
        parents=tuple(each.id for each in ancestors),
        ancestors=ancestors,
        snapshot=str(record.snapshot),
    )


def backbone_of(record: RunRecord, module: nn.Module) -> dict[str, Tensor]:
    """The weights of a run's backbone under timm's names."""
    backbone, _ = load_base_model(record.base_model.model_copy(update={"weights": None}))
    network = Network(backbone, len(record.labels), tasks=record.tasks)  # its stages are the backbone's own modules
    network.load_state_dict(module.state_dict())
    return {key: value.contiguous() for key, value in backbone.state_dict().items()}
