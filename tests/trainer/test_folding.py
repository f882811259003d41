"""The folded stem answers as the plain one does, for every family that can be cut, and it is another object."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trainer.bases.backbone import BaseModel, load_base_model
from trainer.bases.stages import cut
from trainer.folding import folded

FAMILIES = {
    "mobilenetv2_050": {},
    "mobilenetv2_035.same": {"pad_type": "same"},
    "mnasnet_small.same": {"pad_type": "same"},  # kernels of 5, squeeze and excitation
    "resnet10t": {},
    "mobilenetv3_small_050": {},
    "regnetx_002": {},
}


def stages_of(name: str) -> list[nn.Module]:
    backbone, _ = load_base_model(BaseModel(id="x", architecture=name.split(".")[0], model_args=FAMILIES[name]))
    torch.manual_seed(1)
    for layer in backbone.modules():
        if isinstance(layer, nn.BatchNorm2d):  # fresh statistics would make folding trivial
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.5, 2.0)
    return cut(backbone.eval().requires_grad_(False))


@pytest.mark.parametrize("size", [(64, 64), (50, 70), (65, 64)])
@pytest.mark.parametrize("name", FAMILIES)
def test_folded_stages_answer_the_same(name: str, size: tuple[int, int]) -> None:
    stages = stages_of(name)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    plain = nn.Sequential(*stages)
    with torch.inference_mode():
        before, after = plain(images), folded(stages, (1, 3, *size))(images)
        again = plain(images)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3 * float(before.abs().max()))
    assert torch.equal(again, before), "the stages themselves were changed"


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_is_left_of_batchnorm_and_of_padding_copies(name: str) -> None:
    left = {type(module).__name__ for module in folded(stages_of(name), (1, 3, 64, 64)).modules()}
    assert not left & {"BatchNorm2d", "BatchNormAct2d", "Conv2dSame"}
