"""What is known of a base model, and what somebody accepted for it, stays with everything that is made from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from contracts.bundle import Licence
from contracts.errors import ConfigurationError, DatasetError
from lineside.main import app
from runtime.bundle import write_bundle_manifest
from tests.simulators.paper_bundle import paper_fields, write_paper_bundle
from trainer.bases.ancestry import ancestry
from trainer.bases.backbone import BaseModel, Described, load_base_model
from trainer.bases.catalogue import Catalogue, Entry, Listed, Override, Policy, read_catalogue
from trainer.bases.policy import choose, judge_line
from trainer.bases.verify import from_run
from trainer.dataset import Dataset
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.sites.transfer import advise, source_models
from trainer.snapshot import take_snapshot
from trainer.trained import RunRecord, TrainedModel
from trainer.workspace import remember_model

TODAY = date(2026, 11, 21)
PROBE = TrainingSettings(strategy="probe", flips="none")
POLICY = Policy(allowed_licences=("MIT", "Apache-2.0"), required=("licence",), forbidden_terms=("non-commercial",))
RISK = "their terms may bind what is made from them"
WEB = Entry(
    id="web", licence="MIT", training_data="pictures for non-commercial research", limits=("people",), biases=("2009",)
)
CHILD = Entry(id="child", licence="MIT", training_data="our castings", parents=("web",))
ACCEPTED = Override(model="web", by="J. Doe", date=TODAY, risk=RISK)


def catalogue(entries: Sequence[Entry], *overrides: Override) -> Catalogue:
    return Catalogue({entry.id: Listed(entry, Path()) for entry in entries}, POLICY, overrides)


def judged(found: Catalogue, name: str, today: date = TODAY) -> tuple[str, dict[str, str]]:
    judgement = judge_line(found, found.named(name), today=today)
    return "; ".join(judgement.reasons), {each.id: each.accepted_risk for each in judgement.inherited}


def test_what_nobody_accepts_in_an_ancestor_is_refused_in_the_descendant() -> None:
    grandchild = CHILD.model_copy(update={"id": "grandchild", "parents": ("child",)})
    line = [WEB, CHILD, grandchild]
    reasons, inherited = judged(catalogue(line), "grandchild")
    assert reasons == "of web, which it was made from: its terms or those of its training data say 'non-commercial'"
    assert inherited == {}
    own = ACCEPTED.model_copy(update={"model": "grandchild"})
    judgement = judge_line(catalogue(line, own), Listed(grandchild, Path()), today=TODAY)
    assert judgement.accepted == own, "by its own name it may be accepted"


def test_what_is_accepted_for_an_ancestor_marks_the_descendant_as_long_as_it_holds() -> None:
    until = ACCEPTED.model_copy(update={"expires": TODAY})
    found = catalogue([WEB, CHILD], until)
    assert judged(found, "child") == ("", {"web": f"{RISK} (accepted by J. Doe, 2026-11-21)"})
    reasons, _ = judged(found, "child", TODAY + timedelta(days=1))
    assert reasons.startswith("of web")


def test_an_ancestor_that_is_not_in_the_catalogue_is_judged_by_what_was_carried_along() -> None:
    carried = Described(id="web", training_data=WEB.training_data)
    child = CHILD.model_copy(update={"ancestors": (carried,)})
    assert "of web" in judged(catalogue([child]), "child")[0]
    marked = carried.model_copy(update={"accepted_risk": RISK, "accepted_until": TODAY})
    child = CHILD.model_copy(update={"ancestors": (marked,)})
    assert judged(catalogue([child]), "child") == ("", {"web": RISK})
    reasons, _ = judged(catalogue([child]), "child", TODAY + timedelta(days=1))
    assert reasons == f"of web, which it was made from: its risk was accepted until 2026-11-21 only: {RISK}"
    other = WEB.model_copy(update={"sha256": "a" * 64, "training_data": "our plates"})
    named = marked.model_copy(update={"sha256": "b" * 64})
    child = CHILD.model_copy(update={"ancestors": (named,)})
    assert judged(catalogue([child, other]), "child")[1] == {"web": RISK}, "another file goes by that name"


def test_models_that_name_each_other_as_parents_are_each_seen_once() -> None:
    first, second = (
        CHILD.model_copy(update={"id": name, "parents": (parent,)}) for name, parent in (("a", "b"), ("b", "a"))
    )
    assert [each.id for each in ancestry(catalogue([first, second]), first)] == ["b"]


def test_every_licence_of_a_mixture_has_to_be_allowed_and_production_is_inherited() -> None:
    both = CHILD.model_copy(update={"parents": (), "licence": "MIT; Apache-2.0"})
    assert judged(catalogue([both]), "child")[0] == ""
    mixed = CHILD.model_copy(update={"parents": (), "licence": "MIT; unknown", "production": False})
    reasons, _ = judged(catalogue([mixed]), "child")
    assert reasons.startswith("its licence 'MIT; unknown' is none of MIT, Apache-2.0; ")
    assert reasons.endswith("what it was made from is not for production")
    assert not mixed.licensed().production


@pytest.fixture
def own(small_base: BaseModel, tmp_path: Path) -> Path:
    """A workspace's catalogue with weights from the web, which somebody accepts."""
    module, _ = load_base_model(small_base, seed=3)
    save_file(dict(module.state_dict()), tmp_path / "web.safetensors")
    options = json.dumps(small_base.model_args)
    said = ["--id", "web", "--architecture", "resnet18", "--model-args", options, "--size", "48", "--licence", "MIT",
            "--training-data", "pictures for non-commercial research", "--documentation", "wiki/web", "--limit",
            "grey only", "--bias", "light parts", "--reviewer", "rater-7"]  # fmt: skip
    path = tmp_path / "workspace" / "catalogue.toml"
    say(path, "add", str(tmp_path / "web.safetensors"), *said)
    say(path, "accept", "web", "--by", "J. Doe", "--risk", RISK)
    return path


def say(own: Path, *words: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["models", *words, "--catalogue", str(own)], env={"COLUMNS": "200"})
    assert result.exit_code == status, result.output
    return result.output


def trained(plates: Dataset, own: Path, base: str, out: Path) -> TrainedModel:
    snapshot = take_snapshot(plates, licence=Licence(owner="plant", licence="MIT"), seed=0)
    chosen = choose(read_catalogue(own), name=base, today=date.today())
    return train(snapshot, chosen, settings=PROBE, out=out, site="plant-1", workspace=own.parent)


def test_a_risk_is_on_the_card_of_the_grandchild_with_all_that_is_known_of_the_line(
    plates: Dataset, own: Path, tmp_path: Path
) -> None:
    trained(plates, own, "web", tmp_path / "run-1")
    card = (tmp_path / "run-1" / "card.md").read_text()
    assert f"- **accepted risk**: {RISK} (accepted by J. Doe" in card
    assert "- learned from: pictures for non-commercial research\n- described in: wiki/web\n" in card
    assert "- known limit: grey only\n- known bias: light parts\n" in card
    run = str(tmp_path / "run-1")
    said = say(own, "add", run, "--id", "own", "--licence", "GPL", "--hub-file", "x", "--limit", "y", status=1)
    assert "--hub-file, --licence: a run says that itself" in said
    assert not (own.parent / "models" / "own.safetensors").exists()
    more = ["--limit", "one lamp only", "--bias", "hall 3", "--documentation", "wiki/own"]
    said = say(own, "add", run, "--id", "own", "--reviewer", "rater-7", *more)
    entry = read_catalogue(own).named("own").entry
    assert entry.limits[-1] == "one lamp only"
    assert len(entry.limits) > 1, "what the run cannot promise, too"
    assert entry.biases == ("hall 3",)
    assert entry.documentation == f"{tmp_path / 'run-1' / 'card.md'}; wiki/own"
    assert "policy: allowed with the accepted risk of web" in said
    assert RISK in said
    found = json.loads(say(own, "show", "own", "--json"))
    assert found["policy"]["inherited"][0]["model"] == "web"
    assert "made from" in say(own, "show", "own")
    second = trained(plates, own, "own", tmp_path / "run-2")
    assert second.record.base_model.accepted_risk == ""
    card = (tmp_path / "run-2" / "card.md").read_text()
    section = card.split("## Base model")[1].split("## On ")[0]
    assert section.index("`own`: MIT") < section.index("made from `web`: MIT")
    assert "known limit: grey only" in section
    assert RISK in section.split("made from `web`")[1]
    entry = from_run(tmp_path / "run-2", "third", tmp_path / "third.safetensors", reviewer="", today=TODAY)
    assert entry.parents == ("own", "web")
    assert entry.ancestors[1].biases == ("light parts",)


def test_an_entry_from_before_lines_were_carried_inherits_by_its_parents_name(
    plates: Dataset, own: Path, tmp_path: Path
) -> None:
    trained(plates, own, "web", tmp_path / "run-1")
    say(own, "add", str(tmp_path / "run-1"), "--id", "own", "--reviewer", "rater-7")
    found = read_catalogue(own)
    bare = found.named("own").entry.model_copy(update={"ancestors": ()})
    older = Catalogue({**found.models, "own": Listed(bare, own.parent)}, found.policy, found.overrides)
    base = choose(older, name="own", today=date.today())
    assert [each.id for each in base.ancestors] == ["web"]
    assert RISK in base.ancestors[0].accepted_risk
    with pytest.raises(ConfigurationError, match="own: of web, which it was made from: its terms"):
        choose(Catalogue(older.models, older.policy, ()), name="own", today=date.today())


def test_a_run_from_before_base_models_were_described_is_read(first_model: TrainedModel) -> None:
    record = json.loads(first_model.record.model_dump_json())
    for key in ("training_data", "documentation", "limits", "biases", "accepted_until", "ancestors"):
        del record["base_model"][key]
    record["base_model"]["accepted_risk"] = "ImageNet's terms (accepted by J. Doe, 2026-11-01)"
    base = RunRecord.model_validate(record).base_model
    assert base.line()[0].accepted_risk == "ImageNet's terms (accepted by J. Doe, 2026-11-01)"
    assert base.ancestors == ()


def test_a_base_whose_ancestor_has_learned_the_test_images_is_refused(
    first_model: TrainedModel, plates: Dataset, small_base: BaseModel, tmp_path: Path
) -> None:
    first = Described(id="first", snapshot=first_model.record.snapshot)
    base = small_base.model_copy(update={"ancestors": (first,)})
    again = take_snapshot(plates, licence=Licence(), seed=7)
    with pytest.raises(DatasetError, match=r"first was trained on \d+ images of this test split"):
        train(again, base, settings=PROBE, out=tmp_path / "run")


def test_nothing_is_inherited_where_random_weights_learned(first_model: TrainedModel, tmp_path: Path) -> None:
    entry = from_run(first_model.folder, "first", tmp_path / "first.safetensors", reviewer="", today=TODAY)
    assert not entry.parents
    assert not entry.ancestors
    assert "on top of" not in entry.training_data
    assert "none of its weights were used" in (first_model.folder / "card.md").read_text()


def test_a_bundle_is_added_by_the_run_that_the_workspace_knows(plates: Dataset, own: Path, tmp_path: Path) -> None:
    model = trained(plates, own, "web", tmp_path / "run-1")
    bundle = tmp_path / "bundle"
    write_paper_bundle(bundle)
    write_bundle_manifest(bundle, paper_fields(lineage=model.record.lineage.model_dump(mode="json")))
    said = say(own, "add", str(bundle), "--id", "released", "--reviewer", "rater-7")
    assert f"the run behind {bundle} is {tmp_path / 'run-1'}" in said
    assert read_catalogue(own).named("released").entry.parents == ("web",)
    stranger = tmp_path / "stranger"
    write_paper_bundle(stranger)
    said = say(own, "add", str(stranger), "--id", "other", status=1)
    assert "no weights that a training could start from" in said
    assert "lineside models add RUN" in said
    other = model.record.lineage.model_copy(update={"order_id": "order-9"}).model_dump(mode="json")
    write_bundle_manifest(stranger, paper_fields(lineage=other))
    remember_model(own.parent, model)
    assert "order order-9" in say(own, "add", str(stranger), "--id", "other", status=1)
    assert not (own.parent / "models" / "other.safetensors").exists()


def test_a_sister_site_inherits_in_a_transfer(plates: Dataset, own: Path, tmp_path: Path) -> None:
    base = choose(read_catalogue(own), name="web", today=date.today())
    rows = [(example, "hall-a" if number % 4 < 2 else "hall-b") for number, example in enumerate(plates.examples)]
    halls = Dataset(tuple(replace(example, site=site) for example, site in rows), plates.source)
    snapshot = take_snapshot(halls, licence=Licence(licence="MIT"), seed=0)
    settings = PROBE.model_copy(update={"good": ("good",)})
    models = source_models(snapshot, base, settings, tmp_path / "sites")
    advise(snapshot, "hall-b", base, models, labels=None, settings=settings, out=tmp_path / "ways")
    card = (tmp_path / "ways" / "from-hall-a" / "card.md").read_text()
    assert RISK in card.split("made from `web`")[1]
