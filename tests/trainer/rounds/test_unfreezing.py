"""Progressive unfreezing: in which order stages are released, and that a held one costs and changes nothing."""

from __future__ import annotations

import pytest
import torch

from tests.trainer.conftest import blank_head, recipe, small_lesson
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.network import Network
from trainer.rounds.finetune import finetune
from trainer.rounds.kept import Tuned
from trainer.rounds.learner import optimizer_of
from trainer.rounds.unfreezing import first_released, release


def network_of(base: BaseModel) -> Network:
    return Network(load_base_model(base)[0], 2).eval()


@pytest.mark.parametrize(("stages", "steps"), [(5, 20), (19, 600), (19, 1500), (3, 100)])
def test_stages_are_released_from_the_top_and_all_of_them_by_half_of_the_steps(stages: int, steps: int) -> None:
    first = [first_released(step, steps, stages=stages, groups=4) for step in range(1, steps + 1)]
    assert first[0] == stages, "the head begins alone"
    assert first == sorted(first, reverse=True)
    assert first[steps // 2] == 0
    assert len(set(first)) >= min(stages, 4), "one group after the other"


def test_held_stages_cost_no_backward_pass_and_keep_their_statistics(small_base: BaseModel) -> None:
    network = network_of(small_base)
    release(network, 3)
    before = {name: tensor.clone() for name, tensor in network.stages.state_dict().items()}
    maps = network.run(torch.randn(4, 3, 48, 48), 0, 3)
    assert not maps.requires_grad, "nothing is recorded below what is released"
    torch.autograd.backward(network.embed(network.run(maps, 3, len(network.stages))).sum())
    with_gradient = {
        name.split(".")[0] for name, weight in network.stages.named_parameters() if weight.grad is not None
    }
    assert with_gradient == {"3", "4"}
    after = network.stages.state_dict()
    followed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert followed == {"3", "4"}, "BatchNorm follows the batches where it is released, and nowhere else"


def test_deepest_stage_learns_five_to_ten_times_slower_than_the_top(small_base: BaseModel) -> None:
    rates = [group["lr"] for group in optimizer_of(network_of(small_base), 0, recipe("gradual")).param_groups[:-1]]
    assert rates == sorted(rates)
    assert 5 <= rates[-1] / rates[0] <= 10


def gradual(base: BaseModel, steps: int) -> tuple[Network, Tuned]:
    """The network as it was, and trained."""
    network = network_of(base)
    head = blank_head(network.head.in_features)
    chosen = recipe("gradual", fewest_steps=steps, most_steps=steps, checks=2)
    return network, finetune(network, head, small_lesson(48), small_lesson(16, seed=1), cut=0, recipe=chosen, seed=0)


def moved(network: Network, tuned: Tuned) -> set[str]:
    """Stages of which some tensor changed."""
    before, after = network.stages.state_dict(), tuned.network.stages.state_dict()
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


def test_whole_schedule_reaches_every_stage(small_base: BaseModel) -> None:
    network, tuned = gradual(small_base, 24)
    assert tuned.best.step > 0
    assert moved(network, tuned) == {"0", "1", "2", "3", "4"}


def test_stage_that_is_never_released_stays_as_it_was(small_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.rounds.finetune.first_released", lambda *_, stages, groups: stages - 2)
    assert moved(*gradual(small_base, 24)) == {"3", "4"}


def test_gradual_training_is_the_same_for_the_same_seed(small_base: BaseModel) -> None:
    one, other = (gradual(small_base, 12)[1].network.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
