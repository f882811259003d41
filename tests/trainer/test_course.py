"""The rules of training, each by itself: what counts how much, what is held out, where the line is drawn."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from contracts.preprocessing import Preprocessing
from contracts.thresholds import Thresholds
from runtime.band import Prices, defect_probability
from trainer.bases.backbone import BaseModel, load_base_model
from trainer.course import held_out_parts
from trainer.dataset import Example
from trainer.line import with_band
from trainer.network import Network
from trainer.rounds.head import fit_head
from trainer.settings import TrainingSettings
from trainer.stem import tail_start
from trainer.threshold import Calibration, calibrate, carried
from trainer.views import View, flipped, look, views
from trainer.weighing import balanced_weights, even_weights, soft_targets, telling

LABELS, GOOD = ("good", "pit", "scratch"), ("good",)


def made(label: str, count: int, *, prefix: str = "", **attributes: str) -> list[Example]:
    return [
        Example(Path("x"), label, attributes=dict(attributes), sha256=f"{prefix}{label}{number:04}")
        for number in range(count)
    ]


def test_conditions_and_halves_weigh_the_same_whatever_their_counts() -> None:
    home = made("good", 70) + made("pit", 4) + made("scratch", 16)
    new = made("good", 10, order="o-1") + made("pit", 3, order="o-1")
    weights = balanced_weights(home + new, GOOD)
    sums = [weights[:70].sum(), weights[70:90].sum(), weights[90:100].sum(), weights[100:].sum()]
    assert torch.stack(sums) == pytest.approx(torch.full((4,), float(weights.sum()) / 4), rel=1e-4)
    assert float(weights[70:74].sum() / weights[74:90].sum()) == pytest.approx(0.5)


def test_to_come_from_a_condition_of_many_defects_is_no_sign_of_one() -> None:
    home = made("good", 90) + made("pit", 10)
    new = made("good", 5, order="o-1") + made("pit", 20, order="o-1")
    weights = even_weights(home + new, GOOD)
    good_at_home, defects_at_home, good_there, defects_there = (
        float(weights[part].sum()) for part in (slice(90), slice(90, 100), slice(100, 105), slice(105, 125))
    )
    assert good_at_home + defects_at_home == pytest.approx(good_there + defects_there, rel=1e-4)
    assert good_at_home / defects_at_home == pytest.approx(0.55 / 0.45, rel=1e-4)
    assert good_there / defects_there == pytest.approx(0.55 / 0.45, rel=1e-4)


def test_under_one_condition_every_image_counts_the_same_for_the_line() -> None:
    assert even_weights(made("good", 30) + made("pit", 3), GOOD).tolist() == pytest.approx([1.0] * 33)
    kinds_apart = even_weights(made("good", 30) + made("pit", 3, order="o-1"), GOOD)
    assert float(kinds_apart[:30].sum()) == pytest.approx(float(kinds_apart[30:].sum()), rel=1e-4)


def test_one_rare_image_does_not_rule() -> None:
    weights = balanced_weights(made("good", 500) + made("pit", 1) + made("scratch", 100), GOOD)
    assert float(weights.max()) <= 10.0


def test_the_newest_condition_tells_where_the_line_lies_once_it_has_enough_of_both_kinds() -> None:
    home = made("good", 40) + made("pit", 40)
    new = made("good", 20, order="o-1") + made("pit", 15, order="o-1")
    odd = made("pit", 10, prefix="odd", order="o-1", source="atypical")
    assert telling(home + odd + new, GOOD, "o-1") == list(range(90, 125))
    assert telling(home + odd + new[:-1], GOOD, "o-1") == [*range(80), *range(90, 124)]


def test_graded_severity_makes_soft_targets_for_the_site_alone() -> None:
    graded = [
        *made("good", 2, severity="0"), *made("good", 1, prefix="b", severity="1"), *made("pit", 1, severity="2"),
        *made("pit", 1, prefix="b", severity="3"), *made("pit", 1, prefix="c", order="o-1"),
    ]  # fmt: skip
    defect = soft_targets(graded, ("good", "pit"), GOOD, noise=0.0)[:, 1]
    assert defect.tolist() == pytest.approx([0.02, 0.02, 0.34, 0.66, 0.98, 0.98], abs=0.001)


def test_severity_that_is_a_size_is_not_taken_for_doubt() -> None:
    sized = made("good", 3, severity="0") + made("pit", 1, severity="1") + made("scratch", 1, severity="5")
    targets = soft_targets(sized, LABELS, GOOD, noise=0.03)
    assert targets[3, 1] == targets[4, 2] > 0.9
    assert targets.sum(1) == pytest.approx(torch.ones(5))


def test_large_validation_split_is_enough_for_one_round() -> None:
    validation = made("good", 40) + made("pit", 30)
    assert held_out_parts(made("good", 90), validation, GOOD, seed=0) == [[]]


def test_new_labels_are_each_left_out_once_and_home_never() -> None:
    train = made("good", 50) + made("pit", 30) + made("good", 20, order="o") + made("pit", 9, order="o")
    parts = held_out_parts(train, made("good", 40) + made("pit", 30), GOOD, seed=0)
    assert len(parts) == 3
    assert sorted(row for part in parts for row in part) == list(range(80, 109))


def test_small_set_is_left_out_part_by_part() -> None:
    train = made("good", 14) + made("pit", 14)
    parts = held_out_parts(train, made("good", 3) + made("pit", 3), GOOD, seed=0)
    assert sorted(row for part in parts for row in part) == list(range(28))
    assert all({train[row].label for row in part} == {"good", "pit"} for part in parts)


def test_head_separates_what_is_separable_and_is_as_sure_as_its_targets() -> None:
    inputs = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    positive = (inputs[:, 0] + 0.5 * inputs[:, 1] > 0).float()

    def answers(sure: float) -> torch.Tensor:
        defect = (1 - sure) + (2 * sure - 1) * positive
        targets = torch.stack([1 - defect, defect], 1)
        return fit_head(inputs, targets, torch.ones(200), penalty=0.01).logits(inputs).softmax(1)[:, 1]

    assert float(((answers(0.9) > 0.5) == (positive > 0.5)).float().mean()) >= 0.97
    assert (
        answers(0.7)[positive > 0.5].mean() < answers(0.9)[positive > 0.5].mean() < answers(1.0)[positive > 0.5].mean()
    )


def test_threshold_moves_to_where_held_out_defects_and_good_parts_meet() -> None:
    generator = torch.Generator().manual_seed(1)
    defect = (torch.arange(400) % 2).float()
    odds = 2 * torch.randn(400, generator=generator) + 4 * defect + 1  # they meet at 3, not at 0
    logits = torch.stack([torch.zeros(400), odds], 1)
    targets = torch.stack([1 - defect, defect], 1)
    good = torch.tensor([True, False])
    found = calibrate(logits, targets, torch.ones(400), good)
    assert found.temperature * found.shift == pytest.approx(3, abs=0.7)
    strict = calibrate(logits, targets, torch.ones(400), good, escape_to_reject=5.0)
    assert strict.shift < found.shift


def test_the_threshold_does_not_depend_on_how_rare_defects_are() -> None:
    generator = torch.Generator().manual_seed(2)
    defect = (torch.arange(2000) % 10 == 0).float()  # 10 %, as a line has them
    odds = 2 * torch.randn(2000, generator=generator) + 4 * defect + 1
    targets = torch.stack([1 - defect, defect], 1)
    logits, good = torch.stack([torch.zeros(2000), odds], 1), torch.tensor([True, False])
    found = calibrate(logits, targets, torch.ones(2000), good)
    assert found.temperature * found.shift == pytest.approx(3, abs=0.7)


def test_many_images_of_few_groups_move_the_threshold_less() -> None:
    generator = torch.Generator().manual_seed(1)
    defect = (torch.arange(120) % 2).float()
    odds = 2 * torch.randn(120, generator=generator) + 4 * defect + 1
    logits, good = torch.stack([torch.zeros(120), odds], 1), torch.tensor([True, False])
    targets = torch.stack([1 - defect, defect], 1)

    def line(groups: int) -> float:
        named = [f"module-{number % groups}" for number in range(120)]
        return calibrate(logits, targets, torch.ones(120), good, groups=named).shift

    assert 0 < line(2) < line(12) < line(120)
    assert line(120) == calibrate(logits, targets, torch.ones(120), good).shift


def test_few_images_of_the_newest_condition_move_the_line_towards_where_they_part() -> None:
    generator = torch.Generator().manual_seed(1)
    defect = torch.cat([(torch.arange(200) % 2).float(), (torch.arange(60) % 12 > 0).float()])
    newest = torch.arange(260) >= 200  # of which 5 are good, and all look worse than at home
    odds = torch.randn(260, generator=generator) + 6 * defect - 3 + 4 * newest
    logits, good = torch.stack([torch.zeros(260), odds], 1), torch.tensor([True, False])
    targets = torch.stack([1 - defect, defect], 1)

    def line(new: torch.Tensor | None) -> float:
        found = calibrate(logits, targets, torch.ones(260), good, newest=new)
        return found.shift * found.temperature

    everywhere = line(None)
    assert everywhere < 2 < line(newest) < 5, "home parts at 0, the newest condition at 4"
    assert line(torch.ones(260, dtype=torch.bool)) == line(torch.zeros(260, dtype=torch.bool)) == everywhere


def test_wrong_labels_move_the_threshold_less_when_they_are_expected() -> None:
    generator = torch.Generator().manual_seed(3)
    defect = (torch.arange(300) % 4 == 0).float()
    odds = torch.randn(300, generator=generator) + 8 * defect - 4  # clearly apart, around 0
    logits, good = torch.stack([torch.zeros(300), odds], 1), torch.tensor([True, False])
    wrong = defect.clone()
    wrong[1:60:4] = 1.0  # 15 good parts called defects

    def line(labels: torch.Tensor, noise: float) -> float:
        found = calibrate(logits, torch.stack([1 - labels, labels], 1), torch.ones(300), good, noise=noise)
        return found.shift * found.temperature

    clean = line(defect, 0.05)
    assert abs(line(wrong, 0.05) - clean) < 0.7 * abs(line(wrong, 0.0) - clean)


def test_the_line_parts_the_averaged_answers_where_it_parted_those_of_the_rounds() -> None:
    scores = torch.cat([torch.linspace(-3, -1, 30), torch.linspace(1, 3, 10)])  # defect minus good
    averaged = scores / 4 - 1.5  # less extreme, and both kinds on one side of the rounds' line
    logits = [torch.stack([torch.zeros(40), found], 1) for found in (scores, scores * 1.5, averaged)]
    found = carried(Calibration(shift=-0.5), logits[:2], logits[2], torch.tensor([True, False]))
    assert int((averaged >= found.shift).sum()) == 10
    assert found.shift == pytest.approx(-0.4 / 4 - 1.5, abs=0.02), "at the same place in the gap, not in its middle"
    assert carried(Calibration(shift=-0.5), logits[:1], logits[2], torch.tensor([True, False])).shift == -0.5
    few = [answers[:10] for answers in logits]
    assert carried(Calibration(shift=-0.5), few[:2], few[2], torch.tensor([True, False])).shift == -0.5


def test_several_kinds_of_defect_are_named_where_their_sum_decides() -> None:
    """One good class against five: what the line takes off their sum must not be missing where one stands alone."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.cat([torch.zeros(300, dtype=torch.int64), torch.arange(1, 6).repeat(20)])
    logits = 0.8 * torch.randn(400, 6, generator=generator) - 1.0
    logits[:, 0] = 0.0
    logits[range(300, 400), labels[300:]] += 2.0
    good = torch.tensor([True, *[False] * 5])
    found = calibrate(logits, torch.nn.functional.one_hot(labels, 6).float(), torch.ones(400), good)
    said = found.probabilities(logits, good)
    decided = said[:, 1:].sum(1) >= 0.5
    assert float((decided == (labels > 0)).float().mean()) > 0.8
    assert float((said[decided].argmax(1) == 0).float().mean()) < 0.1


def test_a_head_that_is_sharpened_says_the_same_more_surely() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(200, 4, generator=generator)
    targets = torch.nn.functional.one_hot((embeddings[:, 0] > 0).long(), 2).float()
    modest = fit_head(embeddings, targets, torch.ones(200), penalty=30.0)
    sharp = modest.sharpened(0.1)
    assert torch.allclose(sharp.logits(embeddings), modest.logits(embeddings) / 0.1, atol=1e-5)


def test_no_held_out_image_leaves_the_threshold_to_the_costs() -> None:
    good = torch.tensor([True, False])
    assert calibrate(torch.empty(0, 2), torch.empty(0, 2), torch.empty(0), good).shift == 0.0


def test_views_depend_on_the_image_and_not_on_its_neighbours() -> None:
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    together = look(images, View(2, "h"), [11, 12, 13])
    alone = look(images[1:2], View(2, "h"), [12])
    assert torch.allclose(together[1], alone[0], atol=1e-4)
    assert torch.equal(look(images, View(0), [1, 2, 3]), images.float())


def test_flips_are_their_own_inverse_and_taken_in_turn() -> None:
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(flipped(flipped(image, "hv"), "hv"), image)
    assert torch.equal(flipped(image, "th"), torch.rot90(image, -1, (2, 3)))
    assert [view.flip for view in views(("", "h", "v", "hv"), 5)] == ["", "h", "v", "hv", ""]


def test_tail_is_the_top_of_the_network() -> None:
    network = Network(load_base_model(BaseModel(id="random", architecture="mobilenetv2_100"))[0], 2)
    spec = Preprocessing(width=224, height=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    assert tail_start(network, spec) == 14
    assert len(network.stages) == 19


def test_the_slope_says_how_the_score_relates_to_the_probability_of_a_defect() -> None:
    torch.manual_seed(3)
    odds = torch.randn(4000) * 3
    labels = (torch.rand(4000) < (0.5 * odds).sigmoid()).float()
    logits = torch.stack([torch.zeros(4000), odds], 1)
    good = torch.tensor([True, False])
    found = calibrate(logits, torch.stack([1 - labels, labels], 1), torch.ones(4000), good)
    score = found.probabilities(logits, good)[:, 1].double()
    own = Thresholds(ng=0.5, review_from=0.5, slope=found.slope)
    called = torch.tensor([defect_probability(float(value), own) for value in score])
    for low, high in ((0.05, 0.2), (0.4, 0.6), (0.8, 0.95)):
        inside = (called >= low) & (called < high)
        assert float(labels[inside].mean()) == pytest.approx(float(called[inside].mean()), abs=0.06)


def test_where_the_average_answers_less_extremely_the_slope_grows() -> None:
    odds = torch.linspace(-4, 4, 101)
    logits = [torch.stack([torch.zeros(101), odds * factor], 1) for factor in (1.0, 1.0, 0.5)]
    found = carried(Calibration(shift=0.4, slope=0.8), logits[:2], logits[2], torch.tensor([True, False]))
    assert (found.shift, found.slope) == (pytest.approx(0.2), pytest.approx(1.6))


def test_the_band_of_a_training_fits_into_the_time_that_people_have_by_the_share_of_defects() -> None:
    torch.manual_seed(4)
    scores = torch.rand(2000, dtype=torch.float64)
    defect = torch.rand(2000) < scores
    line = Thresholds(ng=0.5, review_from=0.5, defect_share=0.1, slope=1.0)
    wide = with_band(line, Prices(1.0, 1.0, 0.2), scores, defect)
    narrow = with_band(line, Prices(1.0, 1.0, 0.2, most_reviewed=0.05), scores, defect)
    assert (wide.review_from, wide.ng) == (pytest.approx(0.2), pytest.approx(0.8))
    inside = (scores >= narrow.review_from) & (scores < narrow.ng)
    share = 0.1 * inside[defect].double().mean() + 0.9 * inside[~defect].double().mean()
    assert 0.04 < float(share) <= 0.05
    assert narrow.slope == 1.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"cost_review": 0.1, "review_fraction": 0.1}, "two ways to one band"), ({"most_reviewed": 0.1}, "cost_review")],
)
def test_two_ways_to_a_band_are_refused(changes: dict[str, float], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TrainingSettings.model_validate(changes)
