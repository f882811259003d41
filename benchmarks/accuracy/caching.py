"""What a pass over the frozen part costs where its outputs are cached, against one where they are not."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import torch

from trainer.attempt import good_labels, preprocessing
from trainer.bases.backbone import BaseModel
from trainer.dataset import Dataset
from trainer.outset import set_out
from trainer.settings import TrainingSettings
from trainer.views import FLIPS, views

_IMAGES, _VIEWS = 400, 5


def pass_seconds(dataset: Dataset, base: BaseModel, settings: TrainingSettings, work: Path) -> dict[str, Any]:
    """Seconds for one pass over 400 images under five views, computed and put on disk, and read from there."""
    torch.set_num_threads(settings.threads)
    shutil.rmtree(work / "features", ignore_errors=True)
    spec, labels = preprocessing(base, settings), dataset.labels()
    _, stem, _ = set_out(base, labels, good_labels(labels), settings, spec, folder=work / "features")
    looks, seconds = views(FLIPS["both"], _VIEWS), []
    stem.features(dataset.examples[-8:], looks)  # the network is warm
    for _ in range(2):
        began = time.monotonic()
        stem.features(dataset.examples[:_IMAGES], looks)
        seconds.append(time.monotonic() - began)
    return {"uncached_seconds": seconds[0], "cached_seconds": seconds[1]}
