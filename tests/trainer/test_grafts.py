"""Marked defects on good parts: what the training sees, and what stays true of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from contracts.preprocessing import Preprocessing
from tests.trainer.conftest import shorten
from trainer.bases.backbone import BaseModel
from trainer.dataset import Dataset, Example
from trainer.evaluation.sheet import contact_sheet
from trainer.features import Features
from trainer.grafts import Donors, Grafts
from trainer.image import as_input, load_images
from trainer.maps import Cached, Pixels
from trainer.run import train
from trainer.settings import StrategyName, TrainingSettings
from trainer.snapshot import Snapshot
from trainer.trained import TrainedModel
from trainer.views import View

GUEST, HOST, OTHER = 200.0, 100.0, 110.0
MARK = torch.tensor([-0.5, -0.5, 0.0, 0.25])
NONE = torch.full((4,), math.nan)


def images(*values: float) -> Tensor:
    return torch.stack([torch.full((1, 3, 32, 32), value) for value in values])


def grafts(*marks: Tensor, good: tuple[bool, ...]) -> Grafts:
    return Grafts(torch.stack(marks)[:, None, None], torch.tensor(good))


def many(draw: Grafts, seen: Tensor) -> Tensor:
    """[draws, n, h, w] of one colour."""
    torch.manual_seed(0)
    return torch.stack([draw.drawn(seen)[:, 0, 0] for _ in range(40)])


def test_a_defect_is_whole_and_all_around_it_another_part() -> None:
    known = grafts(MARK, NONE, NONE, good=(False, True, True))
    seen = images(GUEST, HOST, HOST)
    seen[0, :, :, 10:20, 10:14] = 20.0  # the defect
    drawn = many(known, seen)[:, 0]
    moved = drawn[(drawn[:, 0, 0] - HOST).abs() < 1e-3]
    assert 10 < len(moved) < 30, "about half of the steps"
    assert torch.equal(moved[0][:6], torch.full((6, 32), HOST))
    assert moved[0][10:20, 10:14].mean() == pytest.approx(10.0), "as much darker than its part as it was"
    assert moved[0][9, 9] == pytest.approx(HOST), "the light around it is the new part's"


def test_pieces_of_good_parts_are_set_into_good_parts_and_defects_never_are() -> None:
    seen = images(GUEST, HOST, HOST)
    seen[0, :, :, 10:20, 10:14] = 20.0  # the defect
    seen[2, :, :, 10:20, 10:14] = 150.0  # a harmless stain
    drawn = many(grafts(MARK, NONE, NONE, good=(False, True, True)), seen)[:, 1]
    stained = (drawn > 120).flatten(1).any(1)
    assert 2 < int(stained.sum()) < 20, "a quarter of the steps, half of them from itself"
    assert bool((drawn > 60).all())


@pytest.mark.parametrize(
    "known",
    [
        grafts(NONE, NONE, NONE, good=(False, True, True)),
        grafts(MARK, NONE, NONE, good=(False, False, True)),
        grafts(MARK, MARK, MARK, good=(False, False, False)),
    ],
    ids=["no mark", "one good part", "no good part"],
)
def test_what_has_nothing_to_graft_stays_as_it_is(known: Grafts) -> None:
    seen = images(GUEST, HOST, OTHER)
    assert torch.equal(known.drawn(seen), seen)


def test_steps_see_grafts_and_checks_the_images_as_they_are() -> None:
    known = grafts(MARK, NONE, NONE, good=(False, True, True))
    seen, spec = images(GUEST, HOST, OTHER), Preprocessing(width=32, height=32, mean=(0.5,) * 3, std=(0.5,) * 3)
    pixels = Pixels(seen.byte(), spec, ("",), known)
    assert torch.equal(pixels.plain(), as_input(seen.flatten(0, 1), spec))
    torch.manual_seed(0)
    corners = [float(pixels.rows(torch.arange(3)).drawn()[0].amin()) for _ in range(10)]
    assert min(corners) < 0 < max(corners), "on its own part and on the darker ones"


def test_a_kept_view_shows_a_defect_on_a_good_part_and_always_on_the_same(plates: Dataset) -> None:
    examples = marked_plates(plates.examples)
    spec = Preprocessing(width=48, height=48, mean=(0.5,) * 3, std=(0.5,) * 3)
    donors = Donors(examples, spec, ("good",))
    images = load_images(examples, spec)
    seen = donors.grafted(examples, images, 2)
    of_good = images[0::2, 0, 0, :3].float()  # plates alternate; no mark reaches these rows
    for row in range(1, len(examples), 2):
        assert bool((of_good == seen[row, 0, 0, :3]).flatten(1).all(1).any()), "what is around it is a good part's"
        own, moved = images[row, 0, 0, 12:36, 12:36].float(), seen[row, 0, 0, 12:36, 12:36]
        alike = float(torch.corrcoef(torch.stack([own.flatten(), moved.flatten()]))[0, 1])
        assert alike > 0.99, "the defect is its own"
    changed = [bool((seen[row] != images[row]).any()) for row in range(0, len(examples), 2)]
    assert 0.2 < sum(changed) / len(changed) < 0.8, "pieces of good parts in about half of them"
    assert torch.equal(donors.grafted(examples[5:8], images[5:8], 2), seen[5:8])
    assert not torch.equal(donors.grafted(examples, images, 4), seen)
    assert donors.key != Donors(examples[2:], spec, ("good",)).key
    assert torch.equal(Donors(plates.examples, spec, ("good",)).grafted(examples, images, 2), images.float())


def marked_plates(examples: tuple[Example, ...]) -> tuple[Example, ...]:
    box = {"bbox_xyxy": "8 8 40 40"}
    return tuple(replace(example, attributes=box if example.label == "spot" else {}) for example in examples)


@pytest.mark.parametrize("strategy", ["full", "probe"])
def test_a_training_grafts_what_is_marked_and_says_where_nothing_is(
    strategy: StrategyName, snapshot: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, "full", fewest_steps=4, most_steps=4, passes=1)
    settings = TrainingSettings(strategy=strategy, flips="none")
    marked = replace(snapshot, examples=marked_plates(snapshot.examples))

    def weights(name: str, of: Snapshot, graft: bool) -> tuple[Tensor, TrainedModel]:
        model = train(of, small_base, settings=settings.model_copy(update={"graft": graft}), out=tmp_path / name)
        return torch.cat([each.flatten() for each in model.module.parameters()]), model

    plain, bare = weights("plain", marked, graft=False)
    grafted, told = weights("grafted", marked, graft=True)
    assert not torch.equal(plain, grafted)
    assert not any("graft" in sentence for sentence in told.record.cannot_promise)
    assert contact_sheet(told) != contact_sheet(bare), "the report shows what the training saw"
    idle, untold = weights("idle", snapshot, graft=True)
    assert torch.equal(idle, plain), "what has no marks is trained as it is"
    assert any("there was nothing to graft" in sentence for sentence in untold.record.cannot_promise)


def test_a_head_meets_what_is_grafted_beside_what_is_not() -> None:
    looks = (View(0), View(1), View(2, graft=True))
    embeddings = torch.tensor([1.0, 3.0, 8.0]).view(1, 3, 1, 1)
    features = Features(Cached(torch.zeros(1, 3, 1, 1, 1, 1), looks), embeddings, torch.full((1, 1), math.nan))
    assert features.seen().flatten().tolist() == [2.0, 8.0]
    assert features.plain().seen().flatten().tolist() == [1.0], "held-out images are seen as they are"
