"""`lineside models` as a person at a terminal uses it."""

import json
from pathlib import Path

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from lineside.main import app
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.bases.catalogue import at_hand, read_catalogue

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


def test_an_ordinary_imagenet_model_of_a_hub_is_described_without_writing_a_file(weights: Path, tmp_path: Path) -> None:
    own = tmp_path / "plant" / "catalogue.toml"
    words = ["--architecture", SMALL.architecture, "--model-args", json.dumps(SMALL.model_args), "--size", "96x64",
             "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "--hub", "plant/net", "--revision", "a" * 40,
             "--permitted-use", "any", "--reviewer", "rater-7", "--expires", "2099-01-01"]  # fmt: skip
    say(own, "add", str(weights), "--id", "net", *words)
    entry = read_catalogue(own).named("net").entry
    assert (entry.width, entry.height) == (96, 64)
    assert entry.mean == (0.485, 0.456, 0.406)
    assert entry.std == (0.229, 0.224, 0.225)
    assert entry.hub is not None
    assert (entry.hub.repository, entry.hub.revision) == ("plant/net", "a" * 40)
    assert (entry.permitted_use, str(entry.expires)) == ("any", "2099-01-01")
    assert "is net, which the catalogue has already" in say(own, "add", str(weights), "--id", "x", *words, status=1)


def test_weights_of_a_hub_are_fetched_and_kept(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    own, words = tmp_path / "plant" / "catalogue.toml", ["--hub", "plant/net", "--revision", "b" * 40, *ARGUMENTS]
    assert "cannot fetch model.safetensors of plant/net" in say(own, "add", "--id", "net", *words, status=1)
    kept = tmp_path / "cache" / "models--plant--net" / "snapshots" / ("b" * 40) / "model.safetensors"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(weights.read_bytes())
    assert "has SHA-256" in say(own, "add", "--id", "net", *words, "--sha256", "c" * 64, status=1)
    say(own, "add", "--id", "net", *words)
    assert (own.parent / "models" / "net.safetensors").read_bytes() == weights.read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--hub plant/net --revision main", "--hub needs --revision, a commit's hash with all of its 40 digits"),
        ("--revision main", "--revision and --hub-file are about a hub"),
        ("--size 64x", "--size: say pixels a side, or WIDTHxHEIGHT"),
        ("--size 16", "--size: Input should be greater than or equal to 32, not 16"),
        ("--mean 0.5,0.5", "--mean: one number for all channels or three"),
        ("--mean 123.7", "--mean: one number for all channels or three as in 0.485,0.456,0.406, of pixels in 0..1"),
        ("--std 0", "--std: one number"),
        ("--sha256 abc", "--sha256: String should match pattern"),
        ("--id ../x", "--id '../x': letters, digits"),
    ],
)
def test_a_word_that_cannot_be_meant_is_named(words: str, said: str, weights: Path, tmp_path: Path) -> None:
    own = tmp_path / "catalogue.toml"
    assert said in say(own, "add", str(weights), "--id", "x", *ARGUMENTS, *words.split(), status=1)
    assert not own.exists()


def test_nothing_to_add_is_said(tmp_path: Path) -> None:
    assert "which weights?" in say(tmp_path / "catalogue.toml", "add", "--id", "x", status=1)


def test_verify_of_all_tells_the_way_to_weights_that_are_not_here(weights: Path, tmp_path: Path) -> None:
    own = tmp_path / "plant" / "catalogue.toml"
    said = say(own, "verify")
    assert "lineside_small: hash as described" in said
    assert "mobilenetv2_100_same.in1k: not here; with its file (where it comes from: https://image-net.org" in said
    assert "lineside models verify mobilenetv2_100_same.in1k --weights FILE" in said
    say(own, "add", str(weights), "--id", "small", *ARGUMENTS)
    assert "small: hash as described" in say(own, "verify", status=1), "refused by the policy"


def test_a_file_that_has_gone_or_is_another_is_noticed(weights: Path, tmp_path: Path) -> None:
    own = tmp_path / "plant" / "catalogue.toml"
    say(own, "add", str(weights), "--id", "small", *ARGUMENTS)
    kept = own.parent / "models" / "small.safetensors"
    kept.write_bytes(b"another")
    assert "expected" in say(own, "verify", "small", status=1)
    kept.unlink()
    assert at_hand(read_catalogue(own).named("small")), "the catalogue promises the file"
    assert "cannot read the weights" in say(own, "verify", "small", status=1)
