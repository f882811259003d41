"""Low-rank adapters: what they train, what they leave alone, and that nothing of them is left in the model."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

from contracts.bundle import Licence
from contracts.errors import ConfigurationError
from tests.trainer.conftest import blank_head, recipe, small_lesson
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.network import Network
from trainer.rounds.finetune import finetune
from trainer.rounds.kept import Tuned
from trainer.rounds.lora import LowRank, adapt, hold_base, pointwise
from trainer.settings import TrainingSettings
from trainer.strategy import RECIPES, recipe_of


@pytest.fixture(scope="session")
def separable_base() -> BaseModel:
    """A tiny network of pointwise and depthwise convolutions, with random weights."""
    return BaseModel(
        id="separable (random)", architecture="test_efficientnet", width=48, height=48,
        licence=Licence(licence="Apache-2.0"),
    )  # fmt: skip


def stages_of(*layers: nn.Module) -> nn.ModuleList:
    return nn.ModuleList([nn.Sequential(*layers)])


def adapter_of(layer: nn.Module) -> LowRank:
    (found,) = [module for module in layer.modules() if isinstance(module, LowRank)]
    return found


def filled(layer: nn.Module) -> LowRank:
    """The layer's adapter, with a second factor that is not zero."""
    adapter = adapter_of(layer)
    with torch.no_grad():
        adapter.b.normal_(generator=torch.Generator().manual_seed(1))
    return adapter


def test_new_adapter_changes_nothing() -> None:
    layer, x = nn.Conv2d(8, 12, 1), torch.randn(2, 8, 5, 5)
    before = layer(x)
    adapt(stages_of(layer), rank=4, seed=0)
    assert torch.equal(layer(x), before)


def test_adapted_layer_answers_and_learns_as_one_with_a_branch_beside_it() -> None:
    torch.manual_seed(0)
    layer, x = nn.Conv2d(8, 12, 1), torch.randn(2, 8, 5, 5)
    weight = layer.weight.detach().clone()
    stages = stages_of(layer)
    adapt(stages, rank=4, seed=0)
    adapter = filled(layer)
    a, b = (factor.detach().clone().requires_grad_() for factor in (adapter.a, adapter.b))
    branch = functional.conv2d(functional.conv2d(x, a[:, :, None, None]), b[:, :, None, None])
    beside = functional.conv2d(x, weight, layer.bias) + branch
    assert torch.allclose(layer(x), beside, atol=1e-5)
    hold_base(stages)
    torch.autograd.backward([(layer(x) ** 2).sum(), (beside**2).sum()])
    assert adapter.a.grad is not None
    assert adapter.b.grad is not None
    assert torch.allclose(adapter.a.grad, a.grad, rtol=1e-4, atol=1e-3)
    assert torch.allclose(adapter.b.grad, b.grad, rtol=1e-4, atol=1e-3)


def test_merged_weight_is_the_one_that_was_trained() -> None:
    layer, x = nn.Linear(8, 12), torch.randn(3, 8)
    adapt(stages_of(layer), rank=4, seed=0)
    filled(layer)
    adapted, merged = layer(x), layer.weight.detach().clone()
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    assert torch.equal(layer.weight, merged)
    assert torch.equal(layer(x), adapted)
    assert set(layer.state_dict()) == {"weight", "bias"}


def test_correction_has_the_rank_that_is_asked_for_in_half_precision_too() -> None:
    layer = nn.Conv2d(16, 24, 1)
    before = layer.weight.detach().clone()
    adapt(stages_of(layer), rank=3, seed=0)
    filled(layer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        change = (layer.weight - before).detach().flatten(1).double()
    assert int(torch.linalg.matrix_rank(change, rtol=1e-4)) == 3


def test_depthwise_and_wide_kernels_get_no_adapter() -> None:
    stages = stages_of(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 1, groups=8), nn.Conv2d(8, 4, 1), nn.Linear(4, 4))
    assert [type(layer).__name__ for layer in pointwise(stages)] == ["Conv2d", "Linear"]
    with pytest.raises(ConfigurationError, match="no 1x1 convolution"):
        adapt(stages_of(nn.Conv2d(8, 8, 3)), rank=4, seed=0)


def lora(base: BaseModel, steps: int, *, rank: int = 8) -> tuple[Network, Tuned]:
    """The network as it was, and trained."""
    network = Network(load_base_model(base)[0], 2).eval()
    recipe_ = recipe("lora", fewest_steps=steps, most_steps=steps, rank=rank)
    head = blank_head(network.head.in_features)
    return network, finetune(network, head, small_lesson(48), small_lesson(16, seed=1), cut=0, recipe=recipe_, seed=0)


def test_training_moves_pointwise_weights_alone_and_leaves_a_plain_network(separable_base: BaseModel) -> None:
    network, tuned = lora(separable_base, 12)
    adapted = {id(layer.weight) for layer in pointwise(network.stages)}
    names = {f"stages.{name}" for name, weight in network.stages.named_parameters() if id(weight) in adapted}
    before, after = network.state_dict(), tuned.network.state_dict()
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == names | {"head.weight", "head.bias"}


def test_adapters_learn_what_the_classes_are(separable_base: BaseModel) -> None:
    _, tuned = lora(separable_base, 40)
    assert tuned.best.held_out_loss < 0.5 * tuned.checks[0].held_out_loss


def test_same_seed_and_rank_give_the_same_weights_and_another_rank_others(separable_base: BaseModel) -> None:
    one, same, other = (lora(separable_base, 6, rank=rank)[1].network.state_dict() for rank in (4, 4, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_rank_is_a_setting_of_this_strategy_alone() -> None:
    chosen = recipe_of(TrainingSettings(strategy="lora", lora_rank=3))
    assert chosen is not None
    assert chosen.rank == 3
    assert recipe_of(TrainingSettings(strategy="full", lora_rank=3)) == RECIPES["full"]
