"""Severity and location over one trunk: what the manifest teaches, and that the class alone stays as it was."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from contracts.bundle import Licence
from contracts.errors import ConfigurationError, DatasetError
from contracts.preprocessing import Preprocessing, Tiles
from contracts.tasks import LocationGrid, SeverityScale, Tasks
from tests.trainer.conftest import draw_plate, shorten
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.card.text import beside_alone
from trainer.card.values import Together
from trainer.dataset import Example, read_manifest
from trainer.evaluation.report import Estimate, TaskFigures
from trainer.evaluation.tasks import LevelAnswers, ask_beside, judge_tasks, order, weak_tasks
from trainer.network import Network
from trainer.outset import heads_for, set_out
from trainer.rounds.heads import Heads, cells_of, location_losses, moved, severity_losses
from trainer.run import load_run, train
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot, take_snapshot
from trainer.tasks import TaskLesson, levels_of, marks_of, severity_scale, task_lesson
from trainer.together import Compared, alone
from trainer.trained import TrainedModel
from trainer.views import FLIPS, View, look, moves_of
from trainer.views import moved as moved_images

SPEC = Preprocessing(width=48, height=48, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
BOTH = {"tasks": ("severity", "location"), "severity_column": "depth", "severity_levels": 3, "flips": "both"}


def example(label: str = "spot", **attributes: str) -> Example:
    return Example(path=Path("x.png"), label=label, attributes=attributes)


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """72 plates, half of them with a spot that is marked and the darker the deeper; one spot has neither."""
    folder = tmp_path_factory.mktemp("marked")
    rows = ["path,label,group,depth,bbox_xyxy"]
    for number in range(72):
        path, spotted = folder / f"{number}.png", number % 2 == 1
        draw_plate(path, spotted=False, seed=number)
        top, left = np.random.default_rng(number).integers(4, 32, 2)
        depth = 20 + 10 * (number // 2 % 8)
        if spotted:
            _darken(path, left, top, depth)
        known = spotted and number != 1
        box = f"{left} {top} {left + 12} {top + 12}" if known else ""
        rows.append(f"{number}.png,{'spot' if spotted else 'good'},lot-{number // 2},{depth if known else ''},{box}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return take_snapshot(read_manifest(folder / "manifest.csv"), licence=Licence(licence="our own"), seed=0)


def _darken(path: Path, left: int, top: int, depth: int) -> None:
    from PIL import Image

    pixels = np.asarray(Image.open(path)).astype(int)
    pixels[top : top + 12, left : left + 12] -= depth
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def together(marked: Snapshot, small_base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    settings = TrainingSettings.model_validate({**BOTH, "tiles": "2x2"})
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch, "tail", fewest_steps=50, most_steps=50)
        return train(marked, small_base, settings=settings, out=tmp_path_factory.mktemp("together"))


def test_one_trunk_learns_class_severity_and_location(together: TrainedModel) -> None:
    assert together.record.tasks is not None
    figures = judge_tasks(together.module, together.snapshot, together.record.preprocessing, ("good",))
    assert figures is not None
    assert figures.severity is not None
    assert figures.location is not None
    assert (together.record.test_metrics.auroc or 0) >= 0.8
    assert (figures.severity.order.value or 0) >= 0.7
    assert (figures.location.mean_overlap.value or 0) >= 0.1


def test_a_loaded_run_answers_as_it_was_judged(together: TrainedModel) -> None:
    again = load_run(together.folder)
    assert isinstance(again.module, Network)
    answers = again.module.everything(torch.zeros(2 * 4, 3, 48, 48))
    assert [list(part.shape) for part in answers] == [[2, 2], [2, 48], [2, 2], [8, 2, 2], [8, 4, 2, 2]]
    said = ask_beside(again.module, again.snapshot.of("test")[:3], again.record.preprocessing)
    assert [part.heat.shape for part in said if part.heat is not None] == [(4, 2, 2)] * 3


def test_the_card_says_what_each_task_reaches_alone(together: TrainedModel) -> None:
    card = (together.folder / "card.md").read_text()
    assert "Levels of depth: none, up to" in card
    assert "location: hottest place in a mark" in card


def test_a_retrain_keeps_what_a_level_means(together: TrainedModel, small_base: BaseModel) -> None:
    kept = TrainingSettings.model_validate(together.record.lineage.training)
    assert together.record.tasks is not None
    assert kept.severity_scale == together.record.tasks.severity
    deeper = tuple(
        replace(e, attributes={**e.attributes, "depth": str(2 * float(e.attributes.get("depth", 0)))})
        for e in together.snapshot.of("train")
    )
    course, _, _ = set_out(small_base, together.record.labels, ("good",), kept, together.record.preprocessing)
    heads = heads_for(course, deeper, ())
    assert heads is not None
    assert heads.tasks.severity == kept.severity_scale


def test_forward_stays_that_of_a_network_without_heads(small_base: BaseModel) -> None:
    x = torch.randn(2, 3, 48, 48)
    tasks = Tasks(location=LocationGrid(rows=2, columns=2))
    plain, further = (Network(load_base_model(small_base)[0], 2, tasks=each).eval() for each in (None, tasks))
    further.load_state_dict({**further.state_dict(), **plain.state_dict()})
    for one, other in zip(plain(x), further(x), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(further.everything(x)[0], plain(x)[0])
    assert not any(name.startswith("heads") for name in plain.state_dict())


def test_a_probe_has_no_further_heads(marked: Snapshot, small_base: BaseModel, tmp_path: Path) -> None:
    settings = TrainingSettings.model_validate({**BOTH, "strategy": "probe"})
    with pytest.raises(ConfigurationError, match="say --strategy tail"):
        train(marked, small_base, settings=settings, out=tmp_path)


def told(snapshot: Snapshot, split: str, **attributes: str) -> Snapshot:
    """One defective image of that split, or every one of it where it is the training, says something else."""
    rows = [each for each in snapshot.examples if each.split == split and each.label == "spot"]
    changed = {each.sha256 for each in (rows if split == "train" else rows[:1])}
    return replace(
        snapshot,
        examples=tuple(
            replace(each, attributes={**each.attributes, **attributes}) if each.sha256 in changed else each
            for each in snapshot.examples
        ),
    )


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize(
    "attributes", [{"depth": "n/a"}, {"bbox_xyxy": "1 2 3"}, {"bbox_xyxy": "200 200 220 220"}], ids=str
)
def test_what_cannot_be_read_of_images_that_judge_is_said_before_the_training(
    split: str, attributes: dict[str, str], marked: Snapshot, small_base: BaseModel, tmp_path: Path
) -> None:
    stages: list[str] = []
    with pytest.raises(DatasetError, match="correct it"):
        train(
            told(marked, split, **attributes), small_base, settings=TrainingSettings.model_validate(BOTH), out=tmp_path,
            progress=lambda stage, *_: stages.append(stage),
        )  # fmt: skip
    assert stages == []


def test_places_cannot_be_learned_without_a_mark(marked: Snapshot, small_base: BaseModel, tmp_path: Path) -> None:
    settings = TrainingSettings(tasks=("location",))
    with pytest.raises(DatasetError, match=r"no defective training image has a mark .* leave the task location out"):
        train(told(marked, "train", bbox_xyxy=""), small_base, settings=settings, out=tmp_path)


def test_learned_weights_part_from_each_other(
    marked: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, "tail", fewest_steps=8, most_steps=8)
    settings = TrainingSettings.model_validate({**BOTH, "task_weights": "learned"})
    module = train(marked, small_base, settings=settings, out=tmp_path).module
    assert isinstance(module, Network)
    assert module.heads is not None
    spreads = module.heads.uncertainty.tolist()
    assert len({round(spread, 5) for spread in spreads}) == 3, "each follows its own loss"
    assert all(spread != 0 for spread in spreads)


def test_weights_of_the_losses_are_said_in_words() -> None:
    said = TrainingSettings.model_validate({"task_weights": "severity=0.5, location=2"})
    assert said.task_weights == {"severity": 0.5, "location": 2.0}
    assert TrainingSettings.model_validate({"task_weights": "fixed"}).task_weights == {}
    with pytest.raises(ValueError, match="say learned, fixed"):
        TrainingSettings.model_validate({"task_weights": "much"})


class TestScale:
    def test_whole_numbers_are_the_levels_themselves(self) -> None:
        scale = severity_scale([example(severity=text) for text in "0123"], "severity", None)
        assert scale.names == ("none", "1", "2", "3")
        assert [scale.level_of(value) for value in (0, 1, 3, 7)] == [0, 1, 3, 3]

    def test_a_measure_is_cut_where_equally_many_images_lie(self) -> None:
        scale = severity_scale([example(area=str(value)) for value in (0, 10, 20, 30, 40, 50, 60)], "area", 4)
        levels = levels_of([example(area=str(value)) for value in (0, 10, 20, 30, 40, 50, 60)], scale, ("good",))
        assert levels.tolist() == [0, 1, 1, 2, 2, 3, 3]

    def test_a_column_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(DatasetError, match="no training image has a value above 0 in the column 'area'"):
            severity_scale([example()], "area", 4)

    def test_too_few_different_values_are_refused(self) -> None:
        with pytest.raises(DatasetError, match="ask for fewer"):
            severity_scale([example(area="2.5"), example(area="2.5")], "area", 6)

    def test_what_is_no_number_is_named(self) -> None:
        with pytest.raises(DatasetError, match="depth 'deep' is no number"):
            severity_scale([example(depth="deep")], "depth", None)


SCALE = SeverityScale(column="depth", names=("none", "1", "2"))


def test_images_without_a_value_teach_no_severity() -> None:
    examples = [example("good"), example(depth="2"), example()]
    assert levels_of(examples, SCALE, ("good",)).tolist() == [0, 2, -1]
    lesson = task_lesson(examples, torch.ones(3), ("good",), scale=SCALE, spec=None, pull={})
    logits = torch.zeros(3, 2, requires_grad=True)
    severity_losses(logits, lesson).sum().backward()
    assert logits.grad is not None
    assert logits.grad[2].tolist() == [0, 0]
    assert logits.grad[:2].abs().min() > 0


def test_defects_without_a_mark_teach_no_location(marked: Snapshot) -> None:
    examples = [e for e in marked.examples if e.path.name in ("0.png", "1.png", "3.png")]
    by_name = {e.path.name: known for e, known in zip(examples, marks_of(examples, SPEC, ("good",))[1], strict=True)}
    assert by_name == {"0.png": True, "1.png": False, "3.png": True}


def test_mark_outside_its_image_is_refused(marked: Snapshot) -> None:
    wrong = replace(marked.examples[0], label="spot", attributes={"bbox_xyxy": "60 4 70 9"})
    with pytest.raises(DatasetError, match="outside its 48 x 48 pixels"):
        marks_of([wrong], SPEC, ("good",))


def _spot(box: tuple[int, int, int, int]) -> Tensor:
    image = torch.zeros(1, 3, 64, 64)
    image[:, :, box[1] : box[3], box[0] : box[2]] = 255
    return image


def _seen(image: Tensor) -> list[float]:
    """Where the spot is, in -1..1."""
    rows, columns = torch.nonzero(image[0, 0] > image[0, 0].max() / 2, as_tuple=True)
    return [2 * float(side) / 64 - 1 for side in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]


@pytest.mark.parametrize("flip", FLIPS["square"])
def test_a_mark_follows_its_defect_through_every_look(flip: str) -> None:
    image, boxes = _spot((10, 20, 26, 30)), torch.tensor([[[10.0, 20, 26, 30]]]) / 32 - 1
    view = View(3, flip)  # type: ignore[arg-type]
    there = moved(boxes, moves_of([view], [7]))[0, 0]
    assert there.tolist() == pytest.approx(_seen(look(image, view, [7])), abs=0.06)


def test_a_mark_follows_its_defect_through_drawn_looks() -> None:
    torch.manual_seed(0)
    image, boxes = _spot((10, 20, 26, 30)), torch.tensor([[[10.0, 20, 26, 30]]]) / 32 - 1
    for _ in range(8):
        seen, moves = moved_images(image, FLIPS["square"])
        assert moved(boxes, moves)[0, 0].tolist() == pytest.approx(_seen(seen), abs=0.06)


class TestCells:
    def test_a_large_defect_has_every_cell_whose_centre_it_covers(self) -> None:
        wanted, hit, _ = cells_of(torch.tensor([[[-1.0, -1.0, 0.0, 0.0]]]), 4, 4)
        assert hit[0].nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
        assert wanted[0, 0, 1].tolist() == [1.5, 0.5, 0.5, 1.5]

    def test_a_small_defect_beside_the_centre_has_the_cell_that_it_lies_in(self) -> None:
        wanted, hit, _ = cells_of(torch.tensor([[[0.05, 0.05, 0.1, 0.1]]]), 4, 4)
        assert hit[0].nonzero().tolist() == [[2, 2]]
        assert wanted[0, 2, 2].tolist() == pytest.approx([0.4, 0.4, -0.3, -0.3])

    def test_a_defect_that_is_hardly_shown_leaves_its_cells_in_doubt(self) -> None:
        _, hit, doubtful = cells_of(torch.tensor([[[0.9, -0.2, 1.4, 0.2]]]), 4, 4)
        assert not hit.any()
        assert doubtful[0, 1, 3]
        assert not doubtful[0, :, :2].any()

    def test_where_nothing_is_marked_every_cell_is_free(self) -> None:
        _, hit, doubtful = cells_of(torch.full((1, 2, 4), math.nan), 3, 3)
        assert not hit.any()
        assert not doubtful.any()


def test_location_loss_is_least_for_the_marked_cell_and_its_box() -> None:
    boxes = torch.tensor([[[[-0.5, -0.5, 0.0, 0.0]]]])
    one = torch.ones(1)
    lesson = TaskLesson(torch.tensor([-1]), one, boxes, one, {})
    wanted, hit, _ = cells_of(boxes[0], 4, 4)
    right, still = wanted.permute(0, 3, 1, 2), torch.eye(2, 3)[None]
    best = location_losses(torch.where(hit, 5.0, -5.0), right, lesson, still)
    elsewhere = location_losses(torch.where(hit.roll(1, 1), 5.0, -5.0), right, lesson, still)
    larger = location_losses(torch.where(hit, 5.0, -5.0), right + 0.5, lesson, still)
    assert float(best) < 0.01
    assert float(elsewhere) > 0.5
    assert float(larger) > 0.1


def test_severity_starts_with_how_often_each_level_is_exceeded() -> None:
    heads = Heads(5, Tasks(severity=SCALE), above=[0.5, 0.2])
    assert heads.severity(torch.randn(3, 5)).sigmoid()[0].tolist() == pytest.approx([0.5, 0.2])


def test_order_of_levels_counts_pairs() -> None:
    answers = LevelAnswers(np.array([0, 1, 2]), np.array([0, 1, 1]), np.array([0.1, 0.9, 0.5]), ("a", "b", "c"))
    assert order(answers, np.arange(3)) == pytest.approx(2 / 3)


def test_a_task_that_only_guesses_is_said_to(together: TrainedModel) -> None:
    found = TaskFigures.model_validate(together.record.details["tasks"])
    assert found.location is not None
    assert found.severity is not None
    lost = found.location.model_copy(update={"pointing": Estimate(value=0.1)})
    mixed = found.severity.model_copy(update={"order": Estimate(value=0.6)})
    place, level = weak_tasks(TaskFigures(severity=mixed, location=lost))
    assert "the hottest place is in its mark in 10%" in place
    assert "60% of the pairs" in level
    good = found.location.model_copy(update={"pointing": Estimate(value=0.8)})
    unknown = found.severity.model_copy(update={"order": Estimate(value=None)})
    assert not weak_tasks(TaskFigures(severity=unknown, location=good))


def test_tiles_are_part_of_the_grid(together: TrainedModel) -> None:
    assert together.record.preprocessing.tiles == Tiles(columns=2, rows=2)
    assert together.record.tasks is not None
    assert together.record.tasks.location == LocationGrid(rows=2, columns=2)


def test_each_task_is_compared_with_itself_alone(
    marked: Snapshot, small_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, "tail", fewest_steps=4, most_steps=4)
    settings = TrainingSettings.model_validate({**BOTH, "compare_tasks": True})
    model = train(marked, small_base, settings=settings, out=tmp_path / "run")
    found = model.record.details["tasks_alone"]
    assert set(found) == {"class", "severity", "location"}
    assert all(item["error"] >= 0 for item in found.values())
    assert "- class: mean error" in (model.folder / "card.md").read_text()
    assert not (model.folder / "alone").exists()


def test_what_is_worse_by_more_than_its_standard_error_is_said() -> None:
    assert Compared("severity", 0.5, 0.4, 0.05).worse
    assert not Compared("severity", 0.5, 0.4, 0.15).worse
    assert not Compared("severity", 0.5, 0.4, math.inf).worse
    assert "Severity is worse together than alone: distance from the true level 0.500 against 0.400" in (
        Compared("severity", 0.5, 0.4, 0.05).sentence()
    )


def test_a_task_that_no_image_tells_of_is_no_number() -> None:
    unknown = Compared("location", math.nan, math.nan, math.inf).figures()
    assert unknown == {"together": None, "alone": None, "error": None}
    assert beside_alone(Together(**unknown)) == "not compared, no image tells"
    assert beside_alone(Together(together=0.5, alone=0.4, error=0.05)).endswith("**worse together**")
    assert beside_alone(Together(together=0.5, alone=0.4, error=0.2)).endswith("alone, not worse together")


def test_alone_nothing_else_is_learned() -> None:
    settings = TrainingSettings.model_validate({**BOTH, "task_weights": "learned"})
    assert alone(settings, "class").tasks == ()
    only = alone(settings, "location")
    assert (only.tasks, only.task_weights) == (("location",), {"class": 0.0})
