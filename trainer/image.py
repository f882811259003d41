"""Images as tensors, made by the same pre-processing that the agent runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from contracts.bundle import Preprocessing
from contracts.errors import DatasetError
from runtime.preprocessing import ImageError, decode, prepare
from trainer.dataset import Example


def load_images(examples: Sequence[Example], spec: Preprocessing) -> Tensor:
    """[b, n, 3, h, w] uint8 of b images with n inputs each: the resized pixels, a quarter of the memory of the
    network's input and exactly as good. Raises DatasetError for an image that cannot be used."""
    images = torch.empty((len(examples), spec.inputs, 3, spec.height, spec.width), dtype=torch.uint8)
    mean, std = (np.array(values, dtype=np.float32).reshape(3, 1, 1) for values in (spec.mean, spec.std))
    for row, example in enumerate(examples):
        try:
            tensor = prepare(decode(example.path.read_bytes(), spec), spec)  # [n, 3, h, w]
        except (ImageError, OSError) as error:
            raise DatasetError(f"{example.path}: {error}") from error
        images[row] = torch.from_numpy(np.rint((tensor * std + mean) * 255.0).astype(np.uint8))
    return images


def load_inputs(examples: Sequence[Example], spec: Preprocessing) -> Tensor:
    """[b * n, 3, h, w] float32: the images as the network takes them."""
    return as_input(load_images(examples, spec).flatten(0, 1), spec)


def as_input(images: Tensor, spec: Preprocessing) -> Tensor:
    """Pixels 0..255 [b, 3, h, w] (uint8 or float32) as the network's input, float32, channels last in memory."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (spec.mean, spec.std))
    return ((images.float() / 255.0 - mean) / std).to(memory_format=torch.channels_last)
