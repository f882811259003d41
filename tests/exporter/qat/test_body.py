"""What is learned with is what is exported, and all of it runs in int8."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from exporter.qat.body import converted, rounding, settle, switch
from exporter.qat.centre import centre, channel_means
from exporter.qat.rounding import ActivationRounding, CutRounding, WeightRounding
from exporter.qat.write import write_symmetric, write_x86
from runtime.session import Signature
from tests.exporter.qat.conftest import SIDE, SIGNATURE, Answer, images
from trainer.bases.backbone import BaseModel, load_base_model


def weight_rounding() -> WeightRounding:
    return WeightRounding(dtype=torch.int8, qscheme=torch.per_channel_symmetric, quant_min=-127, quant_max=127)


def test_without_rounding_it_answers_as_the_network(network: nn.Module, rounded: nn.Module) -> None:
    plain = copy.deepcopy(rounded)
    switch(plain, off=True)
    for mine, theirs in zip(plain(images(4, seed=3)), network(images(4, seed=3)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
    assert not torch.equal(rounded(images(4, seed=3))[1], plain(images(4, seed=3))[1])


def test_conversion_changes_no_bit(rounded: nn.Module) -> None:
    made = converted(rounded, (3, SIDE, SIDE))
    with torch.inference_mode():
        for mine, theirs in zip(made(images(4, seed=3)), rounded(images(4, seed=3)), strict=True):
            assert torch.equal(mine, theirs)


def test_the_file_answers_as_the_network_that_learned(rounded: nn.Module, symmetric: Path, answer: Answer) -> None:
    with torch.inference_mode():
        wanted = rounded(images(8, seed=3))[1].numpy()
    found = answer(onnx.load(symmetric), images(8, seed=3))[1]
    assert np.abs(found - wanted).mean() <= 0.01 * np.abs(wanted).mean()


def test_the_weights_learn_through_the_rounding(rounded: nn.Module) -> None:
    learner = copy.deepcopy(rounded)
    before = [parameter.detach().clone() for parameter in learner.parameters()]
    optimizer = torch.optim.SGD(learner.parameters(), 1e-2)
    first = learner(images(8, seed=4))[0].square().mean()
    for _ in range(5):
        optimizer.zero_grad()
        learner(images(8, seed=4))[0].square().mean().backward()
        optimizer.step()
    assert learner(images(8, seed=4))[0].square().mean() < first
    changed = [not torch.equal(*pair) for pair in zip(before, learner.parameters(), strict=True)]
    assert all(changed)


def test_ranges_are_those_of_the_images_and_stay(rounded: nn.Module) -> None:
    scales = [each.scale.item() for each in rounded.modules() if isinstance(each, ActivationRounding)]
    assert scales[0] == pytest.approx(float(images(16, seed=9).abs().max()) / 127)
    rounded(images(8, seed=5) * 10)
    assert [each.scale.item() for each in rounded.modules() if isinstance(each, ActivationRounding)] == scales


def test_what_a_relu6_leaves_has_all_steps_of_int8_where_nothing_is_padded(rounded: nn.Module, symmetric: Path) -> None:
    cuts = [each for each in rounded.modules() if isinstance(each, CutRounding)]
    assert [each.scale.item() for each in cuts] == [pytest.approx(6 / 255)]
    shown = cuts[0](torch.tensor([-1.0, 0.0, 3.0, 6.0, 7.0]))
    torch.testing.assert_close(shown, torch.tensor([0.0, 0.0, 128 * 6 / 255, 6.0, 6.0]), atol=1e-6, rtol=0)
    graph = onnx.load(symmetric).graph  # the other ReLU6 is read by the mean
    assert sum(node.op_type == "Clip" for node in graph.node) == 1


def test_a_faint_channel_gets_a_step_that_its_bias_fits() -> None:
    weight = torch.ones(2, 3, 1, 1)
    weight[1] = 1e-20
    rounding = weight_rounding()
    answered = rounding(weight)
    assert torch.equal(answered[1], torch.zeros(3, 1, 1))
    assert rounding.scale[1] == rounding.scale[0] / 4096


def test_weights_are_at_most_half_a_step_off() -> None:
    weight = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    rounding = weight_rounding()
    off = (rounding(weight) - weight).abs().flatten(1).amax(1)
    assert torch.all(off <= rounding.scale / 2 + 1e-7)
    torch.testing.assert_close(rounding.scale, weight.abs().flatten(1).amax(1) / 127)


def operators(path: Path, folder: Path) -> Counter[str]:
    """Of the graph that onnxruntime makes of a file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node)


@pytest.mark.parametrize("whole_range", [False, True])
def test_every_convolution_and_addition_runs_in_int8(symmetric: Path, tmp_path: Path, *, whole_range: bool) -> None:
    write_x86(symmetric, tmp_path / "x86.onnx", whole_range=whole_range)
    found = operators(tmp_path / "x86.onnx", tmp_path)
    assert found["QLinearConv"] == 8
    assert found["QLinearAdd"] == 2
    assert found["Conv"] == found["FusedConv"] == found["Relu"] == 0
    assert found["Clip"] == (0 if whole_range else 1)  # of integers


class Backbone(nn.Module):
    """A timm network with everything before its classifier."""

    def __init__(self, architecture: str) -> None:
        super().__init__()
        self.inner, _ = load_base_model(BaseModel(id=architecture, architecture=architecture))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.inner.forward_head(self.inner.forward_features(x), pre_logits=True)  # type: ignore[operator]
        return embedding[:, :2], embedding


@pytest.mark.parametrize(
    ("architecture", "convolutions", "additions", "cuts"),
    [
        ("resnet18", 20, 8, 0),
        ("mobilenetv2_100", 52, 10, 17),
        ("mobilenetv3_small_100", 53, 6, 0),
        ("efficientnet_lite0", 49, 9, 16),
        ("regnetx_002", 44, 13, 0),
    ],
)
def test_backbones_of_the_catalogue_run_in_int8_as_a_whole(
    architecture: str, convolutions: int, additions: int, cuts: int, tmp_path: Path
) -> None:
    """`cuts`: the ReLU6 of each depthwise convolution, which the ends of int8 do."""
    torch.manual_seed(0)
    backbone = Backbone(architecture).eval()
    made = nn.Sequential(rounding([backbone], (3, 64, 64))).eval()
    batch = torch.randn(2, 3, 64, 64)
    settle(made, [batch])
    assert sum(isinstance(each, CutRounding) for each in made.modules()) == cuts
    with torch.inference_mode():
        width = made(batch)[1].shape[1]
    write_symmetric(made, Signature(labels=2, height=64, width=64, embedding_width=width), tmp_path / "symmetric.onnx")
    write_x86(tmp_path / "symmetric.onnx", tmp_path / "x86.onnx")
    found = operators(tmp_path / "x86.onnx", tmp_path)
    assert (found["QLinearConv"], found["QLinearAdd"]) == (convolutions, additions)
    assert found["Conv"] == found["FusedConv"] == found["Relu"] == 0


def test_no_file_tells_where_in_torch_its_nodes_came_from(symmetric: Path) -> None:
    assert not any(node.metadata_props for node in onnx.load(symmetric).graph.node)


def test_signature_is_that_of_the_float_file(symmetric: Path) -> None:
    session = onnxruntime.InferenceSession(str(symmetric), providers=["CPUExecutionProvider"])
    assert {item.name: item.shape for item in session.get_outputs()} == SIGNATURE.outputs
    assert [(item.name, item.shape) for item in session.get_inputs()] == [("image", [1, 3, SIDE, SIDE])]


def test_centring_gives_every_channel_the_mean_it_has_without_rounding(network: nn.Module) -> None:
    body = rounding([network], (3, SIDE, SIDE)).eval()
    batch = images(16, seed=9)
    settle(body, [batch])
    switch(body, off=True)
    wanted = channel_means(body, batch)
    switch(body, off=False)
    before = channel_means(body, batch)
    centre(body, batch)
    after = channel_means(body, batch)
    assert len(after) == 8
    for name, mean in after.items():
        torch.testing.assert_close(mean, wanted[name], atol=1e-5, rtol=1e-4)
        assert (before[name] - wanted[name]).abs().max() > 1e-4
