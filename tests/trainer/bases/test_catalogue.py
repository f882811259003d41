"""The catalogue says where a base model comes from; the policy decides whether a site may be trained from it."""

import hashlib
from datetime import date
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from contracts.bundle import Licence
from contracts.errors import ConfigurationError, DatasetError
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.bases.catalogue import DEFAULT_MODEL, Entry, Hub, Listed, Override, Policy, fetched, read_catalogue
from trainer.bases.policy import admit, choose, judge
from trainer.bases.verify import from_run, verify
from trainer.dataset import Dataset
from trainer.network import Network
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import take_snapshot
from trainer.trained import TrainedModel

TODAY = date(2026, 11, 21)
POLICY = Policy(
    allowed_licences=("MIT",),
    required=("licence", "training_data", "documentation", "limits", "reviewer"),
    undocumented=("unknown",),
    forbidden_terms=("non-commercial",),
    review_days=365,
)
ENTRY = Entry(
    id="plant-net",
    architecture="resnet18",
    licence="MIT",
    training_data="10,000 pictures of our own castings",
    documentation="docs/castings.md",
    limits=("grey pictures only",),
    reviewer="rater-7",
    reviewed=date(2026, 6, 1),
)


def reasons(today: date = TODAY, **changes: object) -> str:
    return "; ".join(judge(ENTRY.model_copy(update=changes), POLICY, today=today).reasons)


def test_a_documented_reviewed_model_is_allowed() -> None:
    assert judge(ENTRY, POLICY, today=TODAY).allowed


def test_what_is_missing_or_forbidden_is_named() -> None:
    assert reasons(training_data="", limits=()) == "it says nothing about training_data, limits"
    assert reasons(training_data="Unknown.") == "its training data are 'Unknown.'"
    assert reasons(licence="CC-BY-NC-4.0") == "its licence 'CC-BY-NC-4.0' is none of MIT"
    assert "say 'non-commercial'" in reasons(training_data="pictures for Non-Commercial research")


def test_a_review_expires_unless_no_photograph_was_used() -> None:
    late = date(2027, 6, 2)
    assert reasons(late) == "its review by rater-7 expired on 2027-06-01"
    assert reasons(late, synthetic=True) == ""
    assert reasons(late, expires=date(2030, 1, 1)) == ""
    assert "in the future" in reasons(reviewed=date(2027, 1, 1))


def test_a_risk_is_accepted_by_name_for_one_model_and_for_a_time() -> None:
    refused = ENTRY.model_copy(update={"licence": "GPL-3.0-only"})
    override = Override(
        model="plant-net", by="J. Doe", date=TODAY, risk="used inside the plant only", expires=date(2026, 12, 31)
    )
    assert judge(refused, POLICY, (override,), today=TODAY).accepted == override
    assert not judge(refused, POLICY, (override,), today=date(2027, 1, 1)).allowed
    other = override.model_copy(update={"model": "another"})
    assert not judge(refused, POLICY, (other,), today=TODAY).allowed
    assert judge(ENTRY, POLICY, (override,), today=TODAY).accepted is None


def test_shipped_model_is_allowed_and_is_what_it_says() -> None:
    catalogue = read_catalogue()
    listed = catalogue.named(DEFAULT_MODEL)
    path, judgement = admit(catalogue, listed, today=date(2040, 1, 1))
    assert not judgement.reasons
    assert verify(listed, path).parameters == listed.entry.parameters
    assert choose(catalogue, today=TODAY).accepted_risk == ""


def test_imagenet_weights_pass_only_with_the_risk_on_their_card(data_folder: Path) -> None:
    weights = data_folder / "weights" / "mobilenetv2_100_same.in1k.safetensors"
    catalogue = read_catalogue()
    base = choose(catalogue, weights=weights, today=TODAY)
    assert "ImageNet's terms" in base.accepted_risk
    assert "accepted by" in base.accepted_risk
    assert load_base_model(base)[1] == base.sha256
    assert verify(catalogue.named(base.id), weights).parameters == catalogue.named(base.id).entry.parameters
    without = type(catalogue)(catalogue.models, catalogue.policy, ())
    with pytest.raises(ConfigurationError, match=r"refuses the base model mobilenetv2.*non-commercial.*models accept"):
        choose(without, weights=weights, today=TODAY)


@pytest.fixture
def own(small_base: BaseModel, tmp_path: Path) -> Path:
    """A user's catalogue with one model and a risk accepted for it."""
    module, _ = load_base_model(small_base, seed=3)
    save_file(dict(module.state_dict()), tmp_path / "small.safetensors")
    sha256 = hashlib.sha256((tmp_path / "small.safetensors").read_bytes()).hexdigest()
    (tmp_path / "catalogue.toml").write_text(
        f'[[model]]\nid = "small"\narchitecture = "resnet18"\nweights = "small.safetensors"\nsha256 = "{sha256}"\n'
        "width = 48\nheight = 48\nmodel_args = { layers = [1, 1, 1, 1], channels = [16, 24, 32, 48], "
        'stem_type = "deep", stem_width = 8 }\n'
    )
    return tmp_path / "catalogue.toml"


def test_own_models_come_on_top_and_are_judged_alike(own: Path) -> None:
    with pytest.raises(ConfigurationError, match="refuses the base model small: it says nothing about licence"):
        choose(read_catalogue(own), name="small", today=TODAY)
    own.write_text(
        own.read_text() + '[[override]]\nmodel = "small"\nby = "J. Doe"\ndate = 2026-11-01\nrisk = "a test of ours"\n'
    )
    base = choose(read_catalogue(own), name="small", today=TODAY)
    assert base.accepted_risk == "a test of ours (accepted by J. Doe, 2026-11-01)"


def test_another_file_than_the_reviewed_one_is_never_accepted(own: Path, small_base: BaseModel) -> None:
    own.write_text(
        own.read_text() + '[[override]]\nmodel = "small"\nby = "J. Doe"\ndate = 2026-11-01\nrisk = "a test of ours"\n'
    )
    module, _ = load_base_model(small_base, seed=4)
    save_file(dict(module.state_dict()), own.parent / "small.safetensors")
    with pytest.raises(ConfigurationError, match=r"small\.safetensors has SHA-256 .*expected .*Nobody can accept"):
        choose(read_catalogue(own), name="small", today=TODAY)


def test_unknown_weights_and_names_are_refused_with_the_remedy(own: Path, small_base: BaseModel) -> None:
    module, _ = load_base_model(small_base, seed=5)
    stranger = own.parent / "stranger.safetensors"
    save_file(dict(module.state_dict()), stranger)
    with pytest.raises(ConfigurationError, match=r"is in no catalogue.*lineside models add"):
        choose(read_catalogue(own), weights=stranger, today=TODAY)
    with pytest.raises(ConfigurationError, match="'smal'; the catalogue has lineside_small"):
        choose(read_catalogue(own), name="smal", today=TODAY)


def test_catalogue_with_an_unknown_key_or_a_name_twice_is_refused(own: Path) -> None:
    text = own.read_text()
    own.write_text(text.replace("architecture", "architectur"))
    with pytest.raises(ConfigurationError, match="did you mean 'architecture'"):
        read_catalogue(own)
    own.write_text(text.replace('"small"', '"lineside_small"'))
    with pytest.raises(ConfigurationError, match="'lineside_small' is in the catalogue already"):
        read_catalogue(own)


def test_counts_that_the_entry_states_are_checked(own: Path) -> None:
    own.write_text(own.read_text() + "parameters = 1\n")
    listed = read_catalogue(own).named("small")
    with pytest.raises(ConfigurationError, match=r"states 1 parameters, its weights have [0-9,]+"):
        verify(listed, fetched(listed))


def test_weights_of_a_hub_come_from_its_cache_at_one_revision(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub = Hub(repository="plant/net", revision="a" * 40)
    listed = Listed(Entry(id="from-hub", hub=hub), tmp_path)
    with pytest.raises(ConfigurationError, match=r"cannot fetch model\.safetensors of plant/net at aaaaaaaaaaaa"):
        fetched(listed)
    kept = tmp_path / "cache" / "models--plant--net" / "snapshots" / ("a" * 40)
    kept.mkdir(parents=True)
    (kept / "model.safetensors").write_bytes((own.parent / "small.safetensors").read_bytes())
    assert fetched(listed) == kept / "model.safetensors"


def test_a_sites_own_run_becomes_a_base_model_with_its_lineage(first_model: TrainedModel, tmp_path: Path) -> None:
    weights = tmp_path / "models" / "first.safetensors"
    entry = from_run(first_model.folder, "plant-1-first", weights, reviewer="rater-7", today=TODAY)
    assert first_model.record.lineage.snapshot_hash in entry.training_data
    assert entry.licence == first_model.record.licence.licence
    listed = Listed(entry, tmp_path)
    verify(listed, weights)
    module, _ = load_base_model(listed.base_model(weights))
    x = torch.rand(2, 3, 48, 48)
    with torch.inference_mode():
        _, expected = first_model.module(x)
        assert torch.allclose(Network(module, 2).eval()(x)[1], expected, atol=1e-5), "bits depend on where memory lies"


def test_a_base_model_that_has_learned_the_test_images_is_refused(
    first_model: TrainedModel, plates: Dataset, tmp_path: Path
) -> None:
    entry = from_run(first_model.folder, "first", tmp_path / "first.safetensors", reviewer="rater-7", today=TODAY)
    base = Listed(entry, tmp_path).base_model(tmp_path / "first.safetensors")
    settings = TrainingSettings(strategy="probe", flips="none")
    again = take_snapshot(plates, licence=Licence(), seed=7)  # dealt out anew
    with pytest.raises(DatasetError, match=r"first was trained on \d+ images of this test split"):
        train(again, base, settings=settings, out=tmp_path / "run")
    train(first_model.snapshot, base, settings=settings, out=tmp_path / "run")
