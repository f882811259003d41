"""An estimate of accuracy without labels. It decides nothing and vetoes nothing: where it would matter, it is wrong.

Average thresholded confidence (Garg et al. 2022, "Leveraging unlabeled data to predict out-of-distribution
performance", ICLR): the accuracy is the share of images whose confidence is above a threshold, chosen so that on known
data this share is the known accuracy. Confidences are those of the temperature-scaled softmax (Guo et al. 2017, "On
calibration of modern neural networks", ICML). In mild shifts such estimates are a point or two off; in severe ones a
network is confidently wrong (61 to 64 points, `docs/decisions/drift-backend.md`). So it is void while drifting.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from contracts.telemetry import Histogram


@dataclass(frozen=True)
class ThresholdedConfidence:
    """The threshold, 0..1, above which as many images lay in control as were right on the test set."""

    threshold: float

    @classmethod
    def of(cls, histogram: Histogram, accuracy: float) -> ThresholdedConfidence:
        """From confidences in control and the accuracy 0..1 there. Raises ValueError without images."""
        images = sum(histogram.counts)
        if images == 0:
            raise ValueError("no confidence was seen")
        wrong, below = (1.0 - accuracy) * images, 0.0
        for (low, high), count in zip(pairwise(histogram.edges), histogram.counts, strict=True):
            if count and below + count >= wrong:
                return cls(low + (high - low) * (wrong - below) / count)
            below += count
        return cls(histogram.edges[-1])

    def accuracy(self, histogram: Histogram) -> float | None:
        """Estimated accuracy 0..1 of images with these confidences; None without images.

        >>> edges = (0.0, 0.5, 1.0)
        >>> known = ThresholdedConfidence.of(Histogram(edges=edges, counts=(10, 90)), accuracy=0.9)
        >>> known.accuracy(Histogram(edges=edges, counts=(30, 70)))
        0.7
        """
        images = sum(histogram.counts)
        if images == 0:
            return None
        above = 0.0
        for (low, high), count in zip(pairwise(histogram.edges), histogram.counts, strict=True):
            above += count * min(1.0, max(0.0, (high - self.threshold) / (high - low)))
        return above / images


def together(histograms: Iterable[Histogram]) -> Histogram | None:
    """The sum of histograms over the same bins; those over other bins than the first are left out, None without any."""
    total: Histogram | None = None
    for histogram in histograms:
        if total is None:
            total = histogram
        elif histogram.edges == total.edges:
            counts = tuple(a + b for a, b in zip(total.counts, histogram.counts, strict=True))
            total = Histogram(edges=total.edges, counts=counts)
    return total
