"""What is known of every image before the training begins: what enters the trained part of the network, and what comes
out of the untrained one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.maps import Cached, Maps


@dataclass(frozen=True)
class Features:
    """`maps` enter the trained part, `embeddings` [n, v, t, d] float32 come out of the untrained one for v views of t
    inputs an image. `shown` [n, t] float32: how much of an image's marked defect each input shows (see `marks`)."""

    maps: Maps
    embeddings: Tensor
    shown: Tensor

    def rows(self, index: Tensor) -> Features:
        """Those of some images."""
        return Features(self.maps.rows(index), self.embeddings[index], self.shown[index])

    def seen(self) -> Tensor:
        """[n, s, t, d] embeddings, each the mean over views: over those without grafts, and where there are such over
        those with them, so that what is fitted meets a defect on its own part and on others."""
        grafted = [view.graft for view in self.maps.looks] if isinstance(self.maps, Cached) else []
        kinds = torch.tensor(grafted[: self.embeddings.shape[1]], dtype=torch.bool)
        if not bool(kinds.any()):
            return self.embeddings.mean(1, keepdim=True)
        return torch.stack([self.embeddings[:, ~kinds].mean(1), self.embeddings[:, kinds].mean(1)], dim=1)

    def plain(self) -> Features:
        """The same images without their other views' embeddings."""
        return Features(self.maps, self.embeddings[:, :1], self.shown)

    def plus(self, other: Features) -> Features:
        """The images of both as they are: all that held-out images need."""
        embeddings = torch.cat([self.embeddings[:, :1], other.embeddings[:, :1]])
        return Features(self.maps.plus(other.maps), embeddings, torch.cat([self.shown, other.shown]))
