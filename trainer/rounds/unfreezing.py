"""Progressive unfreezing: the head learns first, then groups of stages from the top back join it, one after the other.

ULMFiT (Howard & Ruder, ACL 2018, section 3.3): pretrained weights are moved only once what stands above them has
stopped asking for large changes. A stage that has not been released costs no backward pass and stays as it was.
"""

from __future__ import annotations

from trainer.network import Network


def first_released(step: int, steps: int, *, stages: int, groups: int) -> int:
    """The first stage that learns in a step (from 1): `stages` while the head is alone, 0 from half of the steps on.

    >>> [first_released(step, 80, stages=19, groups=4) for step in (1, 10, 11, 21, 31, 41, 80)]
    [19, 19, 14, 9, 4, 0, 0]
    """
    released = min(groups, 2 * groups * (step - 1) // steps)
    return max(0, stages - released * -(-stages // groups))


def release(network: Network, first: int) -> None:
    """The stages from `first` on learn. Their BatchNorm takes the statistics of each batch from now on and its averages
    follow; below, it answers with those that were settled on the site's images before the training."""
    network.stages[:first].eval().requires_grad_(False)
    network.stages[first:].train().requires_grad_(True)
