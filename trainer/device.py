"""Where the computing happens: on the processor, or on an NVIDIA GPU where one is there and asked for.

A network lies where it computes; what it is asked is sent there, and its answers come back. Images, labels, random
draws, the fitting of heads and everything that is kept stay on the processor.
"""

from __future__ import annotations

import torch
from torch import nn

from contracts.errors import ConfigurationError
from trainer.settings import DeviceName

CPU = torch.device("cpu")


def device_for(wanted: DeviceName) -> torch.device:
    """`auto` is the GPU where there is one. Raises ConfigurationError where `cuda` is wanted and torch finds none."""
    found = torch.cuda.is_available()
    if wanted == "cuda" and not found:
        built = "finds no GPU" if torch.version.cuda else "was built without CUDA"
        raise ConfigurationError(
            f"device cuda: torch {torch.__version__} {built} on this machine; say --device cpu (or auto), or install "
            "the CUDA build of the same torch version and look whether nvidia-smi lists the GPU"
        )
    return torch.device("cuda") if found and wanted != "cpu" else CPU


def device_of(network: nn.Module) -> torch.device:
    """Where a network lies; one without parameters computes on the processor."""
    first = next(network.parameters(), None)
    return CPU if first is None else first.device


def placed(network: nn.Module, device: torch.device) -> nn.Module:
    """The network itself, on that device; on a GPU with channels last in memory, which its convolutions like."""
    if device == CPU:
        return network
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def precision(device: torch.device, *, whole: bool) -> torch.autocast:
    """bfloat16 on a GPU that computes with it, and on a processor that does where the `whole` network is trained;
    float32 otherwise."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16, enabled=torch.cuda.is_bf16_supported())
    fast = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=whole and fast)
