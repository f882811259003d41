"""Images as tensors, made by the same pre-processing that the agent runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contracts.errors import DatasetError
from contracts.preprocessing import Preprocessing
from runtime.preprocessing import ImageError, decode, prepare
from trainer.dataset import Example


def pixels_of(path: Path, spec: Preprocessing) -> NDArray[np.uint8]:
    """The decoded image [h, w, 3] of a file. Raises DatasetError naming the file."""
    try:
        return decode(path.read_bytes(), spec)
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}; bring the image back") from error
    except ImageError as error:
        raise DatasetError(f"{path}: {error}") from error


def load_images(examples: Sequence[Example], spec: Preprocessing) -> Tensor:
    """[b, n, 3, h, w] uint8 of b images with n inputs each: the resized pixels, a quarter of the memory of the
    network's input and exactly as good. Raises DatasetError for an image that cannot be used."""
    images = torch.empty((len(examples), spec.inputs, 3, spec.height, spec.width), dtype=torch.uint8)
    mean, std = (np.array(values, dtype=np.float32).reshape(3, 1, 1) for values in (spec.mean, spec.std))
    for row, example in enumerate(examples):
        try:
            tensor = prepare(pixels_of(example.path, spec), spec)  # [n, 3, h, w]
        except ImageError as error:
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
