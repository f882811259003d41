"""A model on top of a sister site's release is asked about that site's test, too."""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from contracts.bundle import Licence
from tests.trainer.conftest import draw_plate, order_for, write_labels
from trainer.bases.backbone import BaseModel
from trainer.bases.catalogue import Listed
from trainer.bases.verify import from_run
from trainer.dataset import read_manifest
from trainer.evaluation.figures import balanced_accuracy
from trainer.forgetting import Judge, Kept, in_words, judge_of, losses_in_words
from trainer.network import Network
from trainer.retrain import retrain
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.sites.sisters import on_sister, sister_of
from trainer.snapshot import Snapshot, take_snapshot
from trainer.trained import TrainedModel

PROBE = TrainingSettings(strategy="probe", flips="none")


@dataclass(frozen=True)
class Halls:
    """Hall 3 with its model in its own workspace, its release as a base model, and hall 4's images."""

    folder: Path
    model: TrainedModel
    release: BaseModel
    hall_4: Snapshot


def plates(folder: Path, *, light: int, defect: str) -> Snapshot:
    rows = ["path,label,group"]
    for number in range(40):
        draw_plate(folder / f"{number}.png", spotted=number % 2 == 1, seed=light * 100 + number, light=light)
        rows.append(f"{number}.png,{defect if number % 2 else 'good'},lot-{light}-{number // 2}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return take_snapshot(read_manifest(folder / "manifest.csv"), licence=Licence(owner="x", licence="y"), seed=0)


@pytest.fixture
def halls(small_base: BaseModel, tmp_path: Path) -> Halls:
    hall_3 = plates(tmp_path / "images-3", light=130, defect="spot")
    model = train(
        hall_3, small_base, settings=PROBE, out=tmp_path / "run-3", site="hall-3", workspace=tmp_path / "space-3"
    )
    weights = tmp_path / "models" / "hall-3.safetensors"
    entry = from_run(model.folder, "hall-3", weights, reviewer="", today=date(2026, 1, 1))
    release = Listed(entry, weights.parent).base_model(weights)
    return Halls(tmp_path, model, release, plates(tmp_path / "images-4", light=170, defect="stain"))


def test_first_model_on_a_release_is_compared_with_that_sites_own(halls: Halls) -> None:
    model = train(halls.hall_4, halls.release, settings=PROBE, out=halls.folder / "run-4", site="hall-4")
    [kept] = map(Kept.model_validate, model.record.details["forgetting"])
    assert (kept.by, kept.value, kept.against) == ("sister", "hall-3", "own")
    assert kept.images == len(halls.model.snapshot.of("test"))
    assert kept.before == halls.model.record.test_metrics.balanced_accuracy
    card = (model.folder / "card.md").read_text()
    assert "## What it has kept of its sister site" in card
    assert "| of sister site hall-3 |" in card


def test_missing_images_and_a_missing_run_are_said(halls: Halls) -> None:
    gone, changed, *_ = halls.model.snapshot.of("test")
    gone.path.unlink()
    shutil.copyfile(halls.hall_4.examples[0].path, changed.path)
    shutil.rmtree(halls.model.folder)
    model = train(halls.hall_4, halls.release, settings=PROBE, out=halls.folder / "run-4", site="hall-4")
    found = [Kept.model_validate(each) for each in model.record.details["forgetting"]]
    assert [(each.against, each.before, each.difference.value) for each in found] == [("nobody", None, None)]
    assert found[0].images == len(halls.model.snapshot.of("test")) - 2
    count = len(halls.model.snapshot.of("test"))
    assert f"Of {count} test images of the sister site hall-3 2 are gone or changed" in model.record.cannot_promise[0]
    assert "| not known |" in "\n".join(in_words(found))


def test_retrain_compares_with_its_parent_on_the_sisters_test(halls: Halls) -> None:
    space = halls.folder / "space-4"
    first = train(
        halls.hall_4, halls.release, settings=PROBE, out=halls.folder / "run-4", site="plant-1", workspace=space
    )
    labels = write_labels(halls.folder / "labels")
    labels.write_text(labels.read_text().replace("spot", "stain"))
    second = retrain(order_for(labels, first), space, halls.folder / "second")
    kept = [Kept.model_validate(each) for each in second.record.details["forgetting"]]
    sisters = [each for each in kept if each.by == "sister"]
    assert [(each.value, each.against) for each in sisters] == [("hall-3", "parent")]
    assert sisters[0].before == Kept.model_validate(first.record.details["forgetting"][0]).after
    assert any(each.by == "all" for each in kept)


def test_images_learned_here_tell_nothing_about_the_sister(halls: Halls) -> None:
    test = halls.model.snapshot.of("test")
    assert sister_of(halls.model.record.base_model, halls.hall_4) is None, "no site's release"
    snapshot = Snapshot(tuple(halls.model.snapshot.examples), halls.hall_4.licence)
    everything = sister_of(halls.release, snapshot)
    assert everything is not None
    assert len(everything.test) == len(test)
    learned = take_snapshot(read_manifest(halls.folder / "images-3" / "manifest.csv"), licence=snapshot.licence, seed=5)
    some = sister_of(halls.release, learned)
    assert some is not None
    assert some.learned == len(test) - len(some.test) > 0
    assert f"{some.learned} test images of the sister site hall-3" in some.remarks()[0]


def test_a_model_behind_its_sister_says_that_each_site_keeps_its_own(halls: Halls) -> None:
    sister = sister_of(halls.release, halls.hall_4)
    assert sister is not None
    own = judge_of(halls.model.record, halls.model.module)
    turned = replace(own, network=copy.deepcopy(own.network))
    assert isinstance(turned.network, Network)
    turned.network.head.weight.data.neg_()
    turned.network.head.bias.data.neg_()

    def reached(judge: Judge) -> float:
        return balanced_accuracy(judge.answers(sister.test), np.arange(len(sister.test))) or 0.0

    worse, better = sorted((own, turned), key=reached)  # its weights are random ones: which it is is chance
    kept = on_sister(replace(sister, judge=better), None, worse)
    assert kept[0].lost
    [sentence] = losses_in_words(kept)
    assert sentence.startswith("Not for hall-3: on ")
    assert "that site's own model" in sentence
