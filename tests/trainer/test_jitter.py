"""What the camera may change: seen by the training, the same for the same image, and its marks go with it."""

import pytest
import torch

from trainer.jitter import USUAL, Jitter
from trainer.settings import TrainingSettings
from trainer.views import View, look, moved, moves_of

SIDES = (40, 80)  # height, width


def dotted(x: int, y: int) -> torch.Tensor:
    """One image [1, 3, h, w], black but for a soft white dot."""
    rows, columns = torch.meshgrid(torch.arange(SIDES[0]), torch.arange(SIDES[1]), indexing="ij")
    dot = 255 * torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8.0)
    return dot.expand(1, 3, *SIDES)


def middle(image: torch.Tensor) -> list[float]:
    """Of what is bright, -1..1 across and down."""
    weights = image[0, 0] / image[0, 0].sum()
    rows, columns = torch.meshgrid(*((torch.arange(size) * 2 + 1) / size - 1 for size in SIDES), indexing="ij")
    return [float((weights * columns).sum()), float((weights * rows).sum())]


def test_what_is_not_asked_for_changes_nothing_of_the_usual_looks() -> None:
    torch.manual_seed(3)
    usual = torch.rand(4, 5) * 2 - 1
    torch.manual_seed(3)
    assert torch.equal(USUAL.draw(4)[:, :5], usual)
    assert not USUAL.draw(4)[:, 5:].any()
    assert TrainingSettings().model_dump(exclude_defaults=True) == {}


@pytest.mark.parametrize("jitter", [Jitter(turn=20), Jitter(turn=10, zoom=0.2, shift=0.1)])
def test_marks_go_where_the_picture_goes(jitter: Jitter) -> None:
    image = dotted(55, 12)
    for seed in range(6):
        there = moves_of([View(1)], [seed], jitter, ratio=SIDES[1] / SIDES[0])[0]
        wanted = there[:, :2] @ torch.tensor(middle(image)) + there[:, 2]
        assert middle(look(image, View(1), [seed], jitter)) == pytest.approx(wanted.tolist(), abs=0.05)
    torch.manual_seed(0)
    seen, (there, *_) = moved(image, ("h",), jitter)
    assert middle(seen) == pytest.approx((there[:, :2] @ torch.tensor(middle(image)) + there[:, 2]).tolist(), abs=0.05)


def test_blur_takes_detail_and_noise_brings_grain() -> None:
    image = dotted(40, 20)
    plain = look(image, View(1), [5], Jitter(shift=0, zoom=0, light=0, contrast=0))
    soft = look(image, View(1), [5], Jitter(shift=0, zoom=0, light=0, contrast=0, blur=6))
    assert float(soft.max()) < 0.8 * float(plain.max())
    assert float(soft.mean()) == pytest.approx(float(plain.mean()), rel=0.02)
    grain = look(image, View(1), [5], Jitter(shift=0, zoom=0, light=0, contrast=0, noise=20))
    assert float((grain - plain)[..., :8].std()) > 1.0


def test_a_look_depends_on_the_image_and_not_on_its_neighbours() -> None:
    images, jitter = torch.cat([dotted(10, 10), dotted(50, 30)]), Jitter(turn=5, blur=2, noise=5)
    together = look(images, View(2), [11, 12], jitter)
    assert torch.allclose(together[1:], look(images[1:], View(2), [12], jitter), atol=1e-3)
    assert torch.equal(look(images, View(0), [11, 12], jitter), images)


def test_jitter_is_said_in_words() -> None:
    said = TrainingSettings.model_validate({"jitter": "turn=5, light=0.2"}).jitter
    assert (said.turn, said.light, said.contrast) == (5.0, 0.2, USUAL.contrast)
    for wrong in ("spin=5", "turn=much", "turn"):
        with pytest.raises(ValueError, match=r"say numbers as 'light=0\.2 turn=5'; known: shift, zoom"):
            TrainingSettings.model_validate({"jitter": wrong})
    with pytest.raises(ValueError, match="less than or equal to 45"):
        TrainingSettings.model_validate({"jitter": "turn=90"})
