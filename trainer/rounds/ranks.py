"""Several processes that fine-tune one model together, as torchrun starts them: every rank takes its share of each
batch and the gradients are summed, so that the steps are those of a single process but for rounding.

Every rank reads the same images and draws the same batches, looks and dropout; rank 0 alone decides by the clock and
writes. In a single process nothing here does anything. (Li et al., PyTorch Distributed, VLDB 2020.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from contracts.errors import ConfigurationError
from trainer.settings import TrainingSettings
from trainer.strategy import recipe_of

_PATIENCE = timedelta(hours=12)  # of the others while rank 0 looks at images or writes


@contextmanager
def joined(*, gpu: bool) -> Iterator[None]:
    """Within it the processes that torchrun started belong together: over NCCL on GPUs, one each, over Gloo on
    processors. Alone, where torchrun did not start this process."""
    if not distributed.is_torchelastic_launched():
        yield
        return
    distributed.init_process_group("nccl" if gpu else "gloo", timeout=_PATIENCE)
    if gpu:
        torch.cuda.set_device(distributed.get_node_local_rank())
    try:
        yield
    finally:
        distributed.destroy_process_group()


def refuse_crowded(device: torch.device) -> None:
    """Raises ConfigurationError where torchrun has started more processes on this machine than it has GPUs to give."""
    if device.type == "cpu" or not distributed.is_torchelastic_launched():
        return
    if distributed.get_node_local_rank() >= (gpus := torch.cuda.device_count()):
        raise ConfigurationError(
            f"every process computes on a GPU of its own, and this machine has {gpus}: start as many with "
            "--nproc-per-node, or say --device cpu"
        )


def several() -> bool:
    """Whether this process has others beside it."""
    return distributed.is_initialized() and distributed.get_world_size() > 1


def leads() -> bool:
    """Whether this process decides and writes: rank 0, or the only one."""
    return not several() or distributed.get_rank() == 0


def wait() -> None:
    """Until all ranks are here."""
    if several():
        distributed.barrier()


@contextmanager
def leader_first() -> Iterator[None]:
    """Rank 0 goes through it, then the others, who find in the cache what it has computed."""
    if not leads():
        wait()
    yield
    if leads():
        wait()


def share(images: int) -> slice:
    """Which images of a batch are this rank's; all of them where it is alone."""
    if not several():
        return slice(0, images)
    rank, ranks = distributed.get_rank(), distributed.get_world_size()
    return slice(images * rank // ranks, images * (rank + 1) // ranks)


def agreed(said: bool, near: nn.Module) -> bool:
    """What rank 0 says, which all do: their clocks differ. `near` lies on the device that talks."""
    if not several():
        return said
    answer = torch.tensor(float(said), device=next(near.parameters()).device)
    distributed.broadcast(answer, src=0)
    return bool(answer.item())


def same_start(network: nn.Module) -> None:
    """Every rank begins with rank 0's weights."""
    if several():
        for tensor in network.state_dict().values():
            distributed.broadcast(tensor, src=0)


def summed(optimizer: torch.optim.Optimizer, loss: float) -> float:
    """Add up the gradients of all ranks, each over its share of the batch; the same for the loss, which is returned."""
    if not several():
        return loss
    gradients = _gradients(optimizer)
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), gradients[0].new_tensor([loss])])
    distributed.all_reduce(flat)
    at = 0
    for gradient in gradients:
        gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
        at += gradient.numel()
    return float(flat[-1].item())


def refuse_together(settings: TrainingSettings, *, trials: int, resume: bool) -> None:
    """Raises ConfigurationError for what several processes cannot do together."""
    if not several():
        return
    recipe = recipe_of(settings) if settings.strategy != "auto" else None
    if settings.strategy == "auto" or (recipe is not None and recipe.learns_statistics):
        raise ConfigurationError(
            f"strategy {settings.strategy} does not train in several processes: BatchNorm would see a share of each "
            "batch only, and clocks would decide apart; say --strategy tail, or start it without torchrun"
        )
    if trials or resume or (settings.compare_tasks and settings.tasks):
        raise ConfigurationError(
            "--tune, --resume and --compare-tasks work in a single process; start it without torchrun"
        )


def _gradients(optimizer: torch.optim.Optimizer) -> Sequence[Tensor]:
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    return [parameter.grad for parameter in parameters if parameter.grad is not None]
