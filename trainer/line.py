"""Where the line is drawn for a site: from what a course has taught to thresholds, and into the network's head."""

from __future__ import annotations

import torch
from torch import Tensor

from contracts.thresholds import Thresholds
from runtime.band import Prices, band
from trainer.course import Course, Taught
from trainer.network import Network
from trainer.snapshot import Snapshot
from trainer.split import group_of
from trainer.stem import Stem
from trainer.threshold import Calibration, calibrate, carried
from trainer.views import View
from trainer.weighing import balanced_weights, condition_of, even_weights, soft_targets, telling


def draw_line(course: Course, stem: Stem, taught: Taught, snapshot: Snapshot) -> tuple[Thresholds, Calibration]:
    """Thresholds and calibration for the condition of the snapshot's newest image; the head is moved accordingly."""
    newest = condition_of(snapshot.examples[-1])
    thresholds, settled = _settle(course, taught, newest)
    calibration = _carry(course, stem, taught, settled, snapshot, newest)
    thresholds = thresholds.model_copy(update={"slope": calibration.slope})
    if course.settings.cost_review is not None:
        thresholds = _with_band(course, taught, thresholds, settled, newest)
    _move(taught.network, calibration, course.good_mask())
    return thresholds, calibration


def _with_band(course: Course, taught: Taught, line: Thresholds, settled: Calibration, newest: str) -> Thresholds:
    """The thresholds between which a review is cheapest, by the held-out images of the `newest` condition."""
    rows, mask, settings = telling(taught.held_out, course.good, newest), course.good_mask(), course.settings
    scores = settled.probabilities(taught.logits[rows], mask)[:, ~mask].sum(1).double()
    defect = torch.tensor([taught.held_out[row].label not in course.good for row in rows])
    moved = scores.logit(eps=1e-9) * (settled.slope / (line.slope or 1.0))  # as the averaged network answers
    prices = Prices(settings.cost_escape, settings.cost_false_reject, settings.cost_review, settings.most_reviewed)
    return with_band(line, prices, moved.sigmoid(), defect)


def with_band(line: Thresholds, prices: Prices, scores: Tensor, defect: Tensor) -> Thresholds:
    """`line` (drawn at 0.5) with the band in which a review is cheapest, no wider than people have time for, by
    held-out `scores` [n] of which `defect` [n] bool are defective; these count by the share of defects that `line`
    expects."""

    def reviewed(low: float, high: float) -> float:
        inside = ((scores >= low) & (scores < high)).double()
        of_defects, of_good = (float(inside[kind].mean()) if kind.any() else 0.0 for kind in (defect, ~defect))
        return line.defect_share * of_defects + (1 - line.defect_share) * of_good

    found = band(prices, line, reviewed, chosen_by=f"{line.chosen_by}; REVIEW where that is cheapest (Chow's rule)")
    return found.model_copy(update={"slope": line.slope})


def _settle(course: Course, taught: Taught, newest: str) -> tuple[Thresholds, Calibration]:
    """Thresholds and calibration from the held-out images that tell where the line lies in the `newest` condition."""
    rows = telling(taught.held_out, course.good, newest)
    examples, logits = [taught.held_out[row] for row in rows], taught.logits[rows]
    settings = course.settings
    targets = soft_targets(examples, course.labels, course.good, noise=settings.label_noise)
    line = Thresholds(
        ng=0.5,
        review_from=0.5,
        cost_escape=settings.cost_escape,
        cost_false_reject=settings.cost_false_reject,
        defect_share=settings.defect_share,
        chosen_by=f"logistic fit to {len(rows)} held-out images; the head is moved so that 0.5 is the line",
    )
    of_defects, of_good = line.recall_weights
    weights, mask = balanced_weights(examples, course.good), course.good_mask()
    calibration = calibrate(
        logits, targets, weights, mask,
        mass=even_weights(examples, course.good), groups=tuple(map(group_of, examples)),
        newest=torch.tensor([condition_of(example) == newest for example in examples], dtype=torch.bool),
        noise=settings.label_noise, escape_to_reject=of_defects / of_good,
    )  # fmt: skip
    scores = calibration.probabilities(logits, mask)[:, ~mask].sum(1)
    return line.model_copy(update={"review_from": _review_from(scores, settings.review_fraction)}), calibration


def _carry(
    course: Course, stem: Stem, taught: Taught, calibration: Calibration, snapshot: Snapshot, newest: str
) -> Calibration:
    """The line carried from the rounds to their average, over pictures of the newest condition that none of them has
    seen. Those of the gate are among them; their labels stay unread."""
    unseen = [example for example in snapshot.of("gate", "validation") if condition_of(example) == newest]
    if len(taught.rounds) < 2 or not unseen:
        return calibration
    maps = stem.features(unseen, (View(0),)).maps
    rounds = [course.answers(tuned.network, maps) for tuned in taught.rounds]
    return carried(calibration, rounds, course.answers(taught.network, maps), course.good_mask())


def _move(network: Network, calibration: Calibration, good: Tensor) -> None:
    """The calibration's shift goes into the head's bias; the temperature stays outside."""
    with torch.no_grad():
        network.head.bias.add_(calibration.shift * calibration.temperature * good.to(network.head.bias.device))


def _review_from(scores: Tensor, fraction: float) -> float:
    """The defect score from which on `fraction` of the parts lie below NG but near it."""
    below = scores[scores < 0.5].sort().values
    count = min(len(below), round(fraction * len(scores)))
    return float(below[len(below) - count]) if count else 0.5
