"""The whole training of one model: snapshot and backbone in, run folder out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from contracts.errors import ConfigurationError, DatasetError
from trainer.attempt import Task, end_of, good_labels, preprocessing, refuse_unfit
from trainer.bases.backbone import BaseModel
from trainer.clock import now
from trainer.contest import Outcome, contest
from trainer.finish import Origin, finish
from trainer.memory import kept_memory
from trainer.progress import Progress, silent
from trainer.proof import prove_pinned
from trainer.resolution import fitting_tiles, usual_size
from trainer.rounds import ranks
from trainer.settings import TrainingSettings
from trainer.sizing import choose_size
from trainer.snapshot import Snapshot, learned_images
from trainer.trained import TrainedModel, load_run
from trainer.workspace import SiteRecord, remember_model, remember_site

__all__ = ["TrainedModel", "good_labels", "load_run", "train"]


@kept_memory()
def train(
    snapshot: Snapshot,
    base_model: BaseModel,
    *,
    settings: TrainingSettings,
    out: Path,
    progress: Progress = silent,
    site: str = "site",
    product: str = "default",
    workspace: Path | None = None,
    parent_bundle: str | None = None,
    order_id: str | None = None,
    resume: bool = False,
    trials: int = 0,
    parent: TrainedModel | None = None,
    changed: Mapping[str, Any] = {},
) -> TrainedModel:
    """Fine-tune `base_model` on the snapshot's train split and write the run folder `out`.

    The snapshot is saved in `workspace` (default: inside `out`) before anything is learned, once it is proven that it
    trains on nothing that another one there tests on; a first training also leaves there what a later `retrain` needs
    to know. The same arguments give the same model on the same CPU, unless `settings.max_seconds` cut it short. With
    `resume` the finished rounds of a training that was killed in `out` are taken over, if it was of exactly this
    snapshot, base model and settings, and the weights are those of an undisturbed one. `trials` other values of the
    recipe are tried in the time that is left (see `tuning`); what the model has forgotten is measured against its
    `parent`; `changed`: what a retrain was told otherwise, for the lineage. Raises ConfigurationError and DatasetError.
    """
    began = now()
    torch.set_num_threads(settings.threads)
    ranks.refuse_together(settings, trials=trials, resume=resume)
    _refuse_leak(snapshot, base_model)
    refuse_unfit(settings, base_model)
    good_labels(snapshot.labels, settings.good)  # what cannot be trained settles no split
    proof = prove_pinned(snapshot, workspace)
    settings = _for_these_images(settings, base_model, snapshot)
    if workspace is not None and ranks.leads():
        snapshot.save(workspace)  # a training that begins meanwhile keeps to it, too
    settings, size = _sized(settings, base_model, snapshot, progress)
    until = end_of(settings, began)
    task = Task(snapshot, base_model, out, workspace, until=until, resume=resume, progress=progress)
    held = contest(task, settings) if settings.strategy == "auto" else Outcome(task.attempt(settings))
    held = _tuned(task, held, trials) if trials else held
    held = replace(held, size=size)
    if not ranks.leads():
        ranks.wait()
        return load_run(out)
    origin = Origin(site, product, parent_bundle, order_id, parent, changed)
    model = finish(task, held, origin, began=began, proof=proof)
    if workspace is not None:
        remember_model(workspace, model)
    if workspace is not None and order_id is None:
        remember_site(
            workspace, SiteRecord(site=site, product=product, base_model=base_model, settings=held.attempt.settings)
        )
    ranks.wait()
    return model


def _tuned(task: Task, held: Outcome, trials: int) -> Outcome:
    from trainer.tuning import search  # Optuna takes half a second to import, which others need not wait for

    return search(task, held, trials=trials)


def fitted(
    settings: TrainingSettings, base: BaseModel, snapshot: Snapshot, progress: Progress = silent
) -> tuple[TrainingSettings, dict[str, Any]]:
    """The settings with what the images decide before anything is trained (size of the input, tiles), and why the input
    is so large (JSON). Raises ConfigurationError for an area outside the images."""
    return _sized(_for_these_images(settings, base, snapshot), base, snapshot, progress)


def _sized(
    settings: TrainingSettings, base: BaseModel, snapshot: Snapshot, progress: Progress
) -> tuple[TrainingSettings, dict[str, Any]]:
    """With the input's size, where it is to be chosen, and why (JSON)."""
    if not settings.choose_size:
        return settings, {}
    sizing = choose_size(base, snapshot, settings, progress)
    chosen = {"input_width": sizing.width, "input_height": sizing.height, "choose_size": False}
    return settings.model_copy(update=chosen), sizing.told()


def _for_these_images(settings: TrainingSettings, base: BaseModel, snapshot: Snapshot) -> TrainingSettings:
    """With what the size of the images decides: for which size areas are named, and tiles in which the smallest defect
    is large enough, where one is named and neither tiles are nor the input's size is to be chosen. Raises
    ConfigurationError for an area outside the images."""
    areas = (*settings.hidden, *filter(None, [settings.region_polygon]))
    region = settings.region_of_interest
    if not areas and settings.smallest_defect is None and region is None:
        return settings
    size = usual_size(snapshot.of("train"))
    if region is not None and (region[2] > size[0] or region[3] > size[1]):
        raise ConfigurationError(
            f"the region of interest {','.join(map(str, region))} lies outside the images of {size[0]} x {size[1]} "
            "pixels; name left,top,right,bottom inside them"
        )
    if areas:
        for x, y in (corner for area in areas for corner in area):
            if not (0 <= x <= size[0] and 0 <= y <= size[1]):
                raise ConfigurationError(
                    f"the corner {x:g},{y:g} lies outside the images of {size[0]} x {size[1]} pixels"
                )
        settings = settings.model_copy(update={"source_size": size})
    if settings.smallest_defect is None or settings.tiles is not None or settings.choose_size:
        return settings
    tiles = fitting_tiles(settings.smallest_defect, size, preprocessing(base, settings))
    return settings.model_copy(update={"tiles": tiles})


def _refuse_leak(snapshot: Snapshot, base: BaseModel) -> None:
    """A base model that has learned images of this test, it or one it was made from, would make the test too kind."""
    for each in (base, *base.ancestors):
        if each.snapshot is None:
            continue
        known = learned_images(each.snapshot)
        if leaked := [example for example in snapshot.of("test", "gate") if example.sha256 in known]:
            raise DatasetError(
                f"the base model {each.id} was trained on {len(leaked)} images of this test split (first: "
                f"{leaked[0].path}); start from its snapshot, so that its split stays, or from another base model"
            )
