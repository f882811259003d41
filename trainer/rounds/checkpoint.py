"""Rounds of a training, kept beside its run so that a killed training goes on where it was.

A round begins from the same seed whenever it is begun, and one that is under way stands on disk as it stood at a check
(`midway`), so a training that was killed at any time and resumed ends with the weights of one that was left alone. The
frozen features are kept by `features` anyway.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from runtime.durable import write_whole
from trainer.bases.backbone import sha256_of
from trainer.network import Network
from trainer.rounds.kept import Check, Tuned
from trainer.rounds.midway import Midway

_LOGITS = "best.logits"


@dataclass(frozen=True)
class Checkpoint:
    """`folder` holds `round-N.safetensors` and `round-N.json` under the key of exactly this training."""

    folder: Path
    key: str

    def recall(self, number: int, blank: Network) -> Tuned | None:
        """The finished round of that number with its weights in `blank`, or None when it must be trained."""
        path = self.folder / f"round-{number}.safetensors"
        try:
            about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            tensors = load_file(path)
        except (OSError, ValueError, SafetensorError):
            return None
        if about["key"] != self.key or about["sha256"] != sha256_of(path):
            return None
        logits = tensors.pop(_LOGITS)
        blank.load_state_dict(tensors)
        checks = tuple(Check(step, loss, held_out, logits, pace) for step, loss, held_out, pace in about["checks"])
        return Tuned(blank, checks[about["best"]], checks, jumps=tuple(about["jumps"]))

    def keep(self, number: int, tuned: Tuned) -> None:
        """Write a finished round; complete or not there at all, whenever the process dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"round-{number}.safetensors"
        tensors = {name: tensor.contiguous() for name, tensor in tuned.network.state_dict().items()}
        save_file({**tensors, _LOGITS: tuned.best.logits.contiguous()}, path)
        about = {
            "key": self.key,
            "sha256": sha256_of(path),
            "best": next(number for number, check in enumerate(tuned.checks) if check is tuned.best),
            "checks": [(check.step, check.loss, check.held_out_loss, check.pace) for check in tuned.checks],
            "jumps": tuned.jumps,
        }
        write_whole(path.with_suffix(".json"), json.dumps(about))
        self.midway(number).remove()

    def midway(self, number: int) -> Midway:
        """The round of that number while it is under way."""
        return Midway(self.folder / f"round-{number}.midway.safetensors", self.key)

    def remove(self) -> None:
        """The training is over, or begins anew."""
        shutil.rmtree(self.folder, ignore_errors=True)


def key_of(**parts: Any) -> str:
    """One key of everything that decides the weights."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def code_hash() -> str:
    """SHA-256 of the trainer's source: other code may compute other weights."""
    found = hashlib.sha256(torch.__version__.encode())
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()
