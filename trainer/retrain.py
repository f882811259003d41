"""A monitor's retrain order, obeyed: the base snapshot and the new labels become the next snapshot and its model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from contracts.errors import OrderError
from contracts.orders import Retrain
from trainer.dataset import Example, checked, read_rows
from trainer.pins import Pins, read_pins
from trainer.progress import Progress, silent
from trainer.replay import replayed
from trainer.run import train
from trainer.settings import TrainingSettings
from trainer.snapshot import Snapshot, find_snapshot, take_snapshot
from trainer.split import group_of
from trainer.trained import TrainedModel
from trainer.workspace import keep_image, recall_model, recall_site

_ONCE = {"yardstick": False, "compare_tasks": False}  # what the first training has measured


def retrain(
    order: Retrain,
    workspace: Path,
    out: Path,
    *,
    settings: TrainingSettings | None = None,
    progress: Progress = silent,
) -> TrainedModel:
    """Train the successor that `order` asks for and write its run folder `out`.

    The workspace is the one in which the site's first model was trained, alone or beside other sites; `settings`
    default to that training's, and where they differ the lineage says in what; the base model is not compared with
    random weights again, nor each task with itself alone. The old images are learned again, all of them or, with
    `settings.replay`, a sample. Where the parent's run is known to the workspace, both models are asked about its test
    images (see `forgetting`).
    Images whose `split` is `gate` enter the snapshot but are not trained on, and their labels are not read. Raises
    OrderError without usable labels, DatasetError and ConfigurationError as `train` does.
    """
    site = recall_site(workspace, order.site, order.product)
    base = find_snapshot(workspace, order.base_snapshot)
    new = read_labels(Path(order.labels_manifest), workspace=workspace, site=order.site)
    chosen = (settings or site.settings).model_copy(update={"seed": order.seed, **_ONCE})
    grown = grow(base, new, order, read_pins(workspace))
    snapshot = replayed(grown, base, most=chosen.replay, seed=order.seed)
    return train(
        snapshot,
        site.base_model,
        settings=chosen,
        out=out,
        progress=progress,
        site=order.site,
        product=order.product,
        workspace=workspace,
        parent_bundle=order.parent_bundle,
        order_id=order.order_id,
        parent=recall_model(workspace, order.base_snapshot, order.site, order.product),
        changed=changed(site.settings, chosen),
    )


def changed(first: TrainingSettings, chosen: TrainingSettings) -> dict[str, Any]:
    """What of `chosen` is otherwise than in the first training, as JSON; without what every retrain sets for itself."""
    before, after = first.model_dump(mode="json"), chosen.model_dump(mode="json")
    own = {"seed", "threads", *_ONCE}
    return {name: value for name, value in after.items() if name not in own and value != before[name]}


def read_labels(manifest: Path, *, workspace: Path, site: str) -> tuple[Example, ...]:
    """The new labelled images, copied into the workspace. An image without a group stands with others of its part; a
    column `split` says `train` (the default) or `gate`. Raises OrderError when none may be trained on."""
    examples = []
    for example in read_rows(manifest):
        example = replace(
            example,
            site=example.site or site,
            group=example.group or example.attributes.get("part_id", ""),
            split="gate" if example.split == "gate" else "train",
        )
        examples.append(keep_image(workspace, example))
    if not any(example.split == "train" for example in examples):
        raise OrderError(f"{manifest} has no label that may be trained on; label more images")
    return tuple(examples)


def grow(base: Snapshot, new: tuple[Example, ...], order: Retrain, pins: Pins | None = None) -> Snapshot:
    """The base snapshot with the new images marked as this order's; an image that it already has stays as it is.

    What the base learned and another snapshot of the workspace tested on, before trainings there kept to each other,
    is not learned again: it goes to the gate's images."""
    pins = pins or Pins()
    known = {example.sha256: example for example in base.examples}
    fresh = [
        replace(example, attributes={**example.attributes, "order": order.order_id})
        for example in new
        if example.sha256 not in known
    ]
    examples = (*base.examples, *fresh)
    aside = pins.torn(examples).keys() - {group_of(example) for example in base.of("test")}
    examples = tuple(replace(e, split="gate") if group_of(e) in aside else e for e in examples)
    dataset = checked(examples, order.labels_manifest)
    return take_snapshot(dataset, licence=base.licence, seed=order.seed, parent=base, pins=pins)
