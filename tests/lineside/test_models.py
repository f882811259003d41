"""`lineside models` as a person at a terminal uses it."""

import json
from pathlib import Path

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from lineside.main import app
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.bases.catalogue import read_catalogue

SMALL = BaseModel(
    id="small",
    architecture="resnet18",
    model_args={"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16], "stem_type": "deep", "stem_width": 8},
)
ARGUMENTS = ["--architecture", SMALL.architecture, "--model-args", json.dumps(SMALL.model_args), "--size", "64"]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    module, _ = load_base_model(SMALL, seed=2)
    save_file(dict(module.state_dict()), tmp_path / "given.safetensors")
    return tmp_path / "given.safetensors"


def say(own: Path, *words: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["models", *words, "--catalogue", str(own)], env={"COLUMNS": "200"})
    assert result.exit_code == status, result.output
    return result.output


def test_list_names_every_model_with_its_judgement(tmp_path: Path) -> None:
    own = tmp_path / "catalogue.toml"
    shown = say(own, "list")
    assert "lineside_small" in shown
    assert "allowed" in shown
    assert "risk accepted by the Lineside authors" in shown
    assert {model["id"]: model["policy"]["allowed"] for model in json.loads(say(own, "list", "--json"))} == {
        "lineside_small": True,
        "mobilenetv2_100_same.in1k": True,
    }


def test_added_weights_are_refused_until_they_are_described_or_accepted(weights: Path, tmp_path: Path) -> None:
    own = tmp_path / "plant" / "catalogue.toml"
    said = say(own, "add", str(weights), "--id", "small", "--licence", "LicenseRef-ours", *ARGUMENTS)
    assert "policy: refused" in said
    assert "it says nothing about training_data, documentation, limits, reviewer, reviewed" in said
    assert "'LicenseRef-ours' is none of Apache-2.0" in said
    assert "refused" in say(own, "verify", "small", status=1)
    say(own, "accept", "small", "--by", "J. Doe", "--risk", "made by ourselves, papers follow", "--until", "2099-01-01")
    assert "risk accepted by J. Doe" in say(own, "verify", "small")
    assert "made by ourselves, papers follow" in say(own, "show", "small")


def test_fully_described_weights_are_allowed_and_copied(weights: Path, tmp_path: Path) -> None:
    own = tmp_path / "plant" / "catalogue.toml"
    described = ["--licence", "MIT", "--training-data", "1,000 own castings", "--documentation", "wiki/castings",
                 "--limit", "grey only", "--reviewer", "rater-7"]  # fmt: skip
    assert "policy: allowed" in say(own, "add", str(weights), "--id", "small", *described, *ARGUMENTS)
    entry = read_catalogue(own).named("small").entry
    assert (own.parent / entry.weights).read_bytes() == weights.read_bytes()
    assert entry.parameters
    assert "already" in say(own, "add", str(weights), "--id", "small", *ARGUMENTS, status=1)


def test_wrong_words_get_one_clear_error(weights: Path, tmp_path: Path) -> None:
    own = tmp_path / "catalogue.toml"
    assert "'nothing'; the catalogue has lineside_small" in say(own, "show", "nothing", status=1)
    assert "is not JSON" in say(own, "add", str(weights), "--id", "x", "--model-args", "layers", status=1)
    assert "does not hold weights of" in say(
        own, "add", str(weights), "--id", "x", "--architecture", "mobilenetv2_100", status=1
    )
    assert not own.exists()
    assert "nothing to accept" in say(
        own, "accept", "lineside_small", "--by", "J. Doe", "--risk", "none that I know of", status=1
    )
    assert "with --weights" in say(own, "verify", "mobilenetv2_100_same.in1k", status=1)
