"""Heads for severity and location beside the class's, over one trunk, and what they are taught by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from contracts.tasks import Tasks
from trainer.tasks import CLASS, LOCATION, SEVERITY, TaskLesson

_RARE = 0.01  # probability of a defect that every cell starts with
_FOCUS, _POSITIVE = 2.0, 0.25  # gamma and alpha of the focal loss
_HALF = 0.5  # cells from its centre to each side of the box that every cell starts with
_SHOWN = 0.5  # share of a mark, below which an input neither shows the defect nor is free of it
_TASKS = (CLASS, SEVERITY, LOCATION)


class Heads(nn.Module):
    """Severity: cumulative logits of P(level > l) with one shared slope, so that they never cross (Cao, Mirjalili &
    Raschka, Rank Consistent Ordinal Regression, 2020). Location: for each cell of the last feature maps the logit of a
    defect and the distances to the sides of its box (Tian et al., FCOS, ICCV 2019), in cells and signed, as a small
    defect need not hold the centre of its cell.

    Both see standardised features and start from nothing but the usual: `above`, the share of training images above
    each level but the last. They are linear maps, which the quantiser leaves in float. `uncertainty` [3]: logarithms
    of the variances by which learned weights divide the losses of class, severity and location (Kendall, Gal &
    Cipolla, CVPR 2018).
    """

    def __init__(self, width: int, tasks: Tasks, *, above: Sequence[float] = ()) -> None:
        super().__init__()
        self.tasks = tasks
        self.uncertainty = nn.Parameter(torch.zeros(len(_TASKS)))
        if tasks.severity is not None:
            self.slope = nn.Linear(width, 1, bias=False)
            nn.init.zeros_(self.slope.weight)
            shares = torch.tensor(above or [0.5] * (len(tasks.severity.names) - 1))
            self.thresholds = nn.Parameter(-shares.clamp(0.01, 0.99).logit())
        if tasks.location is not None:
            self.cells = nn.Linear(width, 5)
            nn.init.zeros_(self.cells.weight)
            start = torch.tensor([math.log(_RARE / (1 - _RARE)), *[_HALF] * 4])
            self.cells.bias.data.copy_(start)

    def severity(self, features: Tensor) -> Tensor:
        """[b, d] -> [b, levels - 1]."""
        logits: Tensor = self.slope(features) - self.thresholds
        return logits

    def location(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """[b, d, rows, columns] -> heat [b, rows, columns], distances [b, 4, rows, columns]."""
        count, width, rows, columns = maps.shape
        found = self.cells(maps.permute(0, 2, 3, 1).reshape(-1, width))  # one row a cell
        found = found.view(count, rows, columns, 5).permute(0, 3, 1, 2)
        return found[:, 0], found[:, 1:]

    def united(self, losses: Mapping[str, Tensor], pull: Mapping[str, float] | None, *, share: float = 1.0) -> Tensor:
        """One loss of those of the tasks: their weighted sum, or with learned weights the likelihood's. `share`: of the
        batch that the losses are of; the parts of several ranks add up to the whole."""
        total = torch.zeros(())
        for name, loss in losses.items():
            if pull is None:
                spread = self.uncertainty[_TASKS.index(name)]
                total = total + loss * torch.exp(-spread) + spread / 2 * share
            else:
                total = total + loss * pull.get(name, 1.0)
        return total


def losses_beside(heads: Heads, answers: Sequence[Tensor], lesson: TaskLesson, moves: Tensor) -> dict[str, Tensor]:
    """Losses [n] by task, on the processor, of what `Network.beside` answers to inputs that were moved."""
    found, left = {}, [answer.cpu() for answer in answers]
    if heads.tasks.severity is not None:
        found[SEVERITY] = severity_losses(left.pop(0), lesson)
    if left:
        found[LOCATION] = location_losses(left[0], left[1], lesson, moves)
    return found


def severity_losses(logits: Tensor, lesson: TaskLesson) -> Tensor:
    """[n] weighted cross-entropy, mean over the steps, of cumulative logits [n, levels - 1]."""
    steps = torch.arange(logits.shape[1])
    above = (lesson.levels[:, None] > steps).float()
    each = nn.functional.binary_cross_entropy_with_logits(logits, above, reduction="none").mean(1)
    return each * lesson.level_weights


def location_losses(heat: Tensor, distances: Tensor, lesson: TaskLesson, moves: Tensor) -> Tensor:
    """[n] weighted: the focal loss of the heat (Lin et al., ICCV 2017) and the generalised overlap of the boxes
    (Rezatofighi et al., CVPR 2019) with a smooth distance of their sides, both a cell that shows a defect.

    `heat` [n * t, rows, columns], `distances` [n * t, 4, rows, columns] of inputs that were moved by `moves`
    [n * t, 2, 3] (see `views`).
    """
    boxes = moved(lesson.marks.flatten(0, 1), moves)  # [n * t, m, 4]
    wanted, hit, doubtful = cells_of(boxes, heat.shape[1], heat.shape[2])
    focal = _focal(heat, hit.float()) * ~doubtful
    placed = _box_loss(distances.permute(0, 2, 3, 1), wanted) * hit
    cells = lesson.marks.shape[1] * hit.shape[1] * hit.shape[2]  # of an image; a rank's share may have none
    count = hit.view(-1, cells).sum(1).clamp_min(1)
    return (focal + placed).view(-1, cells).sum(1) / count * lesson.mark_weights


def moved(boxes: Tensor, moves: Tensor) -> Tensor:
    """Boxes [n, m, 4] in -1..1 as they lie after `moves` [n, 2, 3]."""
    corners = boxes.view(*boxes.shape[:2], 2, 2)  # left top, right bottom
    there = torch.einsum("nij,nmcj->nmci", moves[:, :, :2], corners) + moves[:, None, None, :, 2]
    return torch.cat([there.amin(2), there.amax(2)], 2)


def cells_of(boxes: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """What each cell has to say of boxes [n, m, 4]: distances [n, rows, columns, 4] to the smallest box that is its
    own, whether it has one (its centre lies in the box, or the box's centre in it), and whether it is in doubt: it
    touches a box that its input shows to less than a half."""
    seen = boxes.clamp(-1, 1)
    shown = _area(seen) / _area(boxes)  # [n, m]; not a number without a box
    box = ((seen + 1) / 2 * torch.tensor([columns, rows, columns, rows]))[:, None, None]  # [n, 1, 1, m, 4] cells
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    x, y = x[None, :, :, None], y[None, :, :, None]
    distances = torch.stack([x - box[..., 0], y - box[..., 1], box[..., 2] - x, box[..., 3] - y], -1)
    middle = ((box[..., 0] + box[..., 2]) / 2 - x).abs() <= 0.5
    middle &= ((box[..., 1] + box[..., 3]) / 2 - y).abs() <= 0.5
    own = (distances.amin(-1) > 0) | middle  # [n, rows, columns, m]
    clear = (shown >= _SHOWN)[:, None, None]
    partly = ((shown > 0) & (shown < _SHOWN))[:, None, None]
    hit = own & clear
    sizes = torch.where(hit, _area(box).expand_as(hit), torch.inf)
    smallest = sizes.argmin(-1)[..., None, None].expand(*hit.shape[:3], 1, 4)
    wanted = distances.gather(3, smallest).squeeze(3).nan_to_num()
    touched = (distances.amin(-1) > -0.5) & partly
    return wanted, hit.any(-1), touched.any(-1) & ~hit.any(-1)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """Of every cell: the surer it is right, the less it counts."""
    plain = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    chance = logits.sigmoid()
    wrong = wanted * (1 - chance) + (1 - wanted) * chance
    kind = wanted * _POSITIVE + (1 - wanted) * (1 - _POSITIVE)
    return kind * wrong**_FOCUS * plain


def _box_loss(said: Tensor, wanted: Tensor) -> Tensor:
    """[n, rows, columns] of distances [n, rows, columns, 4], seen from one cell's centre."""
    size = (said[..., 0] + said[..., 2]).clamp_min(1e-3) * (said[..., 1] + said[..., 3]).clamp_min(1e-3)
    true = (wanted[..., 0] + wanted[..., 2]) * (wanted[..., 1] + wanted[..., 3])
    inner, outer = torch.minimum(said, wanted), torch.maximum(said, wanted)
    shared = (inner[..., 0] + inner[..., 2]).clamp_min(0) * (inner[..., 1] + inner[..., 3]).clamp_min(0)
    around = ((outer[..., 0] + outer[..., 2]) * (outer[..., 1] + outer[..., 3])).clamp_min(1e-6)
    total = (size + true - shared).clamp_min(1e-6)
    overlap = shared / total - (around - total) / around
    return 1 - overlap + nn.functional.smooth_l1_loss(said, wanted, reduction="none").mean(-1)
