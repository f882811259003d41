"""What a model was made from and how, in Markdown: images, training, input."""

from __future__ import annotations

import json

from contracts.preprocessing import Polygon
from contracts.quality import RaterAgreement
from trainer.card.values import InputFacts, ModelCard, QualityFacts
from trainer.snapshot import SplitWay
from trainer.views import FLIPS_IN_WORDS

_SPLIT_BY: dict[SplitWay, str] = {
    "group": "by group",
    "time": "by time, whole days (what came later: by group)",
    "stated": "as the manifest states",
    "": "in a way that nobody wrote down",
}


def image_lines(card: ModelCard) -> list[str]:
    """Hashes, split, counts, raters, quality."""
    data, lineage = card.data, card.lineage
    groups = ", ".join(f"{found.groups} {name}" for name, found in data.splits.items())
    alone = f"; {data.ungrouped} images without a group stand for themselves" if data.ungrouped else ""
    grown = f", grown from snapshot `{data.parent_snapshot}`" if data.parent_snapshot else ""
    return [
        f"- images: snapshot `{lineage.snapshot_hash}`, split `{lineage.split_hash}`{grown}",
        f"- split {_SPLIT_BY[data.split_by]}; groups: {groups}{alone}",
        f"- {data.pinned}",
        *(
            f"- {split}: " + ", ".join(f"{n} {label}" for label, n in sorted(found.images.items()))
            for split, found in data.splits.items()
        ),
        f"- raters: {_raters(data.raters)}",
        f"- quality of the images: {_quality(card.quality)}",
    ]


def training_lines(card: ModelCard) -> list[str]:
    """Strategy, what varied, and what it follows."""
    training, lineage = card.training, card.lineage
    lines = [f"- strategy: {training.strategy}" + (f". {' '.join(training.reasons)}" if training.reasons else "")]
    if training.tuning:
        lines.append(f"- tuning: {' '.join(training.tuning)} All of them: trials.csv.")
    if training.restarts:
        lines.append(f"- begun again at half the learning rate where its curve jumped: {'; '.join(training.restarts)}")
    grafted = "; marked defects shown on good parts too" if training.graft else ""
    flips = FLIPS_IN_WORDS.get(training.flips, "mirrorings unknown")
    lines.append(f"- while it learned, images were {training.augmentation}; {flips}{grafted}")
    if len(training.looks) > 1:
        lines.append(f"- every answer is the mean over {len(training.looks)} mirrorings of the image")
    if training.pooling == "gem":
        lines.append("- pooled by the generalised mean (exponent 3), which what is small moves more than the mean")
    if lineage.parent_bundle:
        lines.append(f"- parent bundle: `{lineage.parent_bundle}`, order {lineage.order_id}")
    if lineage.changed:
        said = ", ".join(f"{name} = {json.dumps(value)}" for name, value in sorted(lineage.changed.items()))
        lines.append(f"- otherwise than in the site's first training: {said}")
    return lines


def input_lines(seen: InputFacts) -> list[str]:
    """What of an image reaches the network."""
    spec = seen.preprocessing
    lines = [f"- input: {spec.width} x {spec.height} pixels ({spec.resize})"]
    if seen.reasons:
        lines.append(f"- size of the input: {' '.join(seen.reasons)}")
    if spec.tiles is not None:
        lines.append(f"- tiles: {spec.tiles.columns} x {spec.tiles.rows}, overlapping by {spec.tiles.overlap:.0%}")
    if seen.smallest_defect is not None:
        lines.append(f"- smallest defect that matters: {seen.smallest_defect:g} pixels of the image")
    if spec.region_of_interest is not None:
        lines.append(f"- region of interest: {', '.join(map(str, spec.region_of_interest))} (left, top, right, bottom)")
    if spec.region_polygon is not None:
        lines.append(f"- seen is only what lies in the polygon {_corners(spec.region_polygon)}")
    if spec.hidden:
        lines.append(f"- neither seen nor kept: {'; '.join(_corners(area) for area in spec.hidden)}")
    return lines


def _raters(found: RaterAgreement | None) -> str:
    if found is None or found.share is None:
        return "agreement unknown, no image has two ratings"
    kappa = "undefined"
    if found.kappa is not None and found.low is not None and found.high is not None:
        kappa = f"{found.kappa:.2f} (95 %: {found.low:.2f} to {found.high:.2f})"
    return (
        f"{found.raters} agree on {found.share:.0%} of the pairs of ratings of {found.images} images "
        f"({found.method}'s kappa {kappa})"
    )


def _quality(found: QualityFacts | None) -> str:
    if found is None:
        return "not checked before this training (`lineside check`)"
    kinds = [f"{each.kind} ({each.images})" for each in found.findings if each.weight != "note"]
    named = f": {', '.join(kinds)}" if kinds else ""
    return f"{found.errors} errors, {found.warnings} warnings, {found.notes} notes{named}"


def _corners(polygon: Polygon) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in polygon)
