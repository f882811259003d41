"""Where a round stands after a check: everything that decides what its next step does, as tensors and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.network import Network
from trainer.rounds.kept import Check, Kept


@dataclass
class Standing:
    """The networks, the optimizer and its schedule, what is kept, the checks (the first is the start) and jumps so far.
    The order of the images is not here: it follows from the seed, and the steps done are left out of it."""

    model: Network
    averaged: Network
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.OneCycleLR
    kept: Kept
    checks: list[Check]
    jumps: list[str]
    pace: float
    step: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """Weights, AdamW's averages by the names of their weights, torch's generator, the checks' logits [c, n, k]."""
        found = {"random": torch.get_rng_state(), "logits": torch.stack([check.logits for check in self.checks])}
        for task in self.checks[0].beside:
            found[f"beside.{task}"] = torch.stack([check.beside[task] for check in self.checks])
        for part, network in self._networks().items():
            found |= {f"{part}.{name}": tensor for name, tensor in network.state_dict().items()}
        for name, weight in self.model.named_parameters():
            found |= {f"optimizer.{name}.{key}": value for key, value in self.optimizer.state.get(weight, {}).items()}
        return {name: tensor.contiguous() for name, tensor in found.items()}

    def about(self) -> dict[str, Any]:
        """The rest, as JSON."""
        return {
            "step": self.step,
            "pace": self.pace,
            "jumps": self.jumps,
            "rates": [(group["lr"], group["betas"]) for group in self.optimizer.param_groups],
            "checks": [(check.step, check.loss, check.held_out_loss, check.pace) for check in self.checks],
            "best": _place(self.kept.best, self.checks),
            "lowest": _place(self.kept.lowest, self.checks),
            "stale": self.kept.stale,
        }

    def restore(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Stand there again; this one was begun for the same round and at the same pace."""
        for part, network in self._networks().items():
            network.load_state_dict({name: tensors[f"{part}.{name}"] for name in network.state_dict()})
        for name, weight in self.model.named_parameters():
            if state := _state(tensors, f"optimizer.{name}.", weight.device):
                self.optimizer.state[weight] = state
        for group, (rate, betas) in zip(self.optimizer.param_groups, about["rates"], strict=True):
            group["lr"], group["betas"] = rate, tuple(betas)
        self.schedule.last_epoch = self.step = about["step"]
        beside = {task: tensors[f"beside.{task}"] for task in self.checks[0].beside}  # [c, n] each
        self.checks[:] = [
            Check(step, loss, held_out, logits, pace, {task: losses[row] for task, losses in beside.items()})
            for row, ((step, loss, held_out, pace), logits) in enumerate(
                zip(about["checks"], tensors["logits"], strict=True)
            )
        ]
        self.kept.best, self.kept.lowest = self.checks[about["best"]], self.checks[about["lowest"]]
        self.kept.stale, self.jumps[:] = about["stale"], about["jumps"]
        torch.set_rng_state(tensors["random"])

    def _networks(self) -> dict[str, Network]:
        return {"model": self.model, "averaged": self.averaged, "kept": self.kept.network}


def _state(tensors: Mapping[str, Tensor], prefix: str, device: torch.device) -> dict[str, Tensor]:
    """AdamW's averages of one weight, where it lies; its count of steps stays on the processor."""
    found = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return {key: value if key == "step" else value.to(device) for key, value in found.items()}


def _place(check: Check, checks: list[Check]) -> int:
    return next(number for number, each in enumerate(checks) if each is check)
