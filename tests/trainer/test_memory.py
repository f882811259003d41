"""A training keeps its memory while it runs, and gives it back afterwards."""

from __future__ import annotations

import platform
import resource

import pytest
import torch

from trainer.memory import kept_memory

_PAGES = 64 * 2**20 // resource.getpagesize()

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")


def faults() -> int:
    """Pages that the system had to fetch for four tensors of 64 MiB, one after another."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(64 * 2**20, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    """Pages of this process in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1])


def test_what_is_freed_is_used_again() -> None:
    with kept_memory():
        assert min(faults() for _ in range(6)) < _PAGES


def test_memory_goes_back_at_the_end_even_of_a_failure() -> None:
    before = resident()

    @kept_memory()
    def fail() -> None:
        faults()
        raise KeyError(resident())

    with pytest.raises(KeyError) as error:
        fail()
    assert error.value.args[0] > before + _PAGES // 2
    assert resident() < before + _PAGES // 2
