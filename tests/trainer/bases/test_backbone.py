"""Weights come from a file with the expected hash, in a format that cannot run code, or not at all."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from contracts.errors import ConfigurationError
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.bases.stages import cut
from trainer.network import Network


@pytest.fixture
def weights(small_base: BaseModel, tmp_path: Path) -> Path:
    module, _ = load_base_model(small_base, seed=3)
    save_file(dict(module.state_dict()), tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def test_weights_with_the_expected_hash_are_loaded(small_base: BaseModel, weights: Path) -> None:
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    base = small_base.model_copy(update={"weights": weights, "sha256": sha256})
    module, found = load_base_model(base, seed=9)
    same, _ = load_base_model(small_base, seed=3)
    assert found == sha256
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), same.parameters(), strict=True))


def test_wrong_hash_is_refused_and_both_hashes_are_named(small_base: BaseModel, weights: Path) -> None:
    base = small_base.model_copy(update={"weights": weights, "sha256": "0" * 64})
    with pytest.raises(ConfigurationError, match=r"small\.safetensors has SHA-256 [0-9a-f]{64}, expected 0{64}"):
        load_base_model(base)


def test_unpinned_weights_are_recorded_as_found(small_base: BaseModel, weights: Path) -> None:
    base = small_base.model_copy(update={"weights": weights})
    assert load_base_model(base)[1] == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_weights_of_another_architecture_are_refused(weights: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not hold weights of mobilenetv2_100"):
        load_base_model(BaseModel(id="other", architecture="mobilenetv2_100", weights=weights))


def test_pickled_weights_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(b"\x80\x04")
    with pytest.raises(ConfigurationError, match=r"only \(other formats can run code\)"):
        load_base_model(BaseModel(id="pickle", weights=tmp_path / "model.pth"))


def test_missing_weights_and_unknown_architecture_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read the weights"):
        load_base_model(BaseModel(id="none", weights=tmp_path / "none.safetensors"))
    with pytest.raises(ConfigurationError, match="'mobilenet_v99'"):
        load_base_model(BaseModel(id="x", architecture="mobilenet_v99"))


@pytest.mark.parametrize(
    "architecture",
    ["mobilenetv2_050", "mobilenetv3_small_050", "efficientnet_lite0", "resnet10t", "regnetx_002", "regnetz_005"],
)
def test_network_answers_like_the_timm_model_it_was_cut_from(architecture: str) -> None:
    module, _ = load_base_model(BaseModel(id="random", architecture=architecture), seed=1)
    x = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected = module.forward_features(x).mean((2, 3))  # type: ignore[operator]
        _, embedding = Network(module, 2).eval()(x)
    assert torch.equal(expected, embedding)


def test_family_without_a_rule_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot be cut"):
        cut(torch.nn.Linear(2, 2))
