"""Pieces of the demo that can be wrong by themselves: the engineer, the change that harms, what is planted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contracts.frame import Frame
from lineside.demo.engineer import Engineer
from lineside.demo.figures import figures_of
from lineside.demo.narrator import Narrator
from lineside.demo.pictured import PictureScene, part_ids
from lineside.demo.planted import Row, graded, lost_convention
from lineside.demo.scene import Labelled, NoHarm
from lineside.demo.simulated import SimulatedScene
from lineside.demo.story import Notes
from lineside.line import draw_new_finish
from lineside.stream.pictures import Picture, PictureConditions, PictureLine
from trainer.dataset import Example


@dataclass
class Pages:
    """The monitor's API as the engineer uses it."""

    waiting: list[dict[str, Any]]
    posted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def candidates(self) -> list[dict[str, Any]]:
        return self.waiting

    def post(self, path: str, body: dict[str, Any]) -> None:
        self.posted.append((path, body))


def candidate(*codes: str, state: str = "approving", origin: str = "retrain") -> dict[str, Any]:
    gate = {"reasons": [{"code": code} for code in codes]}
    return {"candidate_id": "c-1", "release_number": 2, "state": state, "origin": origin, "gate": gate}


@pytest.mark.parametrize(
    ("waiting", "said"),
    [
        (candidate("gate-gold-doubtful", "gate-new-few"), ["/v1/releases/2/approve"]),
        (candidate("gate-gold-doubtful", "gate-new-not-better"), ["/v1/releases/2/reject"]),
        (candidate("gate-gold-doubtful", origin="hand"), []),
        (candidate("gate-gold-doubtful", state="shadowing"), []),
    ],
)
def test_engineer_lets_pass_what_only_a_small_gold_set_doubts(waiting: dict[str, Any], said: list[str]) -> None:
    pages = Pages([waiting])
    engineer = Engineer(pages, Narrator())
    engineer.step()
    engineer.step()
    assert [path for path, _ in pages.posted] == said, "each candidate is answered once"
    assert engineer.asked == len(said)


def test_a_story_that_did_not_end_has_no_duration() -> None:
    figures = {figure.name: figure.value for figure in figures_of(Notes(), wall_seconds=None)}
    assert figures["wall_seconds"] is None


class Answers:
    """A model whose share of wrong verdicts is prescribed, call by call."""

    def __init__(self, *shares: float) -> None:
        self.shares = list(shares)
        self.seen: list[list[Labelled]] = []

    def __call__(self, images: Iterator[Labelled]) -> float:
        self.seen.append([next(images), next(images)])
        return self.shares.pop(0)


def test_finishes_are_drawn_until_one_harms_and_the_same_seed_ends_with_the_same() -> None:
    scene, again = SimulatedScene(15), SimulatedScene(15)
    first = scene.finish
    assert "finish 2" in scene.settle_shift(Answers(0.02, 0.05, 0.28, 0.4))
    again.settle_shift(Answers(0.02, 0.05, 0.28, 0.4))
    assert scene.finish == again.finish != first


def test_a_finish_that_harms_at_once_is_kept() -> None:
    scene = SimulatedScene(15)
    first = scene.finish
    scene.settle_shift(Answers(0.02, 0.28))
    assert scene.finish == first


def test_each_finish_that_is_drawn_is_rougher_than_the_one_before() -> None:
    scene = SimulatedScene(15)
    scene.settle_shift(Answers(0.02, *[0.05] * 10, 0.3))
    smooth = draw_new_finish(np.random.default_rng(4), scene.product)
    rough = draw_new_finish(np.random.default_rng(4), scene.product, rougher=2.0)
    assert rough == smooth.model_copy(update={"contrast": 2 * smooth.contrast})
    assert scene.finish is not None
    texture = scene.finish.texture
    drawn = [draw_new_finish(np.random.default_rng(seed), scene.product) for seed in range(200)]
    assert scene.finish.contrast > np.mean([finish.contrast for finish in drawn if finish.texture == texture]) * 1.4


def test_a_model_that_stands_every_finish_says_which_way_out() -> None:
    scene = SimulatedScene(15)
    with pytest.raises(NoHarm, match="--seed"):
        scene.settle_shift(Answers(0.02, *[0.2] * 20))
    assert scene.control("shifted").simulated == scene.control("home").simulated, "nothing changes on the line then"


@pytest.fixture
def scene(tmp_path: Path) -> PictureScene:
    """Twelve grey pictures of each class, without groups, as a folder of classes has them."""
    rng = np.random.default_rng(4)
    examples = []
    for number in range(24):
        path = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(60, 190, (40, 40, 3), dtype=np.uint8)).save(path)
        examples.append(Example(path, ("good", "bad")[number % 2], sha256=f"{number:064}"))
    return PictureScene(examples, [], "my-site", ("good",), tmp_path / "scene", seed=2)


def test_a_planted_fault_befalls_every_camera_and_the_held_out_pictures_too(scene: PictureScene) -> None:
    assert "fault 2" in scene.settle_shift(Answers(0.1, 0.2, 0.4))
    faults = scene.control("shifted").pictures
    assert faults is not None
    assert set(faults.faults.values()) == {scene.lasting}
    clear, faulty = next(iter(scene.test_set("home"))), next(iter(scene.test_set("shifted")))
    assert clear.label == faulty.label
    assert not np.array_equal(clear.image, faulty.image)
    rows = scene.write_shifted(scene.folder / "shifted").read_text().splitlines()
    assert len(rows) == 1 + len(scene.roles["stream"])


def test_any_file_name_makes_a_part_id_and_two_of_a_name_are_two_parts(scene: PictureScene) -> None:
    paths = [Path("good/Teil 1 (Übung).jpg"), Path("bad/Teil 1 (Übung).jpg"), Path("good/" + "x" * 200 + ".png")]
    found = part_ids(paths)
    assert len(set(found.values())) == 3
    for part_id in found.values():
        line = PictureLine(1, ("camera-1",), {"home": [Picture(scene.home[0].path, "good", part_id)]}, "default", True)
        part = line.next_part("camera-1", PictureConditions(pool="home"))
        Frame(part_id=part.part_id, sequence=0, product="p", camera="camera-1", triggered_at=datetime.now(UTC))


def test_pictures_that_no_fault_harms_leave_nothing_to_retrain_for(scene: PictureScene) -> None:
    with pytest.raises(NoHarm, match="all 12 faults"):
        scene.settle_shift(Answers(0.1, *[0.2] * 12))
    assert scene.lasting is None


def test_the_wrong_convention_takes_the_least_clear_defects_where_nothing_grades_them() -> None:
    rows = [Row(Path(f"{number}"), "bad" if number else "good", "", 0) for number in range(7)]
    rule, words = lost_convention(graded(rows, "good", lambda path: float(path.name)), "good")
    assert "severity 1" in words
    taught = [rule(row) for row in graded(rows, "good", lambda path: float(path.name))]
    assert taught == ["good", "good", "good", "bad", "bad", "bad", "bad"]
