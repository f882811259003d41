"""A round that is under way, on disk: one file that is complete or the one before it, whenever the process dies."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from runtime.durable import beside, move_durably
from trainer.rounds.standing import Standing

EVERY_SECONDS = 60.0  # at most one is written; how often does not change what comes out


@dataclass
class Midway:
    """`path` holds the tensors of a `Standing` and, in its header, the rest as JSON and the `key` of its training."""

    path: Path
    key: str
    written: float = field(default_factory=time.monotonic)  # seconds

    def keep(self, standing: Standing) -> None:
        """Write it down, where the last time is long enough ago."""
        now = time.monotonic()
        if now - self.written < EVERY_SECONDS:
            return
        fresh = beside(self.path)
        save_file(standing.tensors(), fresh, metadata={"key": self.key, "about": json.dumps(standing.about())})
        move_durably(fresh, self.path)
        self.written = now

    def recall(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What `Standing.restore` takes; None where nothing is written of exactly this training."""
        try:
            with safe_open(self.path, framework="pt") as file:
                header = file.metadata() or {}
                if header.get("key") != self.key:
                    return None
                return {name: file.get_tensor(name) for name in file.keys()}, json.loads(header["about"])  # noqa: SIM118
        except (OSError, SafetensorError):
            return None

    def remove(self) -> None:
        """The round is finished."""
        self.path.unlink(missing_ok=True)
