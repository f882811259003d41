"""What the training saw of an image: a contact sheet of its augmented looks."""

from __future__ import annotations

import io

import torch
from PIL import Image
from torch import Tensor

from trainer.dataset import Example
from trainer.grafts import Grafts
from trainer.image import load_images
from trainer.marks import shown_defects
from trainer.settings import TrainingSettings
from trainer.stem import seeds_of
from trainer.strategy import PIXELS
from trainer.trained import TrainedModel
from trainer.views import FLIPS, KEPT_VIEWS, drawn, look, views

_IMAGES, _LOOKS = 5, 7
_SIDE, _GAP = 112, 4  # pixels on the sheet


def contact_sheet(model: TrainedModel) -> bytes:
    """PNG: a training image of each class in a row, first as it is, then as seven steps of a training may see it (where
    the frozen part's answers are kept, the few looks that it has of each image). Of an image in tiles, the tile that
    shows the defect best. Raises DatasetError where an image is gone."""
    chosen, settings = _one_of_each_class(model), TrainingSettings.model_validate(model.record.lineage.training)
    spec = model.record.preprocessing
    tile = shown_defects(chosen, spec).nan_to_num().argmax(1)
    rows = torch.arange(len(chosen))
    plain = load_images(chosen, spec)[rows, tile]  # [n, 3, h, w]
    images = plain.repeat_interleave(_LOOKS, 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if settings.graft:
            grafts = Grafts.of(chosen, spec, model.record.good_labels)
            shown = Grafts(grafts.marks[rows, tile][:, None], grafts.good).rows(rows.repeat_interleave(_LOOKS))
            images = shown.drawn(images[:, None])[:, 0]
        if settings.strategy in PIXELS or settings.graft:
            looks = drawn(images, FLIPS[settings.flips], settings.jitter).view(len(plain), _LOOKS, *plain.shape[1:])
        else:
            seeds = seeds_of(chosen, spec)[rows, tile].tolist()
            kept = views(FLIPS[settings.flips], KEPT_VIEWS)[1:]
            looks = torch.stack([look(plain, view, seeds, settings.jitter) for view in kept], 1)
    return _png(torch.cat([plain[:, None].float(), looks], dim=1))


def _one_of_each_class(model: TrainedModel) -> list[Example]:
    first: dict[str, Example] = {}
    for example in model.snapshot.of("train"):
        first.setdefault(example.label, example)
    return [first[label] for label in sorted(first)][:_IMAGES]


def _png(rows: Tensor) -> bytes:
    """[n, looks, 3, h, w] of 0..255 as a grid."""
    count, looks, _, height, width = rows.shape
    scale = _SIDE / max(height, width)
    size = round(width * scale), round(height * scale)
    sheet = Image.new("RGB", (looks * (size[0] + _GAP) - _GAP, count * (size[1] + _GAP) - _GAP), "white")
    for row in range(count):
        for column in range(looks):
            pixels = rows[row, column].round().to(torch.uint8).permute(1, 2, 0).numpy()
            corner = column * (size[0] + _GAP), row * (size[1] + _GAP)
            sheet.paste(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR), corner)
    data = io.BytesIO()
    sheet.save(data, "PNG", optimize=True)
    return data.getvalue()
