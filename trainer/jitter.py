"""What of a picture a camera may change between two parts that are alike: place, light, focus. Training shows it."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from contracts.settings import Settings

_DRAWN, _FURTHER = 5, 3
_SHARPEST = 0.2  # pixels of blur, below which none is seen


class Jitter(Settings):
    """`[training.jitter]`: the largest changes, each drawn evenly up to it at every look at an image."""

    shift: float = Field(default=0.025, ge=0.0, le=0.5, description="share of the picture's width and height")
    zoom: float = Field(default=0.03, ge=0.0, le=0.5, description="share of its size")
    light: float = Field(default=0.06, ge=0.0, le=0.9, description="share of the brightness")
    contrast: float = Field(default=0.10, ge=0.0, le=0.9, description="share of the contrast")
    turn: float = Field(default=0.0, ge=0.0, le=45.0, description="degrees")
    blur: float = Field(default=0.0, ge=0.0, le=8.0, description="standard deviation in pixels of the network's input")
    noise: float = Field(default=0.0, ge=0.0, le=64.0, description="standard deviation in grey levels of 255")

    @property
    def further(self) -> bool:
        """Whether more than place and light changes."""
        return max(self.turn, self.blur, self.noise) > 0

    def in_words(self) -> str:
        """For the card."""
        further = {
            "turned by up to {:g} degrees": self.turn,
            "blurred by up to {:g} pixels": self.blur,
            "with noise of up to {:g} grey levels": self.noise,
        }
        return ", ".join(
            [
                f"moved by up to {self.shift:.1%} of their sides",
                f"zoomed by {self.zoom:.0%}",
                f"varied in light by {self.light:.0%} and in contrast by {self.contrast:.0%}",
                *(words.format(much) for words, much in further.items() if much),
            ]
        )

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """[count, 8] of -1..1: how far each image goes, of zoom, shift across and down, light, contrast, turn, blur and
        noise. What is not asked for takes nothing from the generator."""
        first = torch.rand(count, _DRAWN, generator=generator) * 2 - 1
        if not self.further:
            return torch.cat([first, torch.zeros(count, _FURTHER)], 1)
        return torch.cat([first, torch.rand(count, _FURTHER, generator=generator) * 2 - 1], 1)

    def still(self) -> Tensor:
        """[1, 8] of an image that stays as it is."""
        return torch.zeros(1, _DRAWN + _FURTHER)

    def places(self, drawn: Tensor, ratio: float) -> Tensor:
        """[b, 2, 3]: from where in an image, -1..1 across and down, each place of the changed one comes; `ratio` is its
        width over its height."""
        zoom, angle = 1 + self.zoom * drawn[:, 0], math.radians(self.turn) * drawn[:, 5]
        theta = torch.zeros(len(drawn), 2, 3)
        theta[:, 0, 0] = theta[:, 1, 1] = zoom * angle.cos()
        theta[:, 0, 1], theta[:, 1, 0] = -zoom * angle.sin() / ratio, zoom * angle.sin() * ratio
        theta[:, :, 2] = 2 * self.shift * drawn[:, 1:3]
        return theta

    def moves(self, drawn: Tensor, ratio: float) -> Tensor:
        """[b, 2, 3]: where each place of the image goes, the inverse of `places`."""
        theta = self.places(drawn, ratio)
        back = torch.linalg.inv(theta[:, :, :2])
        return torch.cat([back, -back @ theta[:, :, 2:]], 2)

    def changed(self, images: Tensor, drawn: Tensor, noise: Tensor | None = None) -> Tensor:
        """[b, 3, h, w] of 0..255, moved (the border repeats), blurred, lit and with `noise` [b, 3, h, w] of standard
        deviation 1 laid over it; drawn from torch's generator where none is given."""
        theta = self.places(drawn, images.shape[3] / images.shape[2])
        grid = nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
        seen = nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
        if self.blur:
            seen = _blurred(seen, self.blur * (drawn[:, 6] + 1) / 2)
        gain, contrast = (
            1 + size * drawn[:, at].view(-1, 1, 1, 1) for size, at in ((self.light, 3), (self.contrast, 4))
        )
        middle = seen.mean((1, 2, 3), keepdim=True)
        seen = ((seen - middle) * contrast + middle) * gain
        if self.noise:
            grain = torch.randn(images.shape) if noise is None else noise
            seen = seen + grain * (self.noise * (drawn[:, 7] + 1) / 2).view(-1, 1, 1, 1)
        return seen.clamp(0, 255)


USUAL = Jitter()
"""A fixed camera over a line: a few pixels, a little light."""


def jitter_said(said: object) -> object:
    """`light=0.2 turn=5` as it is said by command: what is not named stays as usual."""
    if not isinstance(said, str):
        return said
    parts = [part.partition("=") for part in said.replace(",", " ").split()]
    known = Jitter.model_fields
    try:
        values = {name: float(number) for name, _, number in parts}
    except ValueError:
        values = {"": math.nan}
    if not set(values) <= set(known):
        raise ValueError(f"say numbers as 'light=0.2 turn=5'; known: {', '.join(known)}")
    return values


def _blurred(images: Tensor, sigmas: Tensor) -> Tensor:
    """[b, c, h, w], each with its own Gaussian of `sigmas` [b] pixels; the border repeats."""
    count, channels, height, width = images.shape
    reach = max(1, math.ceil(3 * float(sigmas.max())))
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (steps / sigmas.clamp_min(_SHARPEST)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)  # [b * c, 2 * reach + 1]
    seen = nn.functional.pad(images, (reach,) * 4, mode="replicate").view(1, count * channels, height + 2 * reach, -1)
    seen = nn.functional.conv2d(seen, kernel[:, None, None, :], groups=count * channels)
    seen = nn.functional.conv2d(seen, kernel[:, None, :, None], groups=count * channels)
    return seen.view(count, channels, height, width)
